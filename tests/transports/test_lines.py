"""Cutting a byte stream into lines, and message channels over a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from trimcp.limits import Limits
from trimcp.transports import Oversized, open_stream_channel
from trimcp.transports._lines import LineSplitter

if TYPE_CHECKING:
    from trimcp.transports import Incoming

#: Bytes that mean something to a splitter, and some that do not.
STREAMS = st.lists(
    st.sampled_from([b"\n", b"\n\n", b"\r\n", b"a", b"bc", b" ", b"\x00", b"\xff", b"d" * 7]),
    max_size=30,
).map(b"".join)


def split(pieces: list[bytes], limit: int) -> list[Incoming]:
    splitter = LineSplitter(limit)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return lines + splitter.end()


def expected(stream: bytes, limit: int) -> list[Incoming]:
    """The same, simply."""
    return [
        line if len(line) <= limit else Oversized(len(line))
        for line in stream.split(b"\n")
        if len(line) > limit or line.strip()
    ]


@examples(300)
@given(
    stream=STREAMS,
    cuts=st.lists(st.integers(0, 60), max_size=8),
    limit=st.integers(1, 12),
)
def test_any_chunking_gives_the_same_lines(stream: bytes, cuts: list[int], limit: int) -> None:
    ends = [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    assert b"".join(pieces) == stream
    assert split(pieces, limit) == expected(stream, limit)
    assert split([bytes([byte]) for byte in stream], limit) == expected(stream, limit)


def test_lines_come_as_soon_as_they_end() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"a") == []
    assert splitter.feed(b"b\nc\nd") == [b"ab", b"c"]
    assert splitter.feed(b"\n") == [b"d"]
    assert splitter.feed(b"e") == []
    assert splitter.end() == [b"e"]
    assert splitter.end() == []


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_limit_is_exact(limit: int) -> None:
    line = b"x" * limit
    assert split([line + b"\n"], limit) == [line]
    assert split([line + b"x\n"], limit) == [Oversized(limit + 1)]
    assert split([line, b"x", b"\n", b"y\n"], limit) == [Oversized(limit + 1), b"y"]
    assert split([line + b"x"], limit) == [Oversized(limit + 1)]


def test_blanks_count_too() -> None:
    """A line is never taken for a blank one merely because its bytes were skipped."""
    assert split([b" " * 11 + b"\n", b" " * 10 + b"\n"], 10) == [Oversized(11)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_long_line_costs_no_memory(size: int) -> None:
    splitter = LineSplitter(100)
    for _ in range(2000):
        assert splitter.feed(b"x" * size) == []
        assert len(splitter._partial._kept) <= 256
    assert splitter.feed(b"\nok\n") == [Oversized(2000 * size), b"ok"]


@pytest.mark.parametrize("size", [1, 9, 10_000])
def test_oversized_keeps_its_ends(size: int) -> None:
    line = bytes(range(65, 91)) * 400
    (oversized,) = split([line[at : at + size] for at in range(0, len(line), size)], 20)
    assert isinstance(oversized, Oversized)
    assert oversized.head[:21] == line[:21]
    assert line.startswith(oversized.head)
    assert len(oversized.head) <= 256
    assert oversized.tail == line[-256:]
    _, second = split([line + b"\n" + b"b" * 30], 20)
    assert isinstance(second, Oversized)
    assert second.head == second.tail == b"b" * 30


# -- over a stream ----------------------------------------------------------------------------


async def test_channel() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with open_stream_channel(theirs, Limits(message_bytes=10), peer="x") as channel:
        await ours.send_all(b"one\ntw")
        assert await channel.incoming.receive() == [b"one"]
        await ours.send_all(b"o\n" + b"x" * 11 + b"\n\n  \nthree")
        assert await channel.incoming.receive() == [b"two", Oversized(11)]
        channel.outbox.send_nowait(b"four")
        channel.outbox.send_nowait(b"five")
        assert await ours.receive_some() == b"four\nfive\n"
        await ours.send_eof()
        assert await channel.incoming.receive() == [b"three"]
        with pytest.raises(trio.EndOfChannel):
            await channel.incoming.receive()
        assert channel.failure is None
        # The other direction is still open.
        channel.outbox.send_nowait(b"six")
        await channel.flush()
        assert await ours.receive_some() == b"six\n"
    with pytest.raises(trio.ClosedResourceError):
        await theirs.send_all(b"x")


async def test_broken_stream() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with open_stream_channel(theirs, Limits(), peer="x") as channel:

        async def broken(_: int | None = None) -> bytes:
            raise trio.BrokenResourceError("reset")

        theirs.receive_stream.receive_some_hook = broken
        await ours.send_all(b"x\n")
        with pytest.raises(trio.EndOfChannel):
            await channel.incoming.receive()
        assert isinstance(channel.failure, trio.BrokenResourceError)


async def test_broken_write() -> None:
    """After a failed send nothing more is written, and who waits for room is told."""
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.aclose()
    async with open_stream_channel(theirs, Limits(), peer="x") as channel:
        channel.outbox.send_nowait(b"x")
        await channel.written.wait()
        assert isinstance(channel.failure, trio.BrokenResourceError)
        with pytest.raises(trio.BrokenResourceError):
            channel.outbox.send_nowait(b"y")
        await channel.flush()


async def test_reader_waits_for_its_consumer() -> None:
    """What arrives is not piled up: one batch waits, and the rest stays in the stream."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with open_stream_channel(theirs, Limits(), peer="x") as channel:
        for number in range(5):
            await ours.send_all(b"%d\n" % number)
            await trio.testing.wait_all_tasks_blocked()
        assert await channel.incoming.receive() == [b"0"]
        assert await channel.incoming.receive() == [b"1"]
        assert await channel.incoming.receive() == [b"2", b"3", b"4"]


async def test_leaving_with_an_error_is_bare() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(ZeroDivisionError):
        async with open_stream_channel(theirs, Limits(), peer="x"):
            raise ZeroDivisionError
    assert await ours.receive_some() == b""


async def test_leaving_ends_a_reader_that_waits_for_its_consumer(autojump_clock: object) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.fail_after(1):
        async with open_stream_channel(theirs, Limits(), peer="x"):
            for _ in range(3):
                await ours.send_all(b"x\n")
                await trio.testing.wait_all_tasks_blocked()


async def test_leaving_waits_for_nothing(autojump_clock: object) -> None:
    """The time for last messages is not used up where there are none."""
    _, theirs = trio.testing.memory_stream_pair()
    began = trio.current_time()
    async with open_stream_channel(theirs, Limits(), peer="x", farewell=5):
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == began
