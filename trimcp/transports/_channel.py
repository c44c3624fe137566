"""What every transport is: a pair of bounded memory channels to one peer.

The transport's own tasks stand on the other ends of the pair: one reader that feeds `incoming`,
and the **one** writer that empties the outbox. Nobody else touches the wire.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import trio

from ._budget import Budget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._pace import Pace

__all__ = ["Incoming", "MessageChannel", "Outbox", "Oversized", "write_out"]

#: Messages that may wait for the writer, whatever their size.
_OUTBOX_MESSAGES = 65_536

#: Stands in the outbox where the writer may not write on in the same go.
_PARTING: Final = b""


@attrs.frozen
class Oversized:
    """Stands for a message that was longer than the limit; its bytes were skipped.

    Attributes:
        size: How many bytes were skipped.
        head: The first of them, which may say which request it was.
        tail: The last of them, where some write the id of an answer.
        has_no_room: Whether it was short enough, but other messages left no room for it.
    """

    size: int
    head: bytes = attrs.field(default=b"", eq=False, repr=False)
    tail: bytes = attrs.field(default=b"", eq=False, repr=False)
    has_no_room: bool = False


Incoming: TypeAlias = "bytes | Oversized"


class Outbox:
    """Messages waiting for the writer, bounded in bytes.

    Args:
        limit: Bytes that may wait, those being written included. A single message is always
            accepted when nothing waits.
        budget: Counts them together with those of other peers.

    Attributes:
        waiting_bytes: Bytes that wait, those being written included.
        accepted: How many messages have been queued so far.
        delivered: How many of them are on the wire.
        at_abandon: Called when what still waits is dropped.
    """

    def __init__(self, limit: int, budget: Budget | None = None) -> None:
        self._limit = limit
        self._budget = budget or Budget()
        self._send, self._receive = trio.open_memory_channel[bytes](_OUTBOX_MESSAGES)
        self._room = trio.lowlevel.ParkingLot()
        self._turn = trio.StrictFIFOLock()
        self._broken = False
        self._closed = False
        self.waiting_bytes = 0
        self.accepted = 0
        self.delivered = 0
        self.at_abandon: Callable[[], None] | None = None

    def send_nowait(self, data: bytes) -> None:
        """Queue one message.

        Raises:
            trio.WouldBlock: There is no room.
            trio.BrokenResourceError: The peer is gone.
            trio.ClosedResourceError: The outbox was closed on this side.
        """
        if self._turn.locked():
            # Somebody has waited longer; small messages must not pass a large one for ever.
            raise trio.WouldBlock
        self._put(data)

    def _put(self, data: bytes) -> None:
        """Queue one message if there is room, whoever waits. Raises as `send_nowait`."""
        if self._broken:
            raise trio.BrokenResourceError
        if self._closed:
            raise trio.ClosedResourceError
        size = len(data)
        if not self.waiting_bytes:
            self._budget.hold(size)
        elif self.waiting_bytes + size > self._limit or not self._budget.take(size):
            raise trio.WouldBlock
        self.waiting_bytes += size
        self.accepted += 1
        self._send.send_nowait(data)

    async def send(self, data: bytes) -> None:
        """Queue one message, waiting for room, in the order of arrival.

        Always a checkpoint. Raises as `send_nowait`, without WouldBlock.
        """
        await trio.lowlevel.checkpoint()
        try:
            self.send_nowait(data)
        except trio.WouldBlock:
            async with self._turn:
                await self._send_in_turn(data)

    async def _send_in_turn(self, data: bytes) -> None:
        while True:
            try:
                self._put(data)
            except trio.WouldBlock:
                await self._room.park()
            else:
                return

    def part(self) -> None:
        """Write what is sent from now on separately from what already waits."""
        if self.waiting_bytes and not (self._closed or self._broken):
            with suppress(trio.WouldBlock):
                self._send.send_nowait(_PARTING)

    def close(self) -> None:
        """Accept nothing more; what waits is still written."""
        self._closed = True
        self._send.close()
        self._room.unpark_all()

    def abandon(self) -> None:
        """Drop what waits and refuse everything, since the connection is broken."""
        self._broken = True
        self._receive.close()
        self._budget.give(self.waiting_bytes)
        self.waiting_bytes = 0
        self._room.unpark_all()
        if self.at_abandon is not None:
            self.at_abandon()

    async def take(self) -> list[bytes]:
        """For the writer: everything that waits up to the next parting, at least one message.

        Raises:
            trio.EndOfChannel: The outbox was closed and is empty.
        """
        batch: list[bytes] = []
        while not batch:
            self._take_on(batch, await self._receive.receive())
        return batch

    def _take_on(self, batch: list[bytes], data: bytes) -> None:
        """Fill an empty batch, beginning with what may be a parting from what was written."""
        try:
            while data or not batch:
                if data:
                    batch.append(data)
                data = self._receive.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return

    def release(self, batch: list[bytes]) -> None:
        """For the writer: these messages are on the wire."""
        if self._broken:
            return
        size = sum(map(len, batch))
        self.delivered += len(batch)
        self.waiting_bytes -= size
        self._budget.give(size)
        self._room.unpark_all()


@attrs.define(eq=False)
class MessageChannel:
    """Messages from and to one peer.

    Attributes:
        incoming: Receives what arrived, several messages at a time. Ends when the peer is gone
            or sends no more.
        outbox: Takes what is to be sent.
        peer: A name for logs.
        drains: Whether the end of input is only the end of the peer's questions (stdio), and
            the answers are still wanted. Elsewhere it means that the peer is gone.
        failure: Why `incoming` ended, unless it ended in good order.
        written: Set once the writer has nothing more to do.
        pace: Lets consumers hold producers back, where the peer is in this process.
        turn: Seconds that a peer in another process gets to read what is not to be read together
            with what follows; the loop sleeps for so long at most once, and only for that.
    """

    incoming: trio.MemoryReceiveChannel[list[Incoming]]
    outbox: Outbox
    peer: str
    drains: bool = False
    failure: BaseException | None = None
    written: trio.Event = attrs.field(factory=trio.Event)
    pace: Pace | None = None
    turn: float = 0.0
    _stray: bytes = attrs.field(default=b"", init=False)
    _at_stray: Callable[[bytes], None] | None = attrs.field(default=None, init=False)

    def note_stray(self, stray: bytes) -> None:
        """For the reader: what has come of a message that can be none; empty if nothing has."""
        self._stray = stray
        if stray and self._at_stray is not None:
            self._at_stray(stray)

    def hear_stray(self, listener: Callable[[bytes], None]) -> None:
        """Call a function with the beginning of a message that has not ended and can be none.

        Args:
            listener: Called whenever more has come, and at once if something has come already.
        """
        self._at_stray = listener
        self.note_stray(self._stray)

    async def part(self) -> None:
        """Write what is sent next, so that it is probably read, apart from what already waits.

        A checkpoint only on a channel that has a turn. Not cancelled, since what is to be sent
        next is known already.
        """
        if self.turn:
            with trio.CancelScope(shield=True, relative_deadline=self.turn):
                await trio.sleep_forever()
        self.outbox.part()

    async def flush(self) -> None:
        """Accept nothing more; wait until all is written or the connection is broken."""
        self.outbox.close()
        await self.written.wait()


async def write_out(
    channel: MessageChannel,
    deliver: Callable[[list[bytes]], Awaitable[None]],
    farewell: float = 0.0,
) -> None:
    """The one writer: take whatever waits, deliver it in one go, until the outbox is closed.

    Args:
        channel: Whose outbox it is.
        deliver: Puts messages on the wire.
        farewell: Seconds for what is sent in reaction to the writer's own cancellation, as a
            client's cancellations of its calls are; whoever gives some closes the outbox.
    """
    writer = _Writer(channel, deliver)
    try:
        await writer.run()
    finally:
        if farewell and not writer.is_busy:
            with trio.CancelScope(shield=True, relative_deadline=farewell):
                await writer.run()
        channel.outbox.abandon()
        channel.written.set()


@attrs.define(eq=False)
class _Writer:
    """Empties an outbox.

    Attributes:
        is_busy: Whether a message may be on the wire in part, so that none can follow it.
    """

    channel: MessageChannel
    deliver: Callable[[list[bytes]], Awaitable[None]]
    is_busy: bool = False

    async def run(self) -> None:
        """Write until the outbox is closed and empty, or the wire is broken."""
        outbox = self.channel.outbox
        try:
            while True:
                batch = await outbox.take()
                self.is_busy = True
                await self.deliver(batch)
                self.is_busy = False
                outbox.release(batch)
        except trio.EndOfChannel:
            pass
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            # A send that failed half-way leaves the stream in an unknown state.
            self.channel.failure = self.channel.failure or error
