"""A message that has not been received completely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._channel import Incoming, Oversized

if TYPE_CHECKING:
    from ._budget import Budget

__all__ = ["HEAD_BYTES", "PartialMessage"]

#: Bytes kept of each end of a skipped message: they may contain the id of the request.
HEAD_BYTES: Final = 256


class PartialMessage:
    """Joins the pieces of a message, one message after another, in one growing buffer.

    A message that becomes longer than the limit, or for which the budget has no room, is skipped
    to its end.

    Args:
        limit: The maximum length of a message, in bytes.
        budget: Counts the bytes that are kept.

    Attributes:
        size: Bytes of the message that have been received so far, including skipped bytes.
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
        """The first bytes of the message, at most `HEAD_BYTES`."""
        return bytes(self._kept[:HEAD_BYTES])

    def _release(self) -> None:
        self._kept = bytearray()
        self._budget.give(self._taken)
        self._taken = 0

    def close(self) -> None:
        """Drop the incomplete message, since the rest will not arrive."""
        self._release()
        self.size = 0
        self._tail = b""
        self._is_skipped = False
