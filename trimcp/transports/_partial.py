"""A message of which more is still to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._channel import Incoming, Oversized

if TYPE_CHECKING:
    from ._budget import Budget

__all__ = ["HEAD_BYTES", "PartialMessage"]

#: Bytes kept of either end of a message that is skipped: they may tell which request it was.
HEAD_BYTES: Final = 256


class PartialMessage:
    """Puts the pieces of one message after another together, in one growing piece of memory.

    A message that becomes longer than the limit, or for which the budget has no room, is skipped
    to its end.

    Args:
        limit: The longest message kept, in bytes.
        budget: Counts what is kept.

    Attributes:
        size: Bytes of the message that have come so far, skipped ones included.
    """

    def __init__(self, limit: int, budget: Budget) -> None:
        self.size = 0
        self._limit = limit
        self._budget = budget
        self._kept = bytearray()
        self._tail = b""
        self._taken = 0
        self._is_skipped = False

    def add(self, piece: bytes) -> None:
        """Add the next piece."""
        self.size += len(piece)
        if not self._is_skipped and self._takes(len(piece)):
            self._kept += piece
            return
        before = self._tail if self._is_skipped else bytes(self._kept[-HEAD_BYTES:])
        self._tail = (before + piece[-HEAD_BYTES:])[-HEAD_BYTES:]
        self._is_skipped = True
        head = bytes(self._kept[:HEAD_BYTES]) + piece[:HEAD_BYTES]
        self._release()
        self._kept += head[:HEAD_BYTES]

    def _takes(self, length: int) -> bool:
        if self.size > self._limit or not self._budget.take(length):
            return False
        self._taken += length
        return True

    def finish(self) -> Incoming:
        """The message is complete; the next piece begins another."""
        size, kept = self.size, bytes(self._kept)
        is_skipped, self._is_skipped = self._is_skipped, False
        self._release()
        self.size = 0
        tail, self._tail = self._tail, b""
        return Oversized(size, kept, tail, has_no_room=size <= self._limit) if is_skipped else kept

    @property
    def head(self) -> bytes:
        """The first bytes of what has come so far, at most `HEAD_BYTES`."""
        return bytes(self._kept[:HEAD_BYTES])

    def _release(self) -> None:
        self._kept = bytearray()
        self._budget.give(self._taken)
        self._taken = 0

    def close(self) -> None:
        """Forget the message that is not complete, since nothing more comes."""
        self._release()
        self.size = 0
        self._tail = b""
        self._is_skipped = False
