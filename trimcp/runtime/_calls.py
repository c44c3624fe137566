"""Waiting for the answer to a request of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import trio
from msgspec import UnsetType

from trimcp.errors import LimitExceeded, RequestTimeout

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

    Args:
        chunks: Takes the chunks of a streaming tool. When it is full the call fails.
    """

    __slots__ = ("_chunks", "_news", "_outcome", "_progress", "dropped")

    def __init__(self, chunks: trio.MemorySendChannel[Any] | None = None) -> None:
        self._chunks = chunks
        self._news = trio.Event()
        self._progress: Progress | None = None
        self._outcome: Raw | Exception | None = None
        self.dropped = 0

    def report(self, progress: Progress) -> None:
        """Progress arrived, and perhaps a chunk with it."""
        if self._chunks is not None and progress.meta is not None:
            self._take_chunk(self._chunks, progress.meta.chunk)
        if self._progress is not None:
            self.dropped += 1
        self._progress = progress
        self._news.set()

    def _take_chunk(self, chunks: trio.MemorySendChannel[Any], chunk: Raw | UnsetType) -> None:
        if isinstance(chunk, UnsetType):
            return
        try:
            chunks.send_nowait(msgspec.json.decode(chunk))
        except trio.WouldBlock:
            # The reader may not wait for a consumer, and chunks may not be lost silently.
            self.settle(LimitExceeded("the chunks came faster than they were taken"))
        except trio.BrokenResourceError:
            # Nobody takes them any more; the call is about to be cancelled.
            return

    def settle(self, outcome: Raw | Exception) -> None:
        """The outcome is known; the first one counts."""
        if self._outcome is None:
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
