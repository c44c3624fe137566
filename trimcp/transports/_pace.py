"""Holding a producer back until its consumer has room, where both are in one process."""

from __future__ import annotations

import attrs
import trio

__all__ = ["Pace"]


@attrs.define(eq=False)
class _Window:
    """How many more items may be sent."""

    room: int
    news: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)


class Pace:
    """Flow control between the two ends of a connection in one process.

    The consumer announces how many items it has room for, and the producer waits while there is no
    room. Each stream has its own room, so a slow one delays no other.
    """

    def __init__(self) -> None:
        self._windows: dict[int | str, _Window] = {}

    def open(self, stream: int | str, room: int) -> None:
        """Announce that the consumer of a stream has room for so many items."""
        self._windows[stream] = _Window(room)

    def grant(self, stream: int | str) -> None:
        """Allow one more item. Does nothing once the stream is closed."""
        window = self._windows.get(stream)
        if window is not None:
            window.room += 1
            window.news.unpark()

    def close(self, stream: int | str) -> None:
        """Stop holding the producer back, since the consumer is gone."""
        window = self._windows.pop(stream, None)
        if window is not None:
            window.news.unpark_all()

    async def spend(self, stream: int | str) -> None:
        """Wait for room before an item is sent. Returns at once for a stream that is not open."""
        await trio.lowlevel.checkpoint()
        window = self._windows.get(stream)
        if window is None:
            return
        while window.room <= 0 and self._windows.get(stream) is window:
            await window.news.park()
        window.room -= 1
