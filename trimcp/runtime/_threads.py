"""Worker threads for synchronous tools, under a limiter of their own.

A thread cannot be cancelled. When its call is, the thread is abandoned: it goes on, its result
is dropped, and it is counted until it ends. `trio.from_thread.check_cancelled()` lets a tool
notice and stop by itself.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import trio

from trimcp.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimcp.limits import Limits

__all__ = ["ToolThreads"]


class ToolThreads:
    """Runs blocking functions.

    Args:
        limits: `threads` and `abandoned_threads` are used.

    Attributes:
        running: Threads at work, abandoned ones included.
        limiter: Bounds the threads; synchronous generators share it.
        abandoned: Threads whose call was cancelled and that still run.
    """

    def __init__(self, limits: Limits) -> None:
        self.limiter = trio.CapacityLimiter(limits.threads)
        self._limit = limits.abandoned_threads
        self.running = 0
        self.abandoned = 0

    async def run(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Run a function in a worker thread.

        Raises:
            LimitExceeded: Too many abandoned threads still run.
        """
        if self.abandoned >= self._limit:
            raise LimitExceeded(f"{self.abandoned} cancelled tools still run in their threads")
        work = _Work(self, functools.partial(function, **arguments))
        try:
            return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self.limiter)
        except trio.Cancelled:
            work.abandon()
            raise


class _Work:
    """One function in one thread. The counters are only touched in Trio's thread."""

    def __init__(self, threads: ToolThreads, function: Callable[[], Any]) -> None:
        self._threads = threads
        self._function = function
        self._token = trio.lowlevel.current_trio_token()
        self._started = False
        self._ended = False
        self._is_abandoned = False

    def __call__(self) -> Any:
        self._started = True
        self._threads.running += 1
        try:
            return self._function()
        finally:
            self._threads.running -= 1
            self._report()

    def _report(self) -> None:
        try:
            self._token.run_sync_soon(self._finish)
        except trio.RunFinishedError:
            # The program is over; nobody counts any more.
            return

    def _finish(self) -> None:
        self._ended = True
        if self._is_abandoned:
            self._threads.abandoned -= 1

    def abandon(self) -> None:
        if self._started and not self._ended:
            self._is_abandoned = True
            self._threads.abandoned += 1
