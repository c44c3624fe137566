"""A stream that knows when its peer last gave a sign of life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["WatchedStream"]

#: Bytes handed over at once. Only between two slices can be seen that the peer takes something.
_SLICE: Final = 64 * 1024


@attrs.define(eq=False)
class WatchedStream(trio.abc.Stream):
    """Passes everything on to another stream.

    Attributes:
        stream: The other stream.
        before_receive: Awaited each time before something is received.
        last_sign: When the peer last sent something, or took part of something large. That it
            takes something small means nothing: it may only have gone into a buffer.
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
        rest = memoryview(data)
        while len(rest) > _SLICE:
            await self.stream.send_all(rest[:_SLICE])
            self.last_sign = trio.current_time()
            rest = rest[_SLICE:]
        await self.stream.send_all(rest)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()
