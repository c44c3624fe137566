"""The outbox: bounded in bytes, fair, and broken for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from trimcp.transports import MessageChannel, Outbox, Oversized, write_out

if TYPE_CHECKING:
    from collections.abc import Callable


async def blocked(outbox: Outbox) -> bool:
    try:
        outbox.send_nowait(b"?")
    except trio.WouldBlock:
        return True
    return False


def channel_of(outbox: Outbox) -> MessageChannel:
    _, incoming = trio.open_memory_channel[list[bytes | Oversized]](1)
    return MessageChannel(incoming, outbox, "test")


async def test_order_and_batches() -> None:
    outbox = Outbox(100)
    for data in (b"a", b"b", b"c"):
        outbox.send_nowait(data)
    assert outbox.waiting_bytes == 3
    batch = await outbox.take()
    assert batch == [b"a", b"b", b"c"]
    # Until they are on the wire, they count.
    assert outbox.waiting_bytes == 3
    outbox.release(batch)
    assert outbox.waiting_bytes == 0


async def test_limit_is_exact() -> None:
    outbox = Outbox(10)
    outbox.send_nowait(b"12345")
    outbox.send_nowait(b"67890")
    with pytest.raises(trio.WouldBlock):
        outbox.send_nowait(b"x")
    assert outbox.waiting_bytes == 10
    outbox.release(await outbox.take())
    outbox.send_nowait(b"x")


async def test_one_message_is_always_accepted() -> None:
    outbox = Outbox(10)
    outbox.send_nowait(b"x" * 1000)
    with pytest.raises(trio.WouldBlock):
        outbox.send_nowait(b"x")
    outbox.release(await outbox.take())
    outbox.send_nowait(b"y" * 1000)


async def test_what_is_being_written_counts() -> None:
    outbox = Outbox(10)
    outbox.send_nowait(b"x" * 10)
    batch = await outbox.take()
    assert await blocked(outbox)
    outbox.release(batch)
    assert not await blocked(outbox)


async def test_senders_wait_for_room() -> None:
    """As many as fit go on; their order is Trio's."""
    outbox = Outbox(10)
    outbox.send_nowait(b"x" * 10)
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(outbox.send, b"%d" % number * 4)
            await trio.testing.wait_all_tasks_blocked()
        assert outbox.waiting_bytes == 10
        outbox.release(await outbox.take())
        await trio.testing.wait_all_tasks_blocked()
        assert outbox.waiting_bytes == 8
        batch = await outbox.take()
        assert len(batch) == 2
        outbox.release(batch)
    batch += await outbox.take()
    assert sorted(batch) == [b"0000", b"1111", b"2222"]


async def test_a_cancelled_sender_sends_nothing() -> None:
    outbox = Outbox(1)
    outbox.send_nowait(b"x")
    with trio.move_on_after(0) as scope:
        await outbox.send(b"y")
    assert scope.cancelled_caught
    outbox.release(await outbox.take())
    assert outbox.waiting_bytes == 0


async def test_send_is_a_checkpoint() -> None:
    outbox = Outbox(10)
    with trio.testing.assert_checkpoints():
        await outbox.send(b"x")


async def test_close_lets_the_rest_be_written() -> None:
    outbox = Outbox(10)
    outbox.send_nowait(b"a")
    outbox.close()
    with pytest.raises(trio.ClosedResourceError):
        outbox.send_nowait(b"b")
    assert await outbox.take() == [b"a"]
    with pytest.raises(trio.EndOfChannel):
        await outbox.take()


@pytest.mark.parametrize(
    ("end", "error"),
    [(Outbox.close, trio.ClosedResourceError), (Outbox.abandon, trio.BrokenResourceError)],
)
async def test_the_end_wakes_who_waits(end: object, error: type[Exception]) -> None:
    outbox = Outbox(1)
    outbox.send_nowait(b"x")
    raised: list[Exception] = []

    async def send() -> None:
        try:
            await outbox.send(b"y")
        except Exception as reason:
            raised.append(reason)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        assert raised == []
        end(outbox)  # type: ignore[operator]
    assert [type(reason) for reason in raised] == [error, error]


@pytest.mark.parametrize("end", [Outbox.close, Outbox.abandon])
async def test_nothing_is_parted_after_the_end(end: Callable[[Outbox], None]) -> None:
    """A handler that has reported progress may answer at any moment."""
    outbox = Outbox(10)
    outbox.send_nowait(b"x")
    end(outbox)
    outbox.part()


async def test_abandoned_for_good() -> None:
    """Whoever waits for answers to what was dropped is told at once."""
    outbox = Outbox(10)
    dropped: list[int] = []
    outbox.at_abandon = lambda: dropped.append(outbox.accepted - outbox.delivered)
    outbox.send_nowait(b"x")
    outbox.abandon()
    assert dropped == [1]
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError):
            outbox.send_nowait(b"y")
        with pytest.raises(trio.BrokenResourceError):
            await outbox.send(b"y")
    outbox.close()


@examples(50)
@given(
    limit=st.integers(1, 30),
    messages=st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=30),
)
def test_bound_holds_and_nothing_is_lost(limit: int, messages: list[bytes]) -> None:
    most = max(limit, *map(len, messages), 1)

    async def main() -> None:
        outbox = Outbox(limit)
        written: list[bytes] = []

        async def send_all() -> None:
            for data in messages:
                await outbox.send(data)
                assert outbox.waiting_bytes <= most
            outbox.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all)
            try:
                while True:
                    batch = await outbox.take()
                    assert outbox.waiting_bytes <= most
                    await trio.lowlevel.checkpoint()
                    written += batch
                    outbox.release(batch)
            except trio.EndOfChannel:
                pass
        assert written == messages
        assert outbox.waiting_bytes == 0

    trio.run(main)


async def test_who_waits_longest_is_next() -> None:
    """Small messages do not pass a large one for ever."""
    outbox = Outbox(10)
    sent: list[bytes] = []
    outbox.send_nowait(b"first")

    async def send(data: bytes) -> None:
        await outbox.send(data)
        sent.append(data)

    async with trio.open_nursery() as nursery:
        for data in (b"large" * 2, b"s", b"m" * 3, b"t"):
            nursery.start_soon(send, data)
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.WouldBlock):
            outbox.send_nowait(b"x")
        assert sent == []
        outbox.release(await outbox.take())
        await trio.testing.wait_all_tasks_blocked()
        assert sent == [b"largelarge"]
        outbox.release(await outbox.take())
    assert sent == [b"largelarge", b"s", b"mmm", b"t"]
    outbox.send_nowait(b"x")


@pytest.mark.parametrize("ending", ["written", "broken", "cancelled"])
async def test_bytes_count_until_they_are_written(ending: str) -> None:
    """The writer's own: what it has taken still takes room, until it is written or given up."""
    outbox = Outbox(10)
    channel = channel_of(outbox)
    may_end = trio.Event()
    written: list[bytes] = []

    async def deliver(batch: list[bytes]) -> None:
        await may_end.wait()
        if ending == "broken":
            raise trio.BrokenResourceError
        written.extend(batch)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_out, channel, deliver)
        outbox.send_nowait(b"12345")
        outbox.send_nowait(b"67890")
        await trio.testing.wait_all_tasks_blocked()
        assert outbox.waiting_bytes == 10
        with pytest.raises(trio.WouldBlock):
            outbox.send_nowait(b"x")
        assert (outbox.accepted, outbox.delivered) == (2, 0)
        if ending == "cancelled":
            nursery.cancel_scope.cancel()
        may_end.set()
        await trio.testing.wait_all_tasks_blocked()
        assert outbox.waiting_bytes == 0
        if ending == "written":
            assert (written, outbox.delivered) == ([b"12345", b"67890"], 2)
            outbox.send_nowait(b"x")
            outbox.close()
        else:
            with pytest.raises(trio.BrokenResourceError):
                outbox.send_nowait(b"x")


@pytest.mark.parametrize("is_writing", [False, True])
async def test_what_is_sent_after_a_cancellation(is_writing: bool, autojump_clock: object) -> None:
    """It is written until the outbox is closed; but nothing follows a part of a message."""
    outbox = Outbox(100)
    channel = channel_of(outbox)
    written: list[bytes] = []

    async def deliver(batch: list[bytes]) -> None:
        written.extend(batch)
        if batch == [b"half"]:
            await trio.sleep_forever()

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_out, channel, deliver, 5.0)
        outbox.send_nowait(b"first")
        await trio.testing.wait_all_tasks_blocked()
        if is_writing:
            outbox.send_nowait(b"half")
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
            assert channel.written.is_set() == is_writing
            if not is_writing:
                outbox.send_nowait(b"last")
                outbox.close()
                await channel.written.wait()
    assert written == [b"first", b"half" if is_writing else b"last"]
    assert trio.current_time() == began
    with pytest.raises(trio.BrokenResourceError):
        outbox.send_nowait(b"too late")
