"""One connection to a server that is sent anything, and what must be true of it all the while."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import trio
import trio.testing

from tests.tasks import working_tasks
from tests.wire.fuzzed import LIMITS, no_errors_logged
from tests.wire_fuzz import WATCHED, check_answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from tests.wire_fuzz import Deserved
    from trimcp import Server
    from trimcp.protocol import Revision


class Talk(Protocol):
    """An open connection.

    Attributes:
        heard: The messages that have come back, as they were.
        grown: Set when one more has come; replaced by whoever waits for it.
    """

    heard: list[bytes]
    grown: trio.Event

    async def say(self, piece: bytes) -> None:
        """Send bytes."""

    async def leave(self) -> None:
        """End the connection as its client may, and wait for the server's end of it."""


#: Opens a connection to a server whose application is open.
Door: TypeAlias = "Callable[[Server[None]], AbstractAsyncContextManager[Talk]]"


class _StreamTalk:
    def __init__(self, stream: trio.StapledStream[Any, Any]) -> None:
        self.heard: list[bytes] = []
        self.grown = trio.Event()
        self._stream = stream
        self._rest = b""
        self._ended = trio.Event()

    async def read(self) -> None:
        while data := await self._stream.receive_some():
            *lines, self._rest = (self._rest + bytes(data)).split(b"\n")
            self.heard += lines
            self.grown.set()
        self._ended.set()

    async def say(self, piece: bytes) -> None:
        await self._stream.send_all(piece)

    async def leave(self) -> None:
        await self._stream.send_eof()
        await self._ended.wait()
        assert not self._rest, "the last line has no end"


@asynccontextmanager
async def by_stream(server: Server[None]) -> AsyncIterator[Talk]:
    """`serve_stream` in memory."""
    ours, theirs = trio.testing.memory_stream_pair()
    talk = _StreamTalk(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.read)
        await nursery.start(server.serve_stream, theirs)
        yield talk


def answered(heard: list[bytes]) -> Iterator[int | str]:
    """The ids of the answers."""
    for data in heard:
        value = json.loads(data)
        for message in value if isinstance(value, list) else [value]:
            if "method" not in message and message.get("id") is not None:
                yield message["id"]


async def wait_for(talk: Talk, identities: set[int | str]) -> None:
    """Until everything with these ids has been answered."""
    while identities - set(answered(talk.heard)):
        talk.grown = trio.Event()
        await talk.grown.wait()


async def converse(
    door: Door,
    server: Server[None],
    pieces: Sequence[bytes],
    expected: Deserved,
    session: Revision | None,
    *,
    mocked: bool,
) -> list[bytes]:
    """Say all this to the server and check what it answers, and what it holds meanwhile.

    Args:
        door: How the server is reached.
        server: The server; its application is open.
        pieces: What is sent; the last request is `last_request`.
        expected: What all of it deserves.
        session: The revision of the session, if one is opened.
        mocked: Whether the clock jumps.

    Returns:
        Everything that came back.
    """
    sessions = int(session is not None)
    living = trio.lowlevel.current_statistics().tasks_living
    async with door(server) as talk:
        await trio.testing.wait_all_tasks_blocked()
        idle = working_tasks()
        for piece in pieces:
            await talk.say(piece)
            await trio.lowlevel.checkpoint()
        await wait_for(talk, set(expected.must) - expected.unsure)
        if mocked:
            # The clock jumps over it once nobody has anything left to do: now all has come.
            await trio.sleep(10 * LIMITS.parked_seconds)
        for uri in WATCHED:
            await server.notify_resource_updated(uri)
        await server.notify_tools_changed()
        await trio.testing.wait_all_tasks_blocked()
        numbers = server.statistics()
        busy = working_tasks() - idle
        assert numbers.connections == 1, "the connection lives"
        assert numbers.in_flight <= len(expected.unsure)
        assert busy == numbers.in_flight + sessions, "a task for each request not answered"
        open_subscriptions = numbers.subscribers - sessions
        assert len(expected.sure) <= open_subscriptions <= numbers.in_flight
        assert (numbers.outbox_bytes, numbers.parked, numbers.threads) == (0, 0, 0)
        assert numbers.pending_changes == 0
        await talk.leave()
    numbers = server.statistics()
    assert (numbers.connections, numbers.subscribers, numbers.subscribed_uris) == (0, 0, 0)
    assert trio.lowlevel.current_statistics().tasks_living == living
    check_answers(talk.heard, expected, session)
    assert "last" in answered(talk.heard)
    return talk.heard


def run(
    door: Door,
    server: Server[None],
    pieces: Sequence[bytes],
    expected: Deserved,
    session: Revision | None,
    *,
    mocked: bool = True,
) -> list[bytes]:
    """`converse` with a server whose application outlasts the connection.

    So what a connection leaves behind is seen.
    """

    async def main() -> list[bytes]:
        with trio.fail_after(3600 if mocked else 30):
            async with server.application(signals=False):
                return await converse(door, server, pieces, expected, session, mocked=mocked)

    clock = trio.testing.MockClock(autojump_threshold=0) if mocked else None
    with no_errors_logged():
        return trio.run(main, clock=clock)
