"""A queue of notifications for the user's callbacks."""

from __future__ import annotations

import collections
import contextvars
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.runtime import awaited

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Inbox"]

#: How many notifications may wait for a slow callback; further ones are dropped and counted.
MAX_WAITING: Final = 1000


#: The callback in which the current task was started, if in any: a new object for each run.
_within: contextvars.ContextVar[object] = contextvars.ContextVar("_within", default=None)


class Inbox:
    """Runs callbacks in a task of its own, one after another, in the order of arrival.

    Attributes:
        dropped: How many notifications were dropped, since too many were waiting.
    """

    def __init__(self) -> None:
        self._waiting: collections.deque[tuple[Callable[[Any], object], Any]] = collections.deque()
        self._accepted = 0
        self._done = 0
        self._news = trio.lowlevel.ParkingLot()
        self._progress = trio.lowlevel.ParkingLot()
        self._running: object = None
        self._scope: trio.CancelScope | None = None
        self.dropped = 0

    def put(self, callback: Callable[[Any], object], argument: Any) -> None:
        """Add a notification and the callback that gets it; dropped if too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append((callback, argument))
        self._accepted += 1
        self._news.unpark()

    async def run(self) -> None:
        """Deliver until `stop`. An exception of a callback is raised, which ends the client."""
        with trio.CancelScope() as self._scope:
            await self._deliver()

    def stop(self) -> None:
        """End `run`, and cancel the callback that it runs."""
        if self._scope is not None:
            self._scope.cancel(reason="the client was closed")

    async def _deliver(self) -> None:
        while True:
            while not self._waiting:
                await self._news.park()
            callback, argument = self._waiting.popleft()
            self._running = object()
            _within.set(self._running)
            await awaited(callback(argument))
            self._running = None
            self._done += 1
            self._progress.unpark_all()

    async def wait_caught_up(self, seconds: float) -> None:
        """Wait until the callbacks have handled everything that has arrived so far.

        A checkpoint only if there is something to wait for. Within a callback, and in tasks that
        it has started, it returns at once, or the callback would wait for itself.

        Args:
            seconds: The maximum time to wait.
        """
        target = self._accepted
        if self._done >= target or (self._running and _within.get() is self._running):
            return
        with trio.move_on_after(seconds):
            while self._done < target:
                await self._progress.park()
