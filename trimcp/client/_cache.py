"""Results that the server allows to keep for a while (stateless era).

A client speaks for one principal, so `private` results may be kept in it as well as `public`
ones; the cache is never shared between clients.

Specification: 2026-07-28, Caching.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ResponseCache", "key_of"]

#: Results kept; the least recently used goes first.
MAX_ENTRIES: Final = 256

#: Results that are larger than this, in bytes, are not worth keeping.
MAX_BYTES: Final = 1024 * 1024


#: Milliseconds for which a result is kept at most, whatever the server says: a year.
_LONGEST_MS: Final = 365 * 24 * 3600 * 1000


class ResponseCache:
    """Fresh results by method and parameters."""

    def __init__(self) -> None:
        self._entries: collections.OrderedDict[bytes, tuple[float, Any]] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: bytes) -> Any | None:
        """A result that is still fresh, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= trio.current_time():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def keep(self, key: bytes, size: int, result: Any) -> None:
        """Keep a result for as long as it says, if it says so at all."""
        ttl_ms = result.ttl_ms
        if not ttl_ms or ttl_ms < 0 or size > MAX_BYTES:
            return
        seconds = min(ttl_ms, _LONGEST_MS) / 1000
        self._entries[key] = (trio.current_time() + seconds, result)
        self._entries.move_to_end(key)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def drop(self, which: Callable[[bytes], bool] = lambda key: True) -> None:
        """Forget the results whose keys are chosen; all by default."""
        for key in [key for key in self._entries if which(key)]:
            del self._entries[key]


def key_of(method: str, params: Any) -> bytes:
    """The key of a request: its method, and its parameters in a canonical order."""
    return method.encode() + b"\n" + msgspec.json.encode(params, order="deterministic")
