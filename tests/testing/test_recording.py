"""Recorded wires: what is noted, how it is written, and how two are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import JSON_VALUES
from trimcp import Context, Server, open_client
from trimcp.limits import Limits
from trimcp.testing import (
    Transcript,
    assert_transcript,
    open_memory_channels,
    open_memory_client,
    open_raw_peer,
    open_recorded,
    recorded,
    stateless,
)
from trimcp.transports import Oversized

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from trimcp.transports import MessageChannel

server = Server("recorded", version="1")


@server.tool
async def add(a: int, b: int, ctx: Context) -> int:
    await ctx.report_progress(1, 2)
    return a + b


async def test_a_client_is_recorded(autojump_clock: MockClock) -> None:
    transcript = Transcript()
    async with open_memory_client(recorded(server, transcript)) as client:
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == 3
    assert [entry.arrow for entry in transcript] == ["->", "<-", "->", "<-"]
    sent = transcript.said("->")
    assert [each["method"] for each in sent] == ["server/discover", "tools/call"]
    assert sent[1]["params"]["arguments"] == {"a": 1, "b": 2}
    assert transcript.said("<-")[1]["result"]["structuredContent"] == 3
    assert len(transcript) == 4


async def test_wherever_a_server_is_expected(autojump_clock: MockClock) -> None:
    for opened in (open_client, open_memory_client):
        transcript = Transcript()
        async with opened(recorded(server, transcript), revision="2025-06-18") as client:
            await client.ping()
        methods = [each["method"] for each in transcript.said("->")]
        assert methods == ["initialize", "notifications/initialized", "ping"]


async def test_raw_and_inside_one_another(autojump_clock: MockClock) -> None:
    inner, outer = Transcript(), Transcript()
    async with open_raw_peer(recorded(recorded(server, inner), outer)) as peer:
        await peer.send(b"\xff")
        await peer.receive()
        await peer.request("tools/list", stateless())
    assert inner.dump() == outer.dump()
    assert inner.dump().startswith("-> !b'\\xff'\n<- {")


async def test_a_channel(autojump_clock: MockClock) -> None:
    transcript = Transcript()
    async with (
        open_memory_channels(Limits(message_bytes=100)) as (one, other),
        open_recorded(one, transcript, side="client") as recording,
    ):
        await recording.outbox.send(b'{"id": 1}')
        assert await other.incoming.receive() == [b'{"id": 1}']
        await other.outbox.send(b"x" * 101)
        assert await recording.incoming.receive() == [Oversized(101)]
    assert transcript.dump() == '-> {"id": 1}\n<- !a message of 101 bytes, skipped\n'


async def test_flushing_writes_what_waits(autojump_clock: MockClock) -> None:
    found: list[object] = []

    async def read(channel: MessageChannel) -> None:
        async for batch in channel.incoming:
            found.extend(batch)

    async with (
        open_memory_channels(Limits()) as (one, other),
        open_recorded(one, Transcript()) as recording,
        trio.open_nursery() as nursery,
    ):
        for number in range(10):
            recording.outbox.send_nowait(b"%d" % number)
        nursery.start_soon(read, other)
        await recording.flush()
    assert found == [b"%d" % number for number in range(10)]


async def test_the_end_passes_through(autojump_clock: MockClock) -> None:
    async with (
        open_memory_channels(Limits()) as (one, other),
        open_recorded(one, Transcript()) as recording,
    ):
        await other.flush()
        with pytest.raises(trio.EndOfChannel):
            await recording.incoming.receive()
        assert recording.failure is None


# -- the text ---------------------------------------------------------------------------------


def transcript_of(*lines: str) -> Transcript:
    return Transcript.load("\n".join(lines))


def test_volatile_members() -> None:
    transcript = Transcript()
    for state in ("secret", "other", "secret"):
        transcript.note("->", b'[{"id": 7, "a": {"requestState": "%s"}}]' % state.encode())
    transcript.note("->", b'{"requestState": 5}')
    assert [entry.message for entry in transcript] == [
        [{"id": 7, "a": {"requestState": "<requestState 1>"}}],
        [{"id": 7, "a": {"requestState": "<requestState 2>"}}],
        [{"id": 7, "a": {"requestState": "<requestState 1>"}}],
        {"requestState": 5},
    ]
    transcript = Transcript(volatile=("token",))
    transcript.note("<-", b'{"token": "t", "requestState": "s"}')
    assert transcript.dump() == '<- {"token": "<token 1>", "requestState": "s"}\n'


@given(st.lists(st.tuples(st.sampled_from(["->", "<-"]), JSON_VALUES)))
def test_dump_and_load(messages: list[tuple[str, object]]) -> None:
    import json

    transcript = Transcript(volatile=())
    for arrow, message in messages:
        transcript.note(arrow, json.dumps(message).encode())  # type: ignore[arg-type]
    loaded = Transcript.load(transcript.dump())
    assert loaded == transcript
    assert [entry.message for entry in loaded] == [message for _, message in messages]


def test_remarks() -> None:
    transcript = Transcript()
    transcript.remark("what follows")
    transcript.note("->", b"{}")
    assert transcript.dump() == "# what follows\n-> {}\n"
    assert len(transcript) == 1
    assert Transcript.load(transcript.dump()) == transcript
    with pytest.raises(ValueError, match="one line"):
        transcript.remark("two\nlines")


@pytest.mark.parametrize("line", ["=> {}", "-> {", "->", "{}"])
def test_no_transcript(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 is not a line of a transcript"):
        transcript_of("-> {}", line)


def test_bounded() -> None:
    transcript = Transcript(limit=1)
    transcript.note("->", b"{}")
    with pytest.raises(RuntimeError, match="more than 1 lines"):
        transcript.note("->", b"{}")


# -- comparing --------------------------------------------------------------------------------


def test_the_order_of_members_does_not_count() -> None:
    assert transcript_of('-> {"a": 1, "b": 2}') == transcript_of('-> {"b": 2, "a": 1}')


@pytest.mark.parametrize(
    "other", ['-> {"a": true}', '-> {"a": 1.0}', '<- {"a": 1}', '-> {"a": 1, "b": 2}', "", "-> !1"]
)
def test_what_counts(other: str) -> None:
    assert transcript_of('-> {"a": 1}') != transcript_of(other)


def test_the_same(tmp_path: Path) -> None:
    (tmp_path / "golden.txt").write_text('-> {"b": "é", "a": 1}\n', "utf-8")
    assert_transcript(tmp_path / "golden.txt", transcript_of('-> {"a": 1, "b": "é"}'))


def test_a_difference_is_shown(tmp_path: Path) -> None:
    (tmp_path / "golden.txt").write_text(
        '-> {"id": 1, "method": "ping"}\n<- {"id": 1, "result": {"a": 1, "b": [2]}}\n'
    )
    differing = transcript_of(
        '-> {"id": 1, "method": "ping"}', '<- {"id": 1, "result": {"a": 5, "b": [2]}}'
    )
    with pytest.raises(AssertionError) as caught:
        assert_transcript(tmp_path / "golden.txt", differing)
    lines = str(caught.value).splitlines()
    assert lines[0] == "the wire differs from golden.txt:"
    assert '-    "a": 1,' in lines
    assert '+    "a": 5,' in lines
    assert " <- result 1" in lines
    assert [line for line in lines if line[:1] in "+-"][2:] == ['-    "a": 1,', '+    "a": 5,']
    assert lines[-1].endswith("update it with --trimcp-update-golden")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="there is no golden transcript"):
        assert_transcript(tmp_path / "golden.txt", transcript_of("-> {}"))


def test_updating(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "golden.txt"
    assert_transcript(path, transcript_of("-> {}", "<- {}"), update=True)
    assert path.read_text() == "-> {}\n<- {}\n"
    path.write_text('-> {"b":1,"a":2}\n')
    assert_transcript(path, transcript_of('-> {"a": 2, "b": 1}'), update=True)
    assert path.read_text() == '-> {"b":1,"a":2}\n', "rewritten though nothing differs"
