"""A stream that records when its peer was last active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["WatchedStream"]

#: How many bytes are sent at a time. Only between two slices it is known that the peer reads.
_SLICE: Final = 64 * 1024


@attrs.define(eq=False)
class WatchedStream(trio.abc.Stream):
    """Passes all data on to another stream, and records the peer's activity.

    Only one task may send at a time. A send that meets the end of the output, which takes a
    checkpoint, raises `trio.ClosedResourceError`.

    Attributes:
        stream: The other stream.
        before_receive: Awaited each time before something is received.
        last_sign: When the peer last sent something, or read a part of something large. A small
            write proves nothing, since it may only be in a buffer.
    """

    stream: trio.abc.Stream
    before_receive: Callable[[], Awaitable[None]]
    last_sign: float = attrs.field(factory=trio.current_time)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await self.before_receive()
        data = await self.stream.receive_some(max_bytes)
        self.last_sign = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._send_all(memoryview(data))
        except trio.BusyResourceError:
            raise trio.ClosedResourceError("the output is being ended") from None

    async def _send_all(self, rest: memoryview) -> None:
        while len(rest) > _SLICE:
            await self.stream.send_all(rest[:_SLICE])
            self.last_sign = trio.current_time()
            rest = rest[_SLICE:]
        await self.stream.send_all(rest)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()
