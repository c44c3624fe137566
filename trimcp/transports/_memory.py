"""Two ends in one process: what one end sends, the other receives."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trimcp._groups import unwrapping

from ._budget import Budget
from ._channel import Incoming, MessageChannel, Outbox, Oversized, write_out
from ._pace import Pace
from ._partial import HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp.limits import Limits

__all__ = ["open_memory_channels"]


@asynccontextmanager
async def open_memory_channels(
    limits: Limits, other: Limits | None = None, *, budget: Budget | None = None
) -> AsyncIterator[tuple[MessageChannel, MessageChannel]]:
    """Two connected message channels.

    Args:
        limits: The limits of the first end; `message_bytes` bounds what it receives.
        other: The limits of the second end; by default the same.
        budget: Counts the bytes that the second end holds; by default a new one.
    """
    other = other or limits
    to_first, first_incoming = trio.open_memory_channel[list[Incoming]](1)
    to_second, second_incoming = trio.open_memory_channel[list[Incoming]](1)
    pace = Pace()
    near = Outbox(limits.outbox_bytes, Budget.of(limits))
    far = Outbox(other.outbox_bytes, budget or Budget.of(other))
    first = MessageChannel(first_incoming, near, "memory", pace=pace)
    second = MessageChannel(second_incoming, far, "memory", pace=pace)
    with unwrapping() as whole:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_carry, first, to_second, other.message_bytes)
            nursery.start_soon(_carry, second, to_first, limits.message_bytes)
            try:
                with whole.block():
                    yield first, second
            finally:
                nursery.cancel_scope.cancel(reason="the connection was closed")


def _within(limit: int, data: bytes) -> Incoming:
    if len(data) <= limit:
        return data
    return Oversized(len(data), data[:HEAD_BYTES], data[-HEAD_BYTES:])


async def _carry(
    channel: MessageChannel, feed: trio.MemorySendChannel[list[Incoming]], limit: int
) -> None:
    """Carry messages from the outbox of one end to the other end."""

    async def deliver(batch: list[bytes]) -> None:
        await feed.send([_within(limit, data) for data in batch])

    with feed:
        await write_out(channel, deliver)
