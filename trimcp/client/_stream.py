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

    @property
    def result(self) -> CallToolResult:
        """The tool's result.

        Raises:
            RuntimeError: The stream has not been read to its end.
        """
        if not isinstance(self.outcome, CallToolResult):
            raise RuntimeError("the stream has no result yet: read it to the end")
        return self.outcome

    def leave(self) -> None:
        """Drop an error: it and the frames that it passed through would form a reference cycle."""
        if isinstance(self.outcome, Exception):
            self.outcome = None
