"""Where bytes are cut on their way changes nothing: tried at every place of one conversation.

And what it costs to take them is linear in their number, counted in bytes that are held.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
import trio.testing

from tests.counting import assert_linear, bytes_taken
from tests.raw_websocket import CONTINUATION, PING, TEXT, frame
from tests.wire.conversing import answered, by_stream, wait_for
from tests.wire.engines import STREAM_ENGINES, own_websockets, post
from tests.wire.fuzzed import handshake, last_request, make_server, no_errors_logged
from tests.wire.test_http import every_engine, mirrored, whole
from tests.wire.test_websocket import by_websocket
from trimcp import Limits, Server
from trimcp.protocol import HANDSHAKE_REVISIONS, LATEST, META_PREFIX, find_revision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.wire.conversing import Door
    from tests.wire.engines import Engine

#: The revision with batches.
SESSION: Final = find_revision("2025-03-26") or HANDSHAKE_REVISIONS[0]


def asked(identity: Any, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def stateless(identity: Any, method: str, **params: Any) -> dict[str, Any]:
    meta = {META_PREFIX + "protocolVersion": LATEST.date, META_PREFIX + "clientCapabilities": {}}
    return asked(identity, method, **params, _meta=meta)


def written(message: Any) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


#: Good ones, bad ones, several in one, of both eras, and with characters of several bytes.
MESSAGES: Final = [
    *handshake(SESSION).splitlines(),
    b"\xef\xbb\xbf" + written(asked("é€😀", "ping")),
    written([asked(1, "ping"), asked(2, "tools/call", name="add", arguments={"a": 1, "b": 2})]),
    b'{"jsonrpc":"2.0","id":3,"method":"ping"',
    b'{"jsonrpc":"2.0","id":true,"method":"ping"}',
    written(stateless(4, "prompts/get", name="greet", arguments={"who": '\u00fc\u20ac\\"'})),
    written(asked(5, "no/such")),
    last_request(SESSION).strip(),
]

LINES: Final = b"\r\n".join(MESSAGES) + b"\n"


def fragments(message: bytes) -> bytes:
    """A message in two frames, with a ping between them."""
    middle = message[: len(message) // 2]
    rest = message[len(middle) :]
    return frame(TEXT, middle, last=False) + frame(PING, b"p") + frame(CONTINUATION, rest)


#: Fewer of them, since frames have many more places where they can be cut.
FRAMED: Final = [*MESSAGES[:3], MESSAGES[-1]]
FRAMES: Final = b"".join(map(fragments, FRAMED))

DOORS: Final[dict[str, tuple[Door, bytes]]] = {
    "stream": (by_stream, LINES),
    "websocket": (functools.partial(by_websocket, own_websockets), FRAMES),
    "websocket over HTTP": (functools.partial(by_websocket, STREAM_ENGINES["httptools"]), FRAMES),
}


def in_two(data: bytes) -> Iterator[list[bytes]]:
    """The data cut in two at every place."""
    for at in range(len(data) + 1):
        yield [piece for piece in (data[:at], data[at:]) if piece]


async def said(door: Door, server: Server[None], pieces: list[bytes]) -> list[str]:
    """What comes back for some pieces, each of which is read before the next one comes."""
    async with door(server) as talk:
        for piece in pieces:
            await talk.say(piece)
            await trio.testing.wait_all_tasks_blocked()
        await wait_for(talk, {"last"})
        await trio.testing.wait_all_tasks_blocked()
        await talk.leave()
    assert "last" in answered(talk.heard)
    return sorted(map(unordered, talk.heard))


def unordered(data: bytes) -> str:
    """A message; of a batch the answers in an order of their own."""
    value = json.loads(data)
    if isinstance(value, list):
        value = sorted(map(json.dumps, value))
    return json.dumps(value, sort_keys=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("door", "data"), DOORS.values(), ids=DOORS)
def test_every_cut_is_harmless(door: Door, data: bytes) -> None:
    async def main() -> None:
        server = make_server(threads=False)
        async with server.application(signals=False):
            wanted = await said(door, server, [data])
            assert len(wanted) >= 3
            single = [data[at : at + 1] for at in range(len(data))]
            assert await said(door, server, single) == wanted
            for pieces in in_two(data):
                assert await said(door, server, pieces) == wanted, pieces

    with no_errors_logged():
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@every_engine
def test_every_cut_of_a_body_is_harmless(engine: Engine) -> None:
    body = written(stateless("é€😀", "prompts/get", name="greet", arguments={"who": "\u00fc😀"}))

    async def main() -> None:
        async with engine(make_server(threads=False)) as web:
            headers = [*mirrored(body)]
            wanted = (await whole(web, post(body, *headers))).messages
            assert b"Hello" in wanted[0]
            for count in range(2, len(body) + 1, 3):
                assert (await whole(web, post(body, *headers, pieces=count))).messages == wanted

    with no_errors_logged():
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- what it costs ----------------------------------------------------------------------------

SIZES: Final = [10_000, 40_000, 160_000]
#: In how many bytes a piece of them comes.
PIECE: Final = 4_000


def echoing() -> Server[None]:
    server: Server[None] = Server("echoing", limits=Limits(nesting=20))

    @server.tool
    async def count(text: str) -> int:
        return len(text)

    return server


def peak_of(door: Door, data: bytes) -> int:
    async def main() -> int:
        server = echoing()
        async with server.application(signals=False), door(server) as talk:
            await talk.say(data[:0])
            await trio.testing.wait_all_tasks_blocked()
            with bytes_taken() as taken:
                for at in range(0, len(data), PIECE):
                    await talk.say(data[at : at + PIECE])
                    await trio.testing.wait_all_tasks_blocked()
            await wait_for(talk, {"last"})
            await talk.leave()
            return taken.peak

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("kind", ["long", "broken", "many"])
@pytest.mark.parametrize("name", DOORS)
def test_memory_is_linear_in_what_is_sent(name: str, kind: str) -> None:
    peaks = []
    for size in SIZES:
        long = written(stateless(1, "tools/call", name="count", arguments={"text": "x" * size}))
        messages = {
            "long": [long],
            "broken": [long[:-1]],
            "many": [written(stateless(number, "no/such")) for number in range(size // 150)],
        }[kind] + [last_request(None).strip()]
        lines, frames = b"\n".join(messages) + b"\n", b"".join(map(fragments, messages))
        data = lines if name == "stream" else frames
        peaks.append(peak_of(DOORS[name][0], data))
    assert_linear(SIZES, peaks, slack=100_000)
