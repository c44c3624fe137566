"""Waiting for the answer to a request of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from trimcp.errors import RequestTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Raw

    from trimcp.protocol import Progress

__all__ = ["Pending", "ProgressCallback"]

ProgressCallback: TypeAlias = "Callable[[float, float | None, str | None], Awaitable[Any]]"


class Pending:
    """The inbox of one call: the latest progress, and the outcome.

    The callbacks run in the task that waits, one after another, and are done before the outcome
    is given back. Progress that arrives while a callback runs replaces what still waits, so a
    flood costs one slot.
    """

    __slots__ = ("_news", "_outcome", "_progress", "dropped")

    def __init__(self) -> None:
        self._news = trio.Event()
        self._progress: Progress | None = None
        self._outcome: Raw | Exception | None = None
        self.dropped = 0

    def report(self, progress: Progress) -> None:
        """Progress arrived."""
        if self._progress is not None:
            self.dropped += 1
        self._progress = progress
        self._news.set()

    def settle(self, outcome: Raw | Exception) -> None:
        """The outcome is known."""
        self._outcome = outcome
        self._news.set()

    async def wait(self, timeout: float, on_progress: ProgressCallback | None) -> Raw:
        """Wait for the outcome, running callbacks meanwhile.

        Args:
            timeout: Seconds to wait in all, the time spent in callbacks not counted.
            on_progress: Awaited with progress, total and message.

        Raises:
            RequestTimeout: The time is up.
            Exception: The outcome, if it is one.
        """
        while True:
            timeout -= await self._wait_news(timeout)
            if self._progress is not None:
                progress, self._progress = self._progress, None
                if on_progress is not None:
                    await on_progress(progress.progress, progress.total, progress.message)
            elif isinstance(self._outcome, Exception):
                raise self._outcome
            elif self._outcome is not None:
                return self._outcome

    async def _wait_news(self, timeout: float) -> float:
        """Wait until something is there; return the seconds it took."""
        began = trio.current_time()
        with trio.move_on_after(max(timeout, 0)) as scope:
            await self._news.wait()
        if scope.cancelled_caught and not self._news.is_set():
            raise RequestTimeout("no answer within the deadline")
        if self._outcome is None:
            self._news = trio.Event()
        return trio.current_time() - began
