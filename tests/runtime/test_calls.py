"""Waiting for an answer: which outcome counts, and whose time does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
import trio.testing
from msgspec import Raw

from trimcp import ProtocolViolation, RequestTimeout
from trimcp.errors import LimitExceeded
from trimcp.protocol._shapes import ChunkMeta, Progress
from trimcp.runtime._calls import Pending
from trimcp.runtime._chunks import Chunks

if TYPE_CHECKING:
    from trio.testing import MockClock

ANSWER = Raw(b"{}")


def report(number: float = 1, chunk: Any = None) -> Progress:
    meta = None if chunk is None else ChunkMeta(Raw(msgspec.json.encode(chunk)))
    return Progress(1, number, None, None, meta)


async def test_a_late_outcome_counts_though_the_time_is_up(autojump_clock: MockClock) -> None:
    """It is there, so it is given back, however late it is noticed."""
    pending = Pending()

    async def slow(*_: Any) -> None:
        pending.settle(ANSWER)
        await trio.sleep(100)

    pending.report(report())
    assert await pending.wait(5, slow) is ANSWER


async def test_an_outcome_behind_progress_counts_though_the_time_is_up(
    autojump_clock: MockClock,
) -> None:
    """The peer reports during the callback, whose time is then not given back."""
    pending = Pending()

    async def slow(*_: Any) -> None:
        if pending.outcome is None:
            pending.report(report(2))
            pending.settle(ANSWER)
            await trio.sleep(100)

    pending.report(report())
    assert await pending.wait(5, slow) is ANSWER


async def test_the_first_outcome_counts() -> None:
    pending = Pending()
    pending.settle(ProtocolViolation("first"))
    pending.settle(ANSWER)
    with pytest.raises(ProtocolViolation, match="first"):
        await pending.wait(5, None)


async def test_an_overflow_is_not_overwritten_by_the_answer() -> None:
    pending = Pending(Chunks(1))
    pending.report(report(1, "a"))
    pending.report(report(2, "b"))
    pending.settle(ANSWER)
    with pytest.raises(LimitExceeded, match="faster"):
        await pending.wait(5, None)


async def test_a_slow_consumer_of_chunks_does_not_eat_the_deadline(
    autojump_clock: MockClock,
) -> None:
    """Where the reader waits for the consumer, the server is not to blame."""
    chunks = Chunks(0)
    pending = Pending(chunks)
    pending.paced = True

    async def read() -> None:
        pending.report(report(1, "a"))
        await pending.deliver()
        await trio.sleep(4)
        pending.settle(ANSWER)

    async with trio.open_nursery() as nursery:

        async def consume() -> None:
            await trio.sleep(100)
            assert await chunks.take() == "a"

        nursery.start_soon(consume)
        assert await pending.run(5, read) is ANSWER


async def test_time_stands_still_while_paused(autojump_clock: MockClock) -> None:
    pending = Pending()
    pending.pause()
    pending.pause()

    async def later() -> None:
        await trio.sleep(100)
        pending.resume()
        await trio.sleep(100)
        pending.resume()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        began = trio.current_time()
        with pytest.raises(RequestTimeout):
            await pending.wait(5, None)
        assert trio.current_time() - began == pytest.approx(205)


async def test_the_time_of_a_callback_is_given_back_while_paused(
    autojump_clock: MockClock,
) -> None:
    pending = Pending()

    async def slow(*_: Any) -> None:
        pending.pause()
        await trio.sleep(3)
        resumed.set()

    resumed = trio.Event()

    async def later() -> None:
        await resumed.wait()
        await trio.sleep(50)
        assert pending.left == pytest.approx(5 + 3)
        pending.resume()

    pending.report(report())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        began = trio.current_time()
        with pytest.raises(RequestTimeout):
            await pending.wait(5, slow)
        assert trio.current_time() - began == pytest.approx(3 + 50 + 5 + 3)


async def test_what_is_left(autojump_clock: MockClock) -> None:
    pending = Pending()

    async def later() -> None:
        await trio.sleep(3)
        assert pending.left == pytest.approx(2)
        pending.settle(ANSWER)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        await pending.wait(5, None)
    await trio.sleep(10)
    assert pending.left == 0


async def test_no_chunk_follows_one_that_had_no_room() -> None:
    """A consumer gets all up to one point, and then the error: never with a gap."""
    chunks = Chunks(2)
    pending = Pending(chunks)
    for number in range(4):
        pending.report(report(number, number))
    assert [await chunks.take(), await chunks.take()] == [0, 1]
    pending.report(report(5, 5))
    with pytest.raises(trio.WouldBlock):
        chunks.take_nowait()
    assert isinstance(pending.outcome, LimitExceeded)
