"""Results that the server allows to keep for a while (stateless era).

A client speaks for one principal, so `private` results may be kept in it as well as `public`
ones; the cache is never shared between clients.

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

#: Results kept; the least recently used goes first.
MAX_ENTRIES: Final = 256

#: Results that are larger than this, in bytes, are not worth keeping.
MAX_BYTES: Final = 1024 * 1024

#: Bytes of all results kept, and of the requests that they answer.
TOTAL_BYTES: Final = 16 * 1024 * 1024

#: Milliseconds, some thirty years; what says more means no more.
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
    """A result.

    Attributes:
        result: What it is.
        size: Its bytes on the wire.
        until: When it is not fresh any more, in Trio's time.
    """

    result: Any
    size: int
    until: float


@attrs.frozen
class Answered:
    """A result that has just come.

    Attributes:
        result: What it is.
        size: Its bytes on the wire, those of all rounds.
        rounds: How many rounds it took.
    """

    result: Any
    size: int
    rounds: int


class Asking:
    """A request on its way, whose result may have become stale before it came."""

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
        """For the duration of a request: what is dropped meanwhile is not kept afterwards."""
        asking = Asking(key)
        self._asking.add(asking)
        try:
            yield asking
        finally:
            self._asking.remove(asking)

    def keep(self, asking: Asking, size: int, result: Any) -> None:
        """Keep a result for as long as it says, if it says so at all."""
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
        """What a notification tells of is not fresh any more, whatever its time to live was."""
        if method in _CHANGED:
            self.drop(lambda key: key.startswith(_CHANGED[method]))

    def drop_method(self, method: str) -> None:
        """Forget the results of one method."""
        self.drop(lambda key: key.startswith(method.encode() + b"\n"))

    def drop(self, which: Callable[[bytes], bool] = lambda key: True) -> None:
        """Forget the results whose keys are chosen; all by default."""
        for key in [key for key in self._entries if which(key)]:
            self._forget(key)
        # An answer that is on its way may have been written before what makes it stale.
        for asking in self._asking:
            asking.is_stale = asking.is_stale or which(asking.key)


def key_of(method: str, params: Any) -> bytes:
    """The key of a request: its method, and its parameters in a canonical order."""
    return method.encode() + b"\n" + msgspec.json.encode(params, order="deterministic")
