"""Fragments to messages."""

from __future__ import annotations

from typing import Final

from .._channel import Incoming, Oversized

__all__ = ["Assembly"]

#: Bytes kept of a message that is skipped.
_HEAD: Final = 256


class Assembly:
    """Puts the pieces of a message together.

    Args:
        limit: The largest message kept, in bytes. A larger one is skipped to its end.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces = bytearray()
        self._size = 0

    def feed(self, piece: bytes, is_last: bool) -> Incoming | None:
        """Take the next piece; return the message that it completes."""
        self._size += len(piece)
        if self._size <= self._limit:
            self._pieces += piece
        elif len(self._pieces) < _HEAD:
            self._pieces += piece[: _HEAD - len(self._pieces)]
        else:
            del self._pieces[_HEAD:]
        return self._finish() if is_last else None

    def _finish(self) -> Incoming:
        pieces, size = bytes(self._pieces), self._size
        self._pieces = bytearray()
        self._size = 0
        return pieces if size <= self._limit else Oversized(size, pieces[:_HEAD])
