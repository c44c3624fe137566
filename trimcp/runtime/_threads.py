"""Worker threads for synchronous tools, with their own limiter.

A thread cannot be cancelled. When its call is cancelled, the thread is abandoned: it goes on, its
result is dropped, and it is counted until it ends. `trio.from_thread.check_cancelled()` lets a tool
notice and stop by itself.
"""

from __future__ import annotations

import functools
import inspect
import threading
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
        limiter: Bounds the threads; synchronous generators share it.
        abandoned: How many threads still run although their call was cancelled.
    """

    def __init__(self, limits: Limits) -> None:
        self.limiter = trio.CapacityLimiter(limits.threads)
        self.abandoned = 0
        self._limit = limits.abandoned_threads

    @property
    def running(self) -> int:
        """How many threads run, including abandoned ones."""
        return self.limiter.borrowed_tokens

    async def run(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Run a function in a worker thread.

        Returns:
            What it returned. That may be a coroutine, which has not been awaited yet.

        Raises:
            LimitExceeded: Too many abandoned threads still run.
        """
        if self.abandoned >= self._limit:
            raise LimitExceeded(f"{self.abandoned} cancelled tools still run in their threads")
        work = _Work(self, functools.partial(function, **arguments))
        try:
            # In a tuple, since Trio raises an error for a returned coroutine.
            (result,) = await trio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self.limiter
            )
        except trio.Cancelled:
            work.abandon()
            raise
        work.raise_error()
        return result


class _Work:
    """One function in one thread, which either starts or is abandoned before."""

    def __init__(self, threads: ToolThreads, function: Callable[[], Any]) -> None:
        self._threads = threads
        self._function = function
        self._token = trio.lowlevel.current_trio_token()
        self._lock = threading.Lock()
        self._started = False
        self._is_abandoned = False
        self._error: BaseException | None = None

    def __call__(self) -> tuple[Any]:
        """Run the function; its exception is kept for `raise_error`.

        Trio would keep a raised error and its frames, which would form a reference cycle.
        """
        with self._lock:
            if self._is_abandoned:
                return (None,)
            self._started = True
        result: Any = None
        try:
            result = self._function()
        except BaseException as error:
            self._error = error
        with self._lock:
            self._started = False
            counted = self._is_abandoned
            if counted:
                self._error = None
        if counted:
            self._report()
        if counted and inspect.iscoroutine(result):
            result.close()  # it will never be awaited
        return (result,)

    def raise_error(self) -> None:
        """Raise what the function raised, once."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # An error and its frames would form a reference cycle.
                del error

    def _report(self) -> None:
        try:
            self._token.run_sync_soon(self._forget)
        except trio.RunFinishedError:
            # The program is over, and the count is not needed any more.
            return

    def _forget(self) -> None:
        self._threads.abandoned -= 1

    def abandon(self) -> None:
        """The call was cancelled; in Trio's thread."""
        with self._lock:
            self._is_abandoned = True
            self._error = None
            if self._started:
                self._threads.abandoned += 1
