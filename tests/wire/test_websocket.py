"""Whatever a client sends over a WebSocket: the promises of `tests/test_fuzz.py` hold there too.

A message is a text frame, or several: each may come in fragments, with pings between them, and the
bytes of all of them in any pieces. Frames that are broken themselves may end their connection, with
a close code, and nothing else.
"""

from __future__ import annotations

import functools
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.raw_websocket import CLOSE, CONTINUATION, PING, PONG, TEXT, RawWebSocket, frame, upgrade
from tests.strategies import examples
from tests.wire import conversing
from tests.wire.engines import HOST, STREAM_ENGINES, http_streams, own_websockets, watching
from tests.wire.fuzzed import handshake, last_request, make_server, no_errors_logged
from tests.wire_fuzz import MESSAGE_BYTES, Deserved, chunks, damaged, deserve, utterances
from trimcp.http._http1._llhttp import LlhttpParser
from trimcp.protocol import HANDSHAKE_REVISIONS, LATEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hypothesis.strategies import DrawFn, SearchStrategy

    from tests.wire.conversing import Talk
    from tests.wire.engines import StreamEngine
    from trimcp import Server
    from trimcp.protocol import Revision

pytestmark = pytest.mark.timeout(1200)

#: Who reads the handshake, and who parses the frames.
WEBSOCKETS: Final[dict[str, StreamEngine]] = {
    "own": own_websockets,
    "http": STREAM_ENGINES["httptools"],
    "hypercorn": http_streams(LlhttpParser, watching),
}

every_websocket = pytest.mark.parametrize("engine", WEBSOCKETS.values(), ids=WEBSOCKETS)
every_session = pytest.mark.parametrize(
    "session", [None, *HANDSHAKE_REVISIONS], ids=lambda each: str(each and each.date)
)


class _WebSocketTalk:
    def __init__(self, raw: RawWebSocket) -> None:
        self.heard: list[bytes] = []
        self.grown = trio.Event()
        self._raw = raw
        self._turn = trio.Lock()
        self._ended = trio.Event()

    async def read(self) -> None:
        opcode = TEXT
        while opcode != CLOSE:
            opcode, payload = await self._raw.frame(within=1e9)
            if opcode == TEXT:
                self.heard.append(payload)
                self.grown.set()
            elif opcode == PING:
                await self.say(frame(PONG, payload))
        self._ended.set()

    async def say(self, piece: bytes) -> None:
        async with self._turn:
            await self._raw.send(piece)

    async def leave(self) -> None:
        await self.say(frame(CLOSE, b"\x03\xe8"))
        await self._ended.wait()


@asynccontextmanager
async def by_websocket(engine: StreamEngine, server: Server[None]) -> AsyncIterator[Talk]:
    """A WebSocket whose frames are the test's own."""
    async with engine(server) as connect, trio.open_nursery() as nursery:
        raw = RawWebSocket(connect())
        await raw.open(host=HOST)
        talk = _WebSocketTalk(raw)
        nursery.start_soon(talk.read)
        yield talk
        await raw.ended()
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().connections == 0, "the connection has ended"
        await trio.aclose_forcefully(raw.stream)


@st.composite
def fragmented(draw: DrawFn, message: bytes) -> bytes:
    """The frames of a message, cut anywhere in characters too, with pings between them."""
    pieces = draw(chunks(message)) or [b""]
    frames = b""
    for number, piece in enumerate(pieces):
        opcode = TEXT if number == 0 else CONTINUATION
        frames += frame(opcode, piece, last=number == len(pieces) - 1)
        if draw(st.integers(0, 5)) == 5:
            frames += frame(PING, draw(st.binary(max_size=3)))
    return frames


def as_text(data: bytes) -> bytes:
    """As UTF-8, which every text frame must be."""
    return data.decode("utf-8", "replace").encode()


def spoken(engine: StreamEngine, revisions: tuple[Revision, ...]) -> SearchStrategy[list[bytes]]:
    """Messages; for hypercorn none that are too long, at which it closes the connection (1009)."""
    said = utterances(revisions).map(as_text)
    if engine is WEBSOCKETS["hypercorn"]:
        said = said.filter(lambda data: len(data) <= MESSAGE_BYTES)
    return st.lists(said, min_size=1, max_size=6)


@every_session
@every_websocket
@examples(15)
@given(data=st.data())
def test_whatever_is_said(
    engine: StreamEngine, session: Revision | None, data: st.DataObject
) -> None:
    """In a session with requests of the other era between those of the session."""
    revisions = (LATEST,) if session is None else (session, session, LATEST)
    before = [] if session is None else handshake(session).splitlines()
    last = last_request(session).strip()
    messages = [*before, *data.draw(spoken(engine, revisions)), last]
    expected = Deserved()
    for message in messages:
        deserve(expected, message, session)
    frames = [data.draw(fragmented(message)) for message in messages]
    pieces = data.draw(chunks(b"".join(frames)))
    door = functools.partial(by_websocket, engine)
    conversing.run(door, make_server(threads=False), pieces, expected, session)


# -- frames that are broken -------------------------------------------------------------------

#: What a client is told that its frames are no WebSocket: RFC 6455, 7.4.1.
CODES: Final = {1000, 1001, 1002, 1003, 1007, 1009}


async def is_served(raw: RawWebSocket) -> None:
    """A new connection is served."""
    await raw.open(host=HOST)
    await raw.send(frame(TEXT, last_request(None).strip()))
    opcode = PING
    while opcode == PING:
        opcode, payload = await raw.frame()
    assert json.loads(payload)["id"] == "last"
    await raw.send(frame(CLOSE, b"\x03\xe8"))
    await raw.ended()


async def survive(engine: StreamEngine, pieces: list[bytes]) -> None:
    server = make_server(threads=False)
    async with server.application(signals=False), engine(server) as connect:
        raw = RawWebSocket(connect())
        try:
            for piece in pieces:
                await raw.send(piece)
            await trio.testing.wait_all_tasks_blocked()
            await raw.stream.send_eof()  # type: ignore[attr-defined]
        except trio.BrokenResourceError:
            pass  # It has been closed already, which is for the reader to see.
        with trio.fail_after(100):
            await read_to_the_end(raw)
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().connections == 0
        await trio.aclose_forcefully(raw.stream)
        await is_served(RawWebSocket(connect()))


async def read_to_the_end(raw: RawWebSocket) -> None:
    try:
        status, _ = await raw.head()
        if status != 101:
            assert status in (400, 403, 404, 408, 426, 431, 501), status
            await raw.ended()
            return
        code = await raw.closed(within=1e9)
        assert code is None or code in CODES, code
    except EOFError:
        return


@every_websocket
@examples(40)
@given(data=st.data())
def test_broken_frames(engine: StreamEngine, data: st.DataObject) -> None:
    """The handshake too may be what is damaged."""
    messages = data.draw(st.lists(utterances((LATEST,)), min_size=1, max_size=3))
    frames = b"".join(data.draw(fragmented(message)) for message in messages)
    opening = upgrade(HOST)
    if data.draw(st.integers(0, 3)) == 3:
        opening = data.draw(damaged(opening))
    pieces = data.draw(chunks(opening + data.draw(damaged(frames))))
    with no_errors_logged():
        trio.run(survive, engine, pieces, clock=trio.testing.MockClock(autojump_threshold=0))
