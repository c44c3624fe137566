"""Each check of `check_message_channel` notices what it is for.

The transport below is ours for memory, with one flaw at a time.
"""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import trio

from trimcp.testing import CHECKS, check_message_channel
from trimcp.transports import Incoming, MessageChannel, Outbox, Oversized

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trimcp.limits import Limits

    from .pairs import Ends


class Flawless:
    """A transport for memory that can be broken in many places."""

    def __init__(self) -> None:
        self.seen = 0

    outbox: ClassVar[type[Outbox]] = Outbox

    @asynccontextmanager
    async def open_pair(self, limits: Limits) -> AsyncIterator[Ends]:
        to_first, first_incoming = trio.open_memory_channel[list[Incoming]](1)
        to_second, second_incoming = trio.open_memory_channel[list[Incoming]](1)
        first = MessageChannel(first_incoming, self.outbox(limits.outbox_bytes), "broken")
        second = MessageChannel(second_incoming, self.outbox(limits.outbox_bytes), "broken")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.carry, first, to_second, limits.message_bytes)
            nursery.start_soon(self.carry, second, to_first, limits.message_bytes)
            yield self.end(first), self.end(second)
            nursery.cancel_scope.cancel()

    def end(self, channel: MessageChannel) -> AbstractAsyncContextManager[MessageChannel]:
        return self.opened(channel)

    @asynccontextmanager
    async def opened(self, channel: MessageChannel) -> AsyncIterator[MessageChannel]:
        try:
            yield channel
        finally:
            self.left(channel)

    def left(self, channel: MessageChannel) -> None:
        channel.outbox.abandon()
        channel.incoming.close()

    async def carry(
        self, channel: MessageChannel, feed: trio.MemorySendChannel[list[Incoming]], limit: int
    ) -> None:
        outbox = channel.outbox
        try:
            with feed:
                while True:
                    batch = await outbox.take()
                    whole = [each if len(each) <= limit else Oversized(len(each)) for each in batch]
                    arriving: list[Incoming] = []
                    for each in whole:
                        self.seen += 1
                        arriving += await self.passed(each)
                    if arriving:
                        await self.deliver(feed, arriving)
                    outbox.release(batch)
        except (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError):
            await self.over(channel)
        finally:
            outbox.abandon()
            channel.written.set()

    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        return [message]

    async def deliver(
        self, feed: trio.MemorySendChannel[list[Incoming]], batch: list[Incoming]
    ) -> None:
        await feed.send(batch)

    async def over(self, channel: MessageChannel) -> None:
        pass


class Loses(Flawless):
    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        return [] if self.seen == 200 else [message]


class Repeats(Flawless):
    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        return [message] * (1 + (self.seen == 200))


class Overtakes(Flawless):
    held: Incoming | None = None

    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        if self.seen == 200:
            self.held = message
            return []
        held, self.held = self.held, None
        return [message] if held is None else [message, held]


class TurnsOneWay(Flawless):
    """Fine in one direction after the other; at the same time messages change places."""

    slot: Incoming = b""

    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        self.slot = message
        await trio.lowlevel.checkpoint()
        return [self.slot]


class CutsLong(Flawless):
    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        return [message if isinstance(message, Oversized) else message[: 200 * 1024]]


class LosesOversized(Flawless):
    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        return [] if isinstance(message, Oversized) else [message]


class LosesAfterMany(Flawless):
    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        return [] if self.seen == 4096 else [message]


class SplitsLines(Flawless):
    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        if isinstance(message, Oversized):
            return [message]
        return [line.encode() for line in message.decode().splitlines()]


class Unbounded(Flawless):
    class outbox(Outbox):
        def __init__(self, limit: int) -> None:
            super().__init__(1 << 40)


class BoundedTwice(Flawless):
    class outbox(Outbox):
        def __init__(self, limit: int) -> None:
            super().__init__(2 * limit)


class NeverReleases(Flawless):
    class outbox(Outbox):
        def release(self, batch: list[bytes]) -> None:
            super().release([])
            self.waiting_bytes -= sum(map(len, batch)) - 1


class SaysNoEnd(Flawless):
    def __init__(self) -> None:
        super().__init__()
        self.clones: list[Any] = []

    async def deliver(
        self, feed: trio.MemorySendChannel[list[Incoming]], batch: list[Incoming]
    ) -> None:
        self.clones.append(feed.clone())
        await feed.send(batch)


class EndsTooSoon(Flawless):
    """A message of the last batch is lost at the end."""

    class outbox(Outbox):
        def close(self) -> None:
            self.abandon()


class AcceptsAfterTheEnd(Flawless):
    class outbox(Outbox):
        def send_nowait(self, data: bytes) -> None:
            try:
                super().send_nowait(data)
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                return


class EndsInDisorder(Flawless):
    def left(self, channel: MessageChannel) -> None:
        pass

    async def over(self, channel: MessageChannel) -> None:
        for each in self.channels:
            each.failure = OSError("connection reset")

    def __init__(self) -> None:
        super().__init__()
        self.channels: list[MessageChannel] = []

    def end(self, channel: MessageChannel) -> AbstractAsyncContextManager[MessageChannel]:
        self.channels.append(channel)
        return super().end(channel)


class HidesThatThePeerIsGone(Flawless):
    async def over(self, channel: MessageChannel) -> None:
        await trio.sleep_forever()


class ForgetsItsReader(Flawless):
    def left(self, channel: MessageChannel) -> None:
        channel.outbox.abandon()


class ForgetsItsSender(Flawless):
    class outbox(Outbox):
        def abandon(self) -> None:
            self._broken = True
            self._receive.close()

    def left(self, channel: MessageChannel) -> None:
        channel.incoming.close()


class WrapsErrors(Flawless):
    @asynccontextmanager
    async def opened(self, channel: MessageChannel) -> AsyncIterator[MessageChannel]:
        async with trio.open_nursery(), super().opened(channel):
            yield channel


class LosesWhenCancelled(Flawless):
    class Incoming:
        def __init__(self, real: trio.MemoryReceiveChannel[list[Incoming]]) -> None:
            self.real = real

        async def receive(self) -> list[Incoming]:
            batch = await self.real.receive()
            await trio.lowlevel.checkpoint()
            return batch

        def close(self) -> None:
            self.real.close()

    def end(self, channel: MessageChannel) -> AbstractAsyncContextManager[MessageChannel]:
        channel.incoming = self.Incoming(channel.incoming)  # type: ignore[assignment]
        return super().end(channel)


class SendsWhenCancelled(Flawless):
    class outbox(Outbox):
        async def send(self, data: bytes) -> None:
            try:
                await super().send(data)
            except trio.Cancelled:
                self._send.send_nowait(data)
                self.waiting_bytes += len(data)
                raise


class LeavesATaskWhenCancelled(Flawless):
    async def deliver(
        self, feed: trio.MemorySendChannel[list[Incoming]], batch: list[Incoming]
    ) -> None:
        try:
            await feed.send(batch)
        except trio.Cancelled:
            trio.lowlevel.spawn_system_task(trio.sleep_forever)
            raise


class HangsWhenCancelled(Flawless):
    async def deliver(
        self, feed: trio.MemorySendChannel[list[Incoming]], batch: list[Incoming]
    ) -> None:
        try:
            await feed.send(batch)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(1000)
            raise


class CrashesWhenCancelled(Flawless):
    async def deliver(
        self, feed: trio.MemorySendChannel[list[Incoming]], batch: list[Incoming]
    ) -> None:
        sent = False
        try:
            await feed.send(batch)
            sent = True
        finally:
            if not sent:
                raise RuntimeError("cannot be cancelled")


class LeavesADescriptor(Flawless):
    def left(self, channel: MessageChannel) -> None:
        LEFT_OPEN.append(os.open(os.devnull, os.O_RDONLY))
        super().left(channel)


class LeavesATask(Flawless):
    def left(self, channel: MessageChannel) -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        super().left(channel)


class StillSends(Flawless):
    class outbox(Outbox):
        def abandon(self) -> None:
            pass

    def left(self, channel: MessageChannel) -> None:
        channel.incoming.close()


class NeverWritten(Flawless):
    async def carry(
        self, channel: MessageChannel, feed: trio.MemorySendChannel[list[Incoming]], limit: int
    ) -> None:
        await super().carry(channel, feed, limit)

    def end(self, channel: MessageChannel) -> AbstractAsyncContextManager[MessageChannel]:
        channel.written = _Deaf()  # type: ignore[assignment]
        return super().end(channel)


class _Deaf:
    def set(self) -> None:
        pass

    def is_set(self) -> bool:
        return False


LEFT_OPEN: list[int] = []

#: Which check notices which flaw, and how it says so.
FLAWS: list[tuple[str, type[Flawless], str]] = [
    ("order", Loses, "message 200 of 300 should be"),
    ("order", Repeats, "message 201 of 300 should be"),
    ("order", Overtakes, "message 200 of 300 should be"),
    ("both directions", TurnsOneWay, "should be"),
    ("big messages", CutsLong, "message 1 of 3 should be"),
    ("big messages", LosesOversized, "an Oversized of 262145 bytes, and"),
    ("many small messages", LosesAfterMany, "message 4096 of 5000 should be"),
    ("any text", SplitsLines, "message 1 of 5 should be"),
    ("back-pressure", Unbounded, "some buffer has no bound"),
    ("back-pressure", BoundedTwice, "bytes wait in an outbox of 65536"),
    ("back-pressure", NeverReleases, "bytes still count as waiting"),
    ("end", SaysNoEnd, "something hangs"),
    ("end", EndsTooSoon, "the end came after"),
    ("end", AcceptsAfterTheEnd, "a message was accepted after flush"),
    ("end", EndsInDisorder, "`failure` is OSError"),
    ("peer gone", HidesThatThePeerIsGone, "something hangs"),
    ("own end", ForgetsItsReader, "something hangs"),
    ("own end", ForgetsItsSender, "something hangs"),
    ("own error", WrapsErrors, "came out instead of LookupError"),
    ("cancelled receive", LosesWhenCancelled, "something hangs"),
    ("cancelled send", SendsWhenCancelled, "lost, repeated or out of order"),
    ("cancelled", LeavesATaskWhenCancelled, "tasks are left behind"),
    ("cancelled", HangsWhenCancelled, "something hangs"),
    ("cancelled", CrashesWhenCancelled, "RuntimeError"),
    ("nothing left", LeavesADescriptor, "descriptors are left open"),
    ("nothing left", LeavesATask, "tasks are left behind"),
    ("nothing left", StillSends, "accepted after the end was left"),
    ("nothing left", NeverWritten, "`written` is not set"),
]


async def test_the_same_without_a_flaw(autojump_clock: trio.testing.MockClock) -> None:
    await check_message_channel(Flawless().open_pair)


def _id(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


@pytest.mark.parametrize(("check", "flaw", "text"), FLAWS, ids=_id)
async def test_a_flaw_is_noticed(
    check: str, flaw: type[Flawless], text: str, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(AssertionError) as caught:
        await check_message_channel(flaw().open_pair, only=[check])
    while LEFT_OPEN:
        os.close(LEFT_OPEN.pop())
    assert str(caught.value).startswith(f"{check}: ")
    assert text in str(caught.value)


def test_every_check_can_fail() -> None:
    assert {check for check, _, _ in FLAWS} == set(CHECKS)


async def test_all_checks_are_run_by_default(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(AssertionError, match=r"^cancelled: descriptors are left open"):
        await check_message_channel(LeavesADescriptor().open_pair)
    while LEFT_OPEN:
        os.close(LEFT_OPEN.pop())
