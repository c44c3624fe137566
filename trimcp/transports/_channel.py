"""A message channel, the common interface of transports: two bounded memory channels.

The transport's own tasks use the other ends: one reader that feeds `incoming`, and **one** writer
that empties the outbox. No other task reads from or writes to the connection.
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

#: How many messages may wait for the writer, of any size.
_OUTBOX_MESSAGES = 65_536

#: A mark in the outbox: the messages before and after it must not be sent in one write.
_PARTING: Final = b""


@attrs.frozen
class Oversized:
    """Replaces a message that was longer than the limit; its bytes were skipped.

    Attributes:
        size: How many bytes were skipped.
        head: The first of them, which may contain the id of the request.
        tail: The last of them, where some peers write the id of an answer.
        has_no_room: Whether it was short enough, but the budget had no room for it.
    """

    size: int
    head: bytes = attrs.field(default=b"", eq=False, repr=False)
    tail: bytes = attrs.field(default=b"", eq=False, repr=False)
    has_no_room: bool = False


Incoming: TypeAlias = "bytes | Oversized"


class Outbox:
    """Messages waiting for the writer, bounded in bytes.

    Args:
        limit: How many bytes may wait, including those being written. A message is always accepted
            when none waits.
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
            # Another sender has waited longer; small messages must not pass a large one forever.
            raise trio.WouldBlock
        self._put(data)

    def _put(self, data: bytes) -> None:
        """Queue one message if there is room, even if others wait. Raises as `send_nowait`."""
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
        """Queue one message, in the order of the calls. Waits for room.

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
        """Write messages that are sent from now on separately from those that already wait."""
        if self.waiting_bytes and not (self._closed or self._broken):
            with suppress(trio.WouldBlock):
                self._send.send_nowait(_PARTING)

    def close(self) -> None:
        """Accept no more messages; those that wait are still written."""
        self._closed = True
        self._send.close()
        self._room.unpark_all()

    def abandon(self) -> None:
        """Drop the waiting messages and refuse further ones, since the connection is broken."""
        self._broken = True
        self._receive.close()
        self._budget.give(self.waiting_bytes)
        self.waiting_bytes = 0
        self._room.unpark_all()
        if self.at_abandon is not None:
            self.at_abandon()

    async def take(self) -> list[bytes]:
        """For the writer: all waiting messages up to the next `part`, at least one.

        Raises:
            trio.EndOfChannel: The outbox was closed and is empty.
        """
        batch: list[bytes] = []
        while not batch:
            self._take_on(batch, await self._receive.receive())
        return batch

    def _take_on(self, batch: list[bytes], data: bytes) -> None:
        """Fill an empty batch up to the next mark of `part`; the first item may be such a mark."""
        try:
            while data or not batch:
                if data:
                    batch.append(data)
                data = self._receive.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return

    def release(self, batch: list[bytes]) -> None:
        """For the writer: these messages have been written."""
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
        incoming: Receives the messages of the peer, several at a time. Ends when the peer is gone
            or sends no more.
        outbox: Takes the messages to send.
        peer: A name for logs.
        drains: Whether the peer still wants answers after the end of its input (stdio). Otherwise
            the end of input means that the peer is gone.
        failure: The error that ended `incoming`, if one did.
        written: Set when the writer has ended.
        pace: Lets consumers hold producers back, if the peer is in this process.
        turn: Seconds that `part` waits, so that a peer in another process reads the earlier
            messages before the next one.
        goodbye: Why this side ends the connection, where the transport can tell the peer.
    """

    incoming: trio.MemoryReceiveChannel[list[Incoming]]
    outbox: Outbox
    peer: str
    drains: bool = False
    failure: BaseException | None = None
    written: trio.Event = attrs.field(factory=trio.Event)
    pace: Pace | None = None
    turn: float = 0.0
    goodbye: str | None = attrs.field(default=None, init=False)
    _stray: bytes = attrs.field(default=b"", init=False)
    _at_stray: Callable[[bytes], None] | None = attrs.field(default=None, init=False)

    def note_stray(self, stray: bytes) -> None:
        """For the reader: the beginning of input that cannot become a message; empty if none."""
        self._stray = stray
        if stray and self._at_stray is not None:
            self._at_stray(stray)

    def hear_stray(self, listener: Callable[[bytes], None]) -> None:
        """Call a function with the beginning of input that has not ended and cannot be a message.

        Args:
            listener: Called when more has arrived, and at once if something has arrived already.
        """
        self._at_stray = listener
        self.note_stray(self._stray)

    async def part(self) -> None:
        """Separate the next message from those before, so that the peer probably reads it alone.

        A checkpoint only if the channel has a `turn`. It cannot be cancelled, since the next
        message is already decided.
        """
        if self.turn:
            with trio.CancelScope(shield=True, relative_deadline=self.turn):
                await trio.sleep_forever()
        self.outbox.part()

    async def flush(self) -> None:
        """Accept no more messages; wait until all are written or the connection is broken."""
        self.outbox.close()
        await self.written.wait()


async def write_out(
    channel: MessageChannel,
    deliver: Callable[[list[bytes]], Awaitable[None]],
    farewell: float = 0.0,
) -> None:
    """The one writer: deliver all waiting messages in one write, until the outbox is closed.

    Args:
        channel: The channel of the outbox.
        deliver: Writes messages to the connection.
        farewell: Seconds to write what is sent after the writer was cancelled, such as a client's
            cancellations of its calls; if given, the caller closes the outbox.
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
        is_busy: Whether a message may be partly written, so that no other can follow it.
    """

    channel: MessageChannel
    deliver: Callable[[list[bytes]], Awaitable[None]]
    is_busy: bool = False

    async def run(self) -> None:
        """Write until the outbox is closed and empty, or the connection is broken."""
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
            # After a failed send the state of the stream is unknown.
            self.channel.failure = self.channel.failure or error
