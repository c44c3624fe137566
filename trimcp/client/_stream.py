"""The chunks and the result of a streaming tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from trimcp.types import CallToolResult

if TYPE_CHECKING:
    from trimcp.runtime import Chunks

__all__ = ["ToolStream"]


class ToolStream:
    """What `client.stream_tool` yields: iterate over it, then read `result`.

    Iterating raises the call's exception, after the chunks that came before it.
    """

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._left_with = ""
        self.outcome: CallToolResult | Exception | None = None

    def __aiter__(self) -> ToolStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._chunks.take()
        except trio.EndOfChannel:
            if isinstance(self.outcome, Exception):
                raise self.outcome from None
            raise StopAsyncIteration from None

    def arrived(self) -> list[Any]:
        """The chunks that have arrived and were not taken yet, without waiting for more.

        For consumers that are as fast as the connection: `async for` takes one chunk each time that
        the consumer's task runs, and hundreds may arrive meanwhile.
        """
        found = []
        try:
            while True:
                found.append(self._chunks.take_nowait())
        except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            return found

    @property
    def result(self) -> CallToolResult:
        """The tool's result.

        Raises:
            RuntimeError: The stream has not been read to its end, or has failed.
        """
        if isinstance(self.outcome, CallToolResult):
            return self.outcome
        if failure := self._failure():
            raise RuntimeError(f"the stream has no result, since it failed: {failure}")
        raise RuntimeError("the stream has no result yet: read it to the end")

    def _failure(self) -> str:
        """What the stream failed with, as words; empty if it did not."""
        if isinstance(self.outcome, Exception):
            return f"{type(self.outcome).__name__}: {self.outcome}"
        return self._left_with

    def leave(self) -> None:
        """Drop an error: it and the frames that it passed through would form a reference cycle."""
        if isinstance(self.outcome, Exception):
            self._left_with = self._failure()
            self.outcome = None
