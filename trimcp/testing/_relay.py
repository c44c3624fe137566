"""A channel before another channel, which passes on every message separately.

Recording and faults both use it: the protocol's own code on each side sees an ordinary
`MessageChannel`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import trio

from trimcp._groups import unwrapping
from trimcp.transports import Incoming, MessageChannel, Outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

__all__ = ["BrokenOnPurpose", "Gate", "open_relay"]


class BrokenOnPurpose(trio.BrokenResourceError):
    """The test has broken the connection on purpose."""


class Gate(Protocol):
    """Handles the messages of one direction of a relay."""

    async def before(self) -> None:
        """Called before waiting for each message.

        Raises:
            BrokenOnPurpose: The connection must break now, in both directions.
        """

    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        """The messages to pass on in place of this message. Raises as `before`."""


@asynccontextmanager
async def open_relay(
    channel: MessageChannel, *, sending: Gate, receiving: Gate, outbox_bytes: int
) -> AsyncIterator[MessageChannel]:
    """A channel to the same peer, with a gate in each direction.

    Args:
        channel: The channel; from now on it is used only through the relay.
        sending: The gate for what the holder of the relay sends.
        receiving: The gate for what the holder receives.
        outbox_bytes: Bytes that may wait before the gate, in addition to those after it.
    """
    feed, incoming = trio.open_memory_channel[list[Incoming]](0)
    near = MessageChannel(incoming, Outbox(outbox_bytes), channel.peer, channel.drains)
    relay = _Relay(channel, near)
    with unwrapping() as whole:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay.carry_in, feed, receiving)
            nursery.start_soon(relay.carry_out, sending)
            try:
                with whole.block():
                    yield near
            finally:
                nursery.cancel_scope.cancel(reason="the relay was closed")


class _Relay:
    """Two tasks that carry messages, and their shared state.

    Args:
        far: The channel to the peer.
        near: The channel that the relay's holder uses.
    """

    def __init__(self, far: MessageChannel, near: MessageChannel) -> None:
        self._far = far
        self._near = near
        self._in = trio.CancelScope()
        self._out = trio.CancelScope()

    def _break(self, error: BaseException) -> None:
        self._near.failure = self._near.failure or error
        self._in.cancel(reason="broken on purpose")
        self._out.cancel(reason="broken on purpose")

    async def carry_in(self, feed: trio.MemorySendChannel[list[Incoming]], gate: Gate) -> None:
        near, far = self._near, self._far
        try:
            with self._in, feed:
                await gate.before()
                async for batch in far.incoming:
                    for message in batch:
                        for each in await gate.passed(message):
                            await feed.send([each])
                        await gate.before()
                near.failure = near.failure or far.failure
        except BrokenOnPurpose as error:
            self._break(error)
        except trio.BrokenResourceError:
            pass  # The holder does not receive any more.
        finally:
            # A sender that still sends gets an error.
            far.incoming.close()

    async def carry_out(self, gate: Gate) -> None:
        near, far = self._near, self._far
        try:
            with self._out:
                await self._carry_out(gate)
        except BrokenOnPurpose as error:
            self._break(error)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            near.failure = near.failure or error
        finally:
            near.outbox.abandon()
            if self._out.cancel_called:
                near.written.set()
        # Messages after the gate still arrive.
        await far.flush()
        near.written.set()

    async def _carry_out(self, gate: Gate) -> None:
        outbox = self._near.outbox
        try:
            await gate.before()
            while True:
                batch = await outbox.take()
                for data in batch:
                    for each in await gate.passed(data):
                        assert isinstance(each, bytes)
                        await self._far.outbox.send(each)
                    await gate.before()
                outbox.release(batch)
        except trio.EndOfChannel:
            return
