"""Things go wrong as written, every time the same."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trimcp import (
    Client,
    ConnectionLost,
    Limits,
    MCPError,
    RequestTimeout,
    Server,
    open_stream_client,
)
from trimcp.testing import (
    Break,
    Chop,
    Delay,
    Drop,
    Duplicate,
    Fault,
    Faults,
    FaultyStream,
    Garble,
    Stall,
    faulty,
    open_faulty,
    open_memory_channels,
    open_memory_client,
    open_raw_peer,
    random_faults,
)
from trimcp.types import TextContent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trio.testing import MockClock

    from trimcp.transports import MessageChannel

FIVE = [b"%d" % n for n in range(1, 6)]


@asynccontextmanager
async def wired(
    *, sending: Sequence[Fault] = (), receiving: Sequence[Fault] = ()
) -> AsyncIterator[tuple[MessageChannel, MessageChannel]]:
    """A faulty channel and its sound other end."""
    async with (
        open_memory_channels(Limits()) as (one, other),
        open_faulty(one, Faults(sending, receiving)) as broken,
    ):
        yield broken, other


async def arriving(channel: MessageChannel, wanted: int = 100) -> list[Any]:
    """What arrives within a minute, with the seconds it took unless none."""
    began = trio.current_time()
    found: list[Any] = []
    with trio.move_on_after(60):
        async for batch in channel.incoming:
            for each in batch:
                late = round(trio.current_time() - began, 3)
                found.append((each, late) if late else each)
            if len(found) >= wanted:
                break
    return found


async def send_all(channel: MessageChannel, messages: Sequence[bytes] = FIVE) -> None:
    for data in messages:
        await channel.outbox.send(data)


CASES: list[tuple[list[Fault], list[Any]]] = [
    ([], FIVE),
    ([Drop(2)], [b"1", b"3", b"4", b"5"]),
    ([Drop(1), Drop(5)], [b"2", b"3", b"4"]),
    ([Duplicate(5)], [*FIVE, b"5"]),
    ([Duplicate(2), Duplicate(2)], [b"1", b"2", b"2", b"2", b"2", b"3", b"4", b"5"]),
    ([Garble(3)], [b"1", b"2", b"\xff", b"4", b"5"]),
    ([Delay(10, n=4)], [b"1", b"2", b"3", (b"4", 10), (b"5", 10)]),
    ([Delay(1)], [(b"1", 1), (b"2", 2), (b"3", 3), (b"4", 4), (b"5", 5)]),
    ([Stall(3)], [b"1", b"2", b"3"]),
    ([Stall(0)], []),
    ([Break(3)], [b"1", b"2", b"3"]),
    ([Break(0)], []),
    (
        [Drop(1), Duplicate(2), Garble(3), Delay(2, n=4)],
        [b"2", b"2", b"\xff", (b"4", 2), (b"5", 2)],
    ),
]


@pytest.mark.parametrize(("faults", "expected"), CASES, ids=lambda value: str(value)[:30])
async def test_sending(faults: list[Fault], expected: list[Any], autojump_clock: MockClock) -> None:
    async with wired(sending=faults) as (broken, sound), trio.open_nursery() as nursery:
        nursery.start_soon(quietly, send_all, broken)
        assert await arriving(sound) == expected


@pytest.mark.parametrize(("faults", "expected"), CASES, ids=lambda value: str(value)[:30])
async def test_receiving(
    faults: list[Fault], expected: list[Any], autojump_clock: MockClock
) -> None:
    async with wired(receiving=faults) as (broken, sound), trio.open_nursery() as nursery:
        nursery.start_soon(quietly, send_all, sound)
        assert await arriving(broken) == expected


async def quietly(function: Any, *arguments: Any) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await function(*arguments)


@pytest.mark.parametrize("direction", ["sending", "receiving"])
async def test_breaking_is_noticed_on_both_sides(direction: str, autojump_clock: MockClock) -> None:
    async with wired(**{direction: [Break(2)]}) as (broken, sound):
        talker = broken if direction == "sending" else sound
        hearer = sound if direction == "sending" else broken
        await send_all(talker, FIVE[:2])
        assert await arriving(hearer) == FIVE[:2]
        for channel in (broken, sound):
            with pytest.raises(trio.EndOfChannel):
                await channel.incoming.receive()
            # The first may still be taken, before the writer learns that nobody listens.
            await quietly(channel.outbox.send, b"x")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
                await channel.outbox.send(b"x")
        assert "broken on purpose after 2 messages" in str(broken.failure)
        await broken.flush()


async def test_stalling_is_back_pressure(autojump_clock: MockClock) -> None:
    async with (
        open_memory_channels(Limits()) as (one, _),
        open_faulty(one, Faults([Stall(0)]), outbox_bytes=10) as broken,
    ):
        with trio.move_on_after(100) as scope:
            for _ in range(11):
                await broken.outbox.send(b"x")
        assert scope.cancelled_caught
        assert broken.outbox.waiting_bytes == 10


async def test_the_seed_decides_where(autojump_clock: MockClock) -> None:
    def garbled(seed: int) -> bytes:
        script, _ = Faults([Garble(1)], seed=seed).scripts()
        (data,) = script.apply(b"abcdefgh", units=1)
        return data

    found = [garbled(seed) for seed in range(20)]
    assert found == [garbled(seed) for seed in range(20)]
    assert len(set(found)) > 3
    assert all(len(each) == 8 and each.count(b"\xff") == 1 for each in found)


def test_random_faults() -> None:
    scripts = [random_faults(seed, count=200, rate=0.5) for seed in range(10)]
    assert scripts == [random_faults(seed, count=200, rate=0.5) for seed in range(10)]
    assert len(set(scripts)) == 10
    assert {type(each) for script in scripts for each in script} == {Drop, Duplicate, Garble, Delay}
    assert all(70 < len(script) < 130 for script in scripts)
    assert random_faults(1, rate=0) == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Drop(0),
        lambda: Duplicate(-1),
        lambda: Garble(0),
        lambda: Delay(-1),
        lambda: Delay(1, n=0),
        lambda: Stall(-1),
        lambda: Break(-1),
        lambda: Chop(0),
    ],
)
def test_numbers_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ValueError, match=r"got (0|-1)"):
        make()


def test_what_is_no_fault() -> None:
    with pytest.raises(TypeError, match="'drop' is no fault"):
        Faults(sending=["drop"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="Chop is about bytes"):
        faulty(Server("s"), Faults(receiving=[Chop(1)]))


# -- streams ----------------------------------------------------------------------------------


async def streamed(data: bytes, faults: Sequence[Fault], *, receiving: bool) -> list[Any]:
    """What the other side of a stream gets, piece by piece, and how it ends."""
    one, other = trio.testing.memory_stream_pair()
    wrapped = FaultyStream(one, Faults(receiving=faults) if receiving else Faults(faults))
    sender, receiver = (other, wrapped) if receiving else (wrapped, other)
    pieces: list[Any] = []

    async def send() -> None:
        await sender.send_all(data)
        await sender.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(quietly, send)
        with trio.move_on_after(60) as scope:
            try:
                while piece := await receiver.receive_some():
                    pieces.append(bytes(piece))
                pieces.append("end")
            except trio.BrokenResourceError:
                pieces.append("broken")
        if scope.cancelled_caught:
            pieces.append("silence")
        nursery.cancel_scope.cancel()
    return pieces


STREAMS: list[tuple[list[Fault], bytes, str, str]] = [
    ([], b"abcdef", "end", "end"),
    ([Drop(1)], b"bcdef", "end", "end"),
    ([Drop(6)], b"abcde", "end", "end"),
    ([Duplicate(3)], b"abccdef", "end", "end"),
    ([Garble(2)], b"a\xffcdef", "end", "end"),
    ([Delay(5)], b"abcdef", "end", "end"),
    ([Delay(70, n=3)], b"ab", "silence", "silence"),
    ([Stall(4)], b"abcd", "silence", "silence"),
    # Closed by the breaking side, so the other reads an end; itself it is told why.
    ([Break(4)], b"abcd", "end", "broken"),
    ([Break(0)], b"", "end", "broken"),
    ([Chop(1), Break(2)], b"ab", "end", "broken"),
]


@pytest.mark.parametrize(("faults", "data", "sent", "received"), STREAMS)
async def test_bytes(
    faults: list[Fault], data: bytes, sent: str, received: str, autojump_clock: MockClock
) -> None:
    for receiving, end in ((False, sent), (True, received)):
        *pieces, last = await streamed(b"abcdef", faults, receiving=receiving)
        assert b"".join(pieces) == data
        assert last == end


async def test_single_bytes(autojump_clock: MockClock) -> None:
    pieces = [b"a", b"b", b"c", b"d", "end"]
    assert await streamed(b"abcd", [Chop()], receiving=True) == pieces
    one, other = trio.testing.lockstep_stream_pair()
    stream = FaultyStream(one, Faults([Chop(3)]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, b"abcdefgh")
        assert [await other.receive_some() for _ in range(3)] == [b"abc", b"def", b"gh"]


async def test_no_more_than_asked_for(autojump_clock: MockClock) -> None:
    one, other = trio.testing.memory_stream_pair()
    stream = FaultyStream(one, Faults(receiving=[Duplicate(1)]))
    await other.send_all(b"ab")
    assert [await stream.receive_some(1) for _ in range(3)] == [b"a", b"a", b"b"]


async def test_closing_wakes_a_stalled_stream(autojump_clock: MockClock) -> None:
    one, _ = trio.testing.memory_stream_pair()
    stream = FaultyStream(one, Faults([Stall(0)], [Stall(0)]))

    async def wait(operation: Any, *arguments: Any) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await operation(*arguments)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, stream.receive_some)
        nursery.start_soon(wait, stream.send_all, b"x")
        await trio.testing.wait_all_tasks_blocked()
        await stream.aclose()


async def test_breaking_one_direction_breaks_the_other(autojump_clock: MockClock) -> None:
    one, _ = trio.testing.memory_stream_pair()
    stream = FaultyStream(one, Faults(sending=[Break(2)]))

    async def listen() -> None:
        with pytest.raises(trio.BrokenResourceError, match="after 2 bytes"):
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError, match="after 2 bytes"):
            await stream.send_all(b"abc")
    with pytest.raises(trio.BrokenResourceError):
        await stream.wait_send_all_might_not_block()


# -- what client and server make of it ---------------------------------------------------------


def make_server() -> Server[None]:
    server: Server[None] = Server("faulty", version="1")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    return server


async def call(client: Client, timeout: float | None = None) -> int:
    result = await client.call_tool("add", {"a": 1, "b": 2}, timeout=timeout)
    (content,) = result.content
    assert isinstance(content, TextContent)
    return int(content.text)


async def test_a_lost_request_times_out(autojump_clock: MockClock) -> None:
    async with open_memory_client(faulty(make_server(), Faults(sending=[Drop(2)]))) as client:
        with pytest.raises(RequestTimeout):
            await call(client, timeout=5)
        assert await call(client) == 3


async def test_a_lost_answer_times_out(autojump_clock: MockClock) -> None:
    async with open_memory_client(faulty(make_server(), Faults(receiving=[Drop(2)]))) as client:
        with pytest.raises(RequestTimeout):
            await call(client, timeout=5)
        assert await call(client) == 3


async def test_a_late_answer_is_waited_for(autojump_clock: MockClock) -> None:
    faults = Faults(receiving=[Delay(30, n=2)])
    async with open_memory_client(faulty(make_server(), faults)) as client:
        began = trio.current_time()
        assert await call(client) == 3
        assert trio.current_time() - began == pytest.approx(30)


async def test_a_broken_connection_is_lost(autojump_clock: MockClock) -> None:
    faults = Faults(receiving=[Break(1)])
    async with open_memory_client(faulty(make_server(), faults)) as client:
        with pytest.raises(ConnectionLost):
            await call(client)


async def test_garbled_and_doubled_messages(autojump_clock: MockClock) -> None:
    faults = Faults(sending=[Garble(1), Duplicate(2)])
    async with open_raw_peer(faulty(make_server(), faults)) as peer:
        await peer.send({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert (await peer.receive())["error"]["code"] == -32700
        await peer.send({"jsonrpc": "2.0", "id": 2, "method": "ping"})
        answers = [await peer.receive(), await peer.receive()]
        assert [answer["id"] for answer in answers] == [2, 2]


async def test_every_connection_begins_anew(autojump_clock: MockClock) -> None:
    server = faulty(make_server(), Faults(receiving=[Break(2)]))
    for _ in range(2):
        async with open_memory_client(server) as client:
            assert await call(client) == 3
            with pytest.raises(ConnectionLost):
                await call(client)


async def test_lines_in_single_bytes(autojump_clock: MockClock) -> None:
    one, other = trio.testing.memory_stream_pair()
    single = Faults(sending=[Chop()], receiving=[Chop()])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make_server().serve_stream, other)
        async with open_stream_client(FaultyStream(one, single)) as client:
            assert await call(client) == 3
        nursery.cancel_scope.cancel()


@given(seeds=st.tuples(st.integers(), st.integers()))
def test_whatever_happens_a_call_ends(seeds: tuple[int, int]) -> None:
    """Lost, doubled, unreadable, late: a call has its result or an error of ours, in time."""

    async def main() -> None:
        sending, receiving = (random_faults(seed, count=30, rate=0.3) for seed in seeds)
        server = faulty(make_server(), Faults(sending, receiving, seed=seeds[0]))
        with trio.fail_after(3_000):
            try:
                async with open_memory_client(server) as client:
                    for _ in range(10):
                        try:
                            assert await call(client) == 3
                        except MCPError:
                            continue
            except MCPError:
                return

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
