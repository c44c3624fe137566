"""Notifications on their way to the user's callbacks."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Inbox"]

#: Notifications that may wait for a slow callback; the newest are dropped and counted.
MAX_WAITING: Final = 1000


class Inbox:
    """Runs callbacks in a task of its own, one after another, in the order of arrival.

    Attributes:
        dropped: Notifications that came when too many were waiting.
    """

    def __init__(self) -> None:
        self._waiting: collections.deque[tuple[Callable[[Any], Awaitable[Any]], Any]] = (
            collections.deque()
        )
        self._accepted = 0
        self._done = 0
        self._news = trio.lowlevel.ParkingLot()
        self._progress = trio.lowlevel.ParkingLot()
        self._task: trio.lowlevel.Task | None = None
        self.dropped = 0

    def put(self, callback: Callable[[Any], Awaitable[Any]], argument: Any) -> None:
        """A notification arrived."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append((callback, argument))
        self._accepted += 1
        self._news.unpark()

    async def run(self) -> None:
        """Deliver for ever. An exception of a callback leaves, and ends the client."""
        self._task = trio.lowlevel.current_task()
        while True:
            while not self._waiting:
                await self._news.park()
            callback, argument = self._waiting.popleft()
            await callback(argument)
            self._done += 1
            self._progress.unpark_all()

    async def wait_caught_up(self) -> None:
        """Wait until the callbacks are done with what has arrived so far.

        A checkpoint only if there is something to wait for. Within a callback it returns at
        once, or the callback would wait for itself.
        """
        target = self._accepted
        if trio.lowlevel.current_task() is self._task:
            return
        while self._done < target:
            await self._progress.park()
