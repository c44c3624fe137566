"""Peers whose messages wait in an outbox, and peers at the other end of a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import trio

from trimcp.transports import Oversized

from ._connected import ConnectedPeer
from ._held import holding

if TYPE_CHECKING:
    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.protocol import Call, Connection, Exchange
    from trimcp.transports import Budget, MessageChannel

    from ._calls import ProgressCallback
    from ._held import Slots
    from ._life import Life
    from ._round import Responder

__all__ = ["READS_NOTHING", "ChannelPeer", "MessageQueue", "OutboxPeer"]

#: Why calls fail whose requests cannot be written.
READS_NOTHING: Final = "the peer reads nothing more"

#: Seconds that a peer which reads nothing more has for ending its output too, which says more.
_END_SECONDS: Final = 1.0


class MessageQueue(Protocol):
    """A queue of messages to send, bounded in bytes: an `Outbox`, or another of this interface.

    Attributes:
        waiting_bytes: Bytes that wait.
    """

    waiting_bytes: int

    def send_nowait(self, data: bytes) -> None:
        """Queue one message.

        Raises:
            trio.WouldBlock: There is no room.
            trio.BrokenResourceError: The peer is gone.
            trio.ClosedResourceError: The queue was closed on this side.
        """

    async def send(self, data: bytes) -> None:
        """Queue one message, in the order of the calls. Waits for room.

        Always a checkpoint. Raises as `send_nowait`, without WouldBlock.
        """

    def close(self) -> None:
        """Accept no more messages; those that wait are still sent."""


class OutboxPeer(ConnectedPeer):
    """A peer whose messages wait in an outbox; other code passes in the messages that it sends.

    Args:
        connection: The protocol's state.
        outbox: Takes the messages to send.
        responder: The role.
        limits: Bounds.
        name: A name for logs.
        life: The connection's life; by default a new one.
        budget: Counts the bytes that are held for the peer; by default a new one for this peer.
        slots: Counts the handlers of the connection; by default a new counter.
    """

    def __init__(
        self,
        connection: Connection,
        outbox: MessageQueue,
        responder: Responder,
        limits: Limits,
        name: str,
        *,
        life: Life | None = None,
        budget: Budget | None = None,
        slots: Slots | None = None,
    ) -> None:
        super().__init__(connection, responder, limits, name, life=life, budget=budget, slots=slots)
        self.outbox = outbox

    async def flush(self) -> None:
        self.outbox.close()
        await trio.lowlevel.checkpoint()

    @property
    def waiting_bytes(self) -> int:
        return self.outbox.waiting_bytes

    async def send(self, data: bytes | None) -> None:
        """Send one message, waiting for room. Always a checkpoint; nothing if None or empty.

        There is no error if the peer is gone: the reader notices it.
        """
        if not data:
            await trio.lowlevel.checkpoint()
            return
        try:
            await self.outbox.send(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def send_nowait(self, data: bytes | None) -> None:
        """Send one message; if there is no room, a task in the nursery waits and sends it."""
        if not data:
            return
        try:
            self.outbox.send_nowait(data)
        except trio.WouldBlock:
            self._send_later(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def finish(self, data: bytes | None, exchange: Exchange) -> None:
        if data is not None:
            try:
                self.outbox.send_nowait(data)
            except trio.WouldBlock:
                self._unsent += 1
                try:
                    with holding(self.budget, data, exchange) as answer:
                        await self.send(answer)
                finally:
                    self._unsent -= 1
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        if self.life.is_draining:
            self.life.settle()


class ChannelPeer(OutboxPeer):
    """The peer at the other end of a message channel.

    Args:
        connection: The protocol's state.
        channel: The way to the peer.
        responder: The role.
        limits: Bounds.
        eof_grace: Seconds that requests in flight get after the end of input, where the channel
            drains.
        budget: Counts the bytes that are held for the peer; by default a new one for this peer.
    """

    def __init__(
        self,
        connection: Connection,
        channel: MessageChannel,
        responder: Responder,
        limits: Limits,
        *,
        eof_grace: float = 5.0,
        budget: Budget | None = None,
    ) -> None:
        super().__init__(connection, channel.outbox, responder, limits, channel.peer, budget=budget)
        self.pace = channel.pace
        channel.outbox.at_abandon = self._on_abandoned
        self._channel = channel
        self._eof_grace = eof_grace

    async def _read(self) -> None:
        async for batch in self._channel.incoming:
            for data in batch:
                if isinstance(data, Oversized):
                    self._on_oversized(data)
                else:
                    self._dispatch(self.connection.receive(data))

    async def _carry(
        self, call: Call, data: bytes, timeout: float, on_progress: ProgressCallback | None
    ) -> Raw:
        outbox = self._channel.outbox
        try:
            await outbox.send(data)
            call.owner.place = outbox.accepted
            call.owner.sent = True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            call.owner.place = outbox.accepted + 1
            self.life.try_start(self._fail_unwritten)
        return await call.owner.wait(timeout, on_progress)  # type: ignore[no-any-return]

    def _on_abandoned(self) -> None:
        """Nothing more can be written: what still waited gets no answer."""
        if self._channel.outbox.delivered < self._channel.outbox.accepted:
            self.life.try_start(self._fail_unwritten)

    async def _fail_unwritten(self) -> None:
        """Fail the calls whose requests could not be written; others may still be answered."""
        with trio.move_on_after(_END_SECONDS):
            # All calls fail then, and the reason is a better one.
            await self.life.wait_lost()
            return
        for call in list(self.connection.calls()):
            if call.owner.place > self._channel.outbox.delivered:
                error = self.life.explain_loss(READS_NOTHING)
                error.__cause__ = self.failure
                call.owner.settle(error)

    def drain(self, deadline: float, reason: str | None = None) -> None:
        super().drain(deadline, reason)
        self._channel.goodbye = self.life.ending

    @property
    def failure(self) -> BaseException | None:
        """The error that ended the channel; None if there was none."""
        return self._channel.failure

    def _outlives_its_input(self) -> bool:
        if not self._channel.drains or self.failure is not None:
            return False
        self.life.is_draining = True
        scope = self.life.scope
        scope.deadline = min(scope.deadline, trio.current_time() + self._eof_grace)
        return True

    async def part(self) -> None:
        await self._channel.part()

    async def flush(self) -> None:
        await self._channel.flush()
