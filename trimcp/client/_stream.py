"""The chunks and the result of a streaming tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimcp.types import CallToolResult

if TYPE_CHECKING:
    import trio

__all__ = ["ToolStream"]


class ToolStream:
    """What `client.stream_tool` yields: iterate over it, then look at `result`.

    Iterating raises what the call raised, after the chunks that came before.
    """

    def __init__(self, chunks: trio.MemoryReceiveChannel[Any]) -> None:
        self._chunks = chunks
        self.outcome: CallToolResult | Exception | None = None

    def __aiter__(self) -> ToolStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._chunks.__anext__()
        except StopAsyncIteration:
            if isinstance(self.outcome, Exception):
                raise self.outcome from None
            raise

    @property
    def result(self) -> CallToolResult:
        """The tool's result.

        Raises:
            RuntimeError: The stream has not been read to its end.
        """
        if not isinstance(self.outcome, CallToolResult):
            raise RuntimeError("the stream has no result yet: read it to its end")
        return self.outcome
