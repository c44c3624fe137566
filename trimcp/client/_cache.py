"""Caching results for the time that the server allows (stateless era).

A client acts for one user, so `private` results may be kept as well as `public` ones. Clients never
share a cache.

Specification: 2026-07-28, Caching.
"""

from __future__ import annotations

import collections
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Answered", "Kept", "ResponseCache", "key_of"]

#: The maximum number of results; the least recently used is dropped first.
MAX_ENTRIES: Final = 256

#: Results that are larger than this, in bytes, are not kept.
MAX_BYTES: Final = 1024 * 1024

#: The maximum size of all kept results and their keys, in bytes.
TOTAL_BYTES: Final = 16 * 1024 * 1024

#: The maximum time to live in milliseconds, about thirty years; a longer one is reduced to it.
_LONGEST_MS: Final = 10**12

#: The cached methods that a notification makes stale.
_CHANGED: Final = {
    "notifications/tools/list_changed": (b"tools/list\n",),
    "notifications/prompts/list_changed": (b"prompts/list\n",),
    "notifications/resources/list_changed": (b"resources/list\n", b"resources/templates/list\n"),
    "notifications/resources/updated": (b"resources/read\n",),
}


@attrs.frozen
class Kept:
    """A result in the cache.

    Attributes:
        result: The result.
        size: Its bytes on the wire.
        until: When it stops being fresh, in Trio's time.
    """

    result: Any
    size: int
    until: float


@attrs.frozen
class Answered:
    """A result that has just arrived.

    Attributes:
        result: The result.
        size: The bytes of all its rounds on the wire.
        rounds: How many rounds it took.
    """

    result: Any
    size: int
    rounds: int


class Asking:
    """A request without an answer yet; its result can become stale before it arrives."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.is_stale = False


class ResponseCache:
    """Fresh results by method and parameters."""

    def __init__(self) -> None:
        self._entries: collections.OrderedDict[bytes, Kept] = collections.OrderedDict()
        self._asking: set[Asking] = set()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: bytes) -> Kept | None:
        """A result that is still fresh, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= trio.current_time():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return entry

    @contextmanager
    def asking(self, key: bytes) -> Iterator[Asking]:
        """Note a request during the block, so that a stale result of it is not kept."""
        asking = Asking(key)
        self._asking.add(asking)
        try:
            yield asking
        finally:
            self._asking.remove(asking)

    def keep(self, asking: Asking, size: int, result: Any) -> None:
        """Keep a result as long as it allows, if it allows it."""
        ttl_ms = result.ttl_ms
        if not ttl_ms or ttl_ms < 0 or size + len(asking.key) > MAX_BYTES or asking.is_stale:
            return
        until = trio.current_time() + min(ttl_ms, _LONGEST_MS) / 1000
        self._forget(asking.key)
        self._entries[asking.key] = Kept(result, size, until)
        self._bytes += size + len(asking.key)
        while len(self._entries) > MAX_ENTRIES or self._bytes > TOTAL_BYTES:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: bytes) -> None:
        kept = self._entries.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size + len(key)

    def note_change(self, method: str) -> None:
        """Drop the results that a notification makes stale, even within their time to live."""
        if method in _CHANGED:
            self.drop(lambda key: key.startswith(_CHANGED[method]))

    def drop_method(self, method: str) -> None:
        """Drop the results of one method."""
        self.drop(lambda key: key.startswith(method.encode() + b"\n"))

    def drop(self, which: Callable[[bytes], bool] = lambda key: True) -> None:
        """Drop the results with the chosen keys; by default all."""
        for key in [key for key in self._entries if which(key)]:
            self._forget(key)
        # An answer that has not arrived yet may have been written before the change.
        for asking in self._asking:
            asking.is_stale = asking.is_stale or which(asking.key)


def key_of(method: str, params: Any) -> bytes:
    """The key of a request: its method, and its parameters in a canonical order."""
    return method.encode() + b"\n" + msgspec.json.encode(params, order="deterministic")
