"""Whatever bytes arrive: each request is answered once and rightly, and nothing breaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from tests.wire.fuzzed import LIMITS, handshake, last_request, make_server, no_errors_logged
from tests.wire_fuzz import WATCHED, check_output, chunks, deserved, streams
from trimcp.protocol import HANDSHAKE_REVISIONS, LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimcp import Server
    from trimcp.protocol import Revision

# A failure is made as small as can be before it is shown, which takes minutes.
pytestmark = pytest.mark.timeout(1200)

# -- one conversation -------------------------------------------------------------------------


class Conversation:
    """One connection to the server, and all that came back over it."""

    def __init__(self) -> None:
        self.ours, self.theirs = trio.testing.memory_stream_pair()
        self.output = b""
        self.grown = trio.Event()

    async def read(self) -> None:
        while data := await self.ours.receive_some():
            self.output += bytes(data)
            self.grown.set()

    async def wait_for(self, identities: set[int | str]) -> None:
        """Until everything with these ids has been answered."""
        while missing := identities - set(answered(self.output)):
            assert missing
            self.grown = trio.Event()
            await self.grown.wait()


def answered(output: bytes) -> Iterator[int | str]:
    for line in output.split(b"\n")[:-1]:
        value = json.loads(line)
        for message in value if isinstance(value, list) else [value]:
            if "method" not in message and message.get("id") is not None:
                yield message["id"]


async def converse(
    server: Server[None], pieces: list[bytes], session: Revision | None, *, mocked: bool
) -> None:
    """Say all this to the server and check what it answers."""
    spoken = b"".join(pieces) + last_request(session)
    expected = deserved(spoken, session)
    sessions = int(session is not None)
    living = trio.lowlevel.current_statistics().tasks_living
    talk = Conversation()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.read)
        await nursery.start(server.serve_stream, talk.theirs)
        await trio.testing.wait_all_tasks_blocked()
        idle = trio.lowlevel.current_statistics().tasks_living
        for piece in [*pieces, last_request(session)]:
            await talk.ours.send_all(piece)
            await trio.lowlevel.checkpoint()
        await talk.wait_for(set(expected.must) - expected.unsure)
        if mocked:
            # The clock jumps over it once nobody has anything left to do: now all has come.
            await trio.sleep(10 * LIMITS.parked_seconds)
        for uri in WATCHED:
            await server.notify_resource_updated(uri)
        await server.notify_tools_changed()
        await trio.testing.wait_all_tasks_blocked()
        numbers = server.statistics()
        busy = trio.lowlevel.current_statistics().tasks_living - idle
        assert numbers.connections == 1, "the connection lives"
        assert numbers.in_flight <= len(expected.unsure)
        assert busy == numbers.in_flight + sessions, "a task for each request not answered"
        open_subscriptions = numbers.subscribers - sessions
        assert len(expected.sure) <= open_subscriptions <= numbers.in_flight
        assert (numbers.outbox_bytes, numbers.parked, numbers.threads) == (0, 0, 0)
        assert numbers.pending_changes == 0
        await talk.ours.send_eof()
    numbers = server.statistics()
    assert (numbers.connections, numbers.subscribers, numbers.subscribed_uris) == (0, 0, 0)
    assert trio.lowlevel.current_statistics().tasks_living == living
    check_output(talk.output, expected, session)
    assert "last" in answered(talk.output)


def run(
    server: Server[None], pieces: list[bytes], session: Revision | None, *, mocked: bool = True
) -> None:
    async def main() -> None:
        with trio.fail_after(3600 if mocked else 30):
            # The application outlasts the connection, so what a connection leaves is seen.
            async with server.application(signals=False):
                await converse(server, pieces, session, mocked=mocked)

    clock = trio.testing.MockClock(autojump_threshold=0) if mocked else None
    with no_errors_logged():
        trio.run(main, clock=clock)


# -- tests ------------------------------------------------------------------------------------


@examples(200)
@given(pieces=streams((LATEST,)).flatmap(chunks))
def test_stateless(pieces: list[bytes]) -> None:
    run(make_server(threads=False), pieces, None)


@pytest.mark.parametrize("session", HANDSHAKE_REVISIONS, ids=str)
@examples(80)
@given(data=st.data())
def test_session(session: Revision, data: st.DataObject) -> None:
    """With requests of the other era between those of the session."""
    stream = handshake(session) + data.draw(streams((session, session, LATEST)))
    run(make_server(threads=False), data.draw(chunks(stream)), session)


PING = b'{"jsonrpc":"2.0","id":0,"method":"ping"}\n'
MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("session", HANDSHAKE_REVISIONS, ids=str)
@pytest.mark.parametrize("before", [MARK, MARK * 2, MARK + b" ", b" " + MARK, MARK + b"\n"])
def test_marks_before_a_message(session: Revision, before: bytes) -> None:
    pieces = [handshake(session), PING, before + PING, before + b"\n", before + b"{\n", PING]
    run(make_server(threads=False), pieces, session)


@examples(40)
@given(pieces=streams((LATEST,)).flatmap(chunks))
def test_with_threads(pieces: list[bytes]) -> None:
    """Tools in worker threads, which the mock clock would not wait for."""
    run(make_server(threads=True), pieces, None, mocked=False)


@examples(100)
@given(garbage=st.binary(max_size=200), size=st.integers(1, 50))
def test_garbage(garbage: bytes, size: int) -> None:
    pieces = [garbage[at : at + size] for at in range(0, len(garbage), size)]
    run(make_server(threads=False), pieces, None)
