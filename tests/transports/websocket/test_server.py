"""`serve_websocket` and peers of every kind: who is refused, what ends a connection, and that
nothing ends anybody else's.

What follows the handshake is tried with `serve_http` too, which reads and judges the handshake in
its own way and then lets the same transport carry the frames.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel
import trio.testing
import trustme

from tests.guarantees.harness import tasks
from tests.raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    close_code,
    frame,
    raw_websocket,
    text,
    upgrade,
)
from trimcp import Limits, Server, open_websocket_client
from trimcp.testing import stateless
from trimcp.types import CallToolResult, TextContent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def hello_server(**options: Any) -> Server[None]:
    server: Server[None] = Server("hello", **options)

    @server.tool
    async def hello() -> str:
        return "hello"

    @server.tool
    async def big(size: int) -> str:
        return "x" * size

    @server.tool
    async def hang() -> None:
        await trio.sleep_forever()

    return server


#: Who reads the handshake.
DOORS = ["serve_websocket", "serve_http"]


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


async def started(
    nursery: trio.Nursery, server: Server[None], door: str = "serve_websocket", **options: Any
) -> int:
    """Start serving. Returns the port."""
    serve = functools.partial(getattr(server, door), "127.0.0.1", 0, **options)
    [place] = await nursery.start(serve)
    return int(place.rpartition(":")[2] if door == "serve_http" else place[1])


@asynccontextmanager
async def serving(
    server: Server[None] | None = None, *, lives_on: bool = True, **options: Any
) -> AsyncIterator[int]:
    """A server on a port. Whoever talks to it must have done no harm to the next one."""
    server = server or hello_server()
    async with trio.open_nursery() as nursery:
        port = await started(nursery, server, **options)
        with trio.fail_after(60):
            yield port
            if lives_on:
                await greet(f"ws://127.0.0.1:{port}/ws")
        nursery.cancel_scope.cancel()


async def greet(url: str, **options: Any) -> None:
    """The server serves."""
    async with open_websocket_client(url, **options) as client:
        assert text_of(await client.call_tool("hello")) == "hello"


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def discover(identity: Any = 1) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": identity,
        "method": "server/discover",
        "params": stateless(),
    }


async def send_eof(raw: RawWebSocket) -> None:
    assert isinstance(raw.stream, trio.SocketStream)
    await raw.stream.send_eof()


async def nobody_left(server: Server[None]) -> None:
    """All connections of the server have ended."""
    with trio.fail_after(5):
        while server.statistics().connections:
            await trio.lowlevel.checkpoint()


async def lives(raw: RawWebSocket, identity: Any = "alive") -> None:
    """This very connection still works."""
    await raw.send(text(discover(identity)))
    assert (await raw.message())["id"] == identity


# -- the handshake ----------------------------------------------------------------------------


async def test_the_handshake(door: str) -> None:
    async with serving(door=door) as port, raw_websocket(port) as raw:
        headers = await raw.open()
        assert headers["sec-websocket-protocol"] == "mcp"
        # From RFC 6455, section 1.3.
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert "sec-websocket-extensions" not in headers
        await lives(raw)


async def test_a_subprotocol_need_not_be_offered(door: str) -> None:
    async with serving(door=door) as port:
        async with raw_websocket(port) as raw:
            headers = await raw.open(subprotocol=None)
            assert "sec-websocket-protocol" not in headers
            await lives(raw)
        async with raw_websocket(port) as raw:
            assert (await raw.open(subprotocol="soap, mcp"))["sec-websocket-protocol"] == "mcp"
            await lives(raw)


LOCAL = ["127.0.0.1", "127.0.0.1:80", "localhost", "LOCALHOST:1", "[::1]", "[::1]:8000"]
FOREIGN = ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "0.0.0.0", "[::2]"]


@pytest.mark.parametrize("host", LOCAL)
async def test_hosts_that_are_served(host: str) -> None:
    async with serving() as port:
        for origin in (None, f"http://{host}", f"https://{host}"):
            async with raw_websocket(port) as raw:
                headers = [] if origin is None else [("Origin", origin)]
                await raw.send(upgrade(host, "/ws?a=b", *headers))
                assert (await raw.head())[0] == 101


@pytest.mark.parametrize("name", FOREIGN)
async def test_foreign_hosts_and_origins(name: str) -> None:
    async with serving() as port:
        for head in (
            upgrade(name),
            upgrade("localhost", "/ws", ("Origin", f"http://{name}")),
            upgrade(
                "localhost", "/ws", ("Origin", "http://localhost"), ("Origin", f"http://{name}")
            ),
        ):
            async with raw_websocket(port) as raw:
                await raw.send(head)
                status, headers = await raw.head()
                assert status in (400, 403)
                assert headers["connection"] == "close" or status == 400
                await raw.ended()


@pytest.mark.parametrize(
    "origin", ["null", "", "file://", "localhost", "chrome-extension://localhost"]
)
async def test_origins_that_are_none(origin: str) -> None:
    async with serving() as port, raw_websocket(port) as raw:
        await raw.send(upgrade("localhost", "/ws", ("Origin", origin)))
        assert (await raw.head())[0] == 403


async def test_names_that_are_allowed() -> None:
    allowed = {"allowed_hosts": ["mcp.example"], "allowed_origins": ["https://app.example"]}
    async with serving(lives_on=False, **allowed) as port:
        for host, origin, status in (
            ("mcp.example", None, 101),
            ("mcp.example:8000", "https://app.example", 101),
            ("localhost", None, 403),
            ("mcp.example", "http://app.example", 403),
            ("mcp.example", "https://mcp.example", 403),
        ):
            async with raw_websocket(port) as raw:
                headers = [] if origin is None else [("Origin", origin)]
                await raw.send(upgrade(host, "/ws", *headers))
                assert (await raw.head())[0] == status


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (upgrade("localhost", "/"), 404),
        (upgrade("localhost", "/ws/"), 404),
        (upgrade(subprotocol="soap"), 400),
        (upgrade().replace(b"GET", b"POST", 1), 400),
        (upgrade(without=["Upgrade"]), 400),
        (upgrade(without=["Connection"]), 400),
        (upgrade(without=["Sec-WebSocket-Key"]), 400),
        (upgrade("localhost", "/ws", ("Sec-WebSocket-Key", KEY)), 400),
        (upgrade().replace(KEY.encode(), b"x"), 400),
        (upgrade().replace(KEY.encode(), b"AAAA"), 400),
        (upgrade().replace(KEY.encode(), b"*" + KEY.encode()), 400),
        (upgrade(without=["Host"]), 400),
        (upgrade().replace(b": 13", b": 12"), 426),
        (b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400),
        (b"hello\r\n\r\n", 400),
        (upgrade() + upgrade(), 101),
        (upgrade("localhost", "/ws", ("X", "x" * 100_000)), 400),
        # Refused while it is still being sent.
        (b"\x00" * 3_000_000, 400),
        # What trio-websocket answers with an exception.
        (upgrade("\xff\xfe"), 400),
        (upgrade("xn--a.a" * 20), 400),
        (upgrade(subprotocol="\xff"), 400),
        (upgrade("localhost", "/ws", ("Connection", "\xff")), 400),
        (upgrade("localhost", "/ws", ("Content-Length", "5")), 101),
    ],
)
async def test_handshakes_that_are_none(head: bytes, status: int) -> None:
    async with serving() as port, raw_websocket(port) as raw:
        await raw.send(head)
        found, _ = await raw.head(2)
        assert found == status
        if found != 101:
            # Also where trio-websocket would wait for ever.
            await raw.ended(2)


async def test_an_end_in_the_middle_of_the_handshake() -> None:
    async with serving() as port, raw_websocket(port) as raw:
        await raw.send(upgrade()[:40])
        await send_eof(raw)
        await raw.ended(2)


@pytest.mark.parametrize("sent", [b"", b"GET /ws HTTP/1.1\r\nHost:"])
async def test_slow_handshakes(sent: bytes) -> None:
    server = hello_server(limits=Limits(header_seconds=0.2))
    async with serving(server) as port, raw_websocket(port) as raw:
        await raw.send(sent)
        assert (await raw.head(5))[0] == 408
        await raw.ended(2)


async def test_connections_are_bounded_from_the_first_byte_on() -> None:
    server = hello_server(limits=Limits(connections=2, header_seconds=math.inf))
    async with serving(server) as port:
        async with raw_websocket(port), raw_websocket(port) as second:
            await second.open()
            await trio.testing.wait_all_tasks_blocked(0.01)
            async with raw_websocket(port) as third:
                await third.ended(2)
            await lives(second)
        # There is room for the next as soon as these are gone.
        await nobody_left(server)
        await trio.testing.wait_all_tasks_blocked(0.01)


# -- frames -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(BINARY, b"{}"), 1003),
        (frame(BINARY, b"{", last=False), 1003),
        (frame(TEXT, b"{}", masked=False), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xc3", last=False) + frame(CONTINUATION, b"("), 1007),
        (frame(TEXT, b"\xc3"), 1007),
        (frame(CONTINUATION, b"{}"), 1002),
        (frame(TEXT, b"{", last=False) + frame(TEXT, b"}"), 1002),
        (frame(TEXT, b"{}", rsv=4), 1002),
        (frame(3, b"{}"), 1002),
        (frame(11, b""), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"x", last=False), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(CLOSE, b"\x00\x00"), 1002),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1002),
        (b"GET /ws HTTP/1.1\r\n\r\n", 1002),
        (bytes(range(256)) * 400, 1002),
    ],
)
async def test_frames_that_make_no_sense(door: str, data: bytes, code: int) -> None:
    async with serving(door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        await raw.send(data)
        # trio-websocket itself would close the stream without a word.
        assert await raw.closed(2) == code
        with contextlib.suppress(trio.BrokenResourceError):
            await raw.send(frame(CLOSE, code.to_bytes(2, "big")))
        await raw.ended(2)


async def test_what_is_refused_is_logged_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as port:
        for head in (upgrade("evil.example"), upgrade("\xff\xfe"), b"\r\n"):
            async with raw_websocket(port) as raw:
                await raw.send(head)
                await raw.head()
                await raw.ended()
        async with raw_websocket(port) as raw:
            await raw.open()
            await raw.send(frame(3, b""))
            await raw.closed()
    warnings = [each for each in caplog.records if each.levelno >= logging.WARNING]
    # Once: whoever runs the server may have forgotten to name it.
    assert [each.getMessage() for each in warnings] == [
        "refused: the name in the Host header is not allowed; "
        "what is allowed is said with --allowed-host, allowed_hosts"
    ]
    assert "the Host header is not allowed (Host: 'evil.example';" in caplog.text


async def test_fragments_and_controls_between_them(door: str) -> None:
    async with serving(door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        data = b'{"jsonrpc": "2.0", "id": "\xc3\xa9", "method": "ping"}'
        await raw.send(frame(TEXT, data[:27], last=False))
        await raw.send(frame(PING, b"are you there?"))
        assert await raw.frame() == (PONG, b"are you there?")
        await raw.send(frame(CONTINUATION, b"", last=False) + frame(PONG, b"nobody asked"))
        await raw.send(frame(CONTINUATION, data[27:]))
        assert (await raw.message())["id"] == "é"


@pytest.mark.parametrize("data", [b"", b" ", b"{", b"[]", b"7", b'{"jsonrpc": "2.0"}\n{}'])
async def test_texts_that_are_no_messages_are_answered(door: str, data: bytes) -> None:
    async with serving(door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        await raw.send(frame(TEXT, data))
        assert (await raw.message())["error"]["code"] in (-32700, -32600)
        await lives(raw)


async def test_newlines_inside_a_message_are_welcome(door: str) -> None:
    async with serving(door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        await raw.send(frame(TEXT, b'{\n"jsonrpc": "2.0",\r\n"id": 1,\n"method": "nothing"}\n'))
        assert (await raw.message())["id"] == 1


async def test_an_oversized_message_is_answered_and_the_connection_lives(door: str) -> None:
    server = hello_server(limits=Limits(message_bytes=2000))
    async with serving(server, door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        request = discover("long")
        await raw.send(frame(TEXT, b'{"jsonrpc": "2.0", "id": "long", "method": "', last=False))
        for _ in range(100):
            await raw.send(frame(CONTINUATION, b"x" * 1000, last=False))
        await raw.send(frame(CONTINUATION, b'"}'))
        answer = await raw.message()
        assert answer["id"] == request["id"]
        assert "longer than the limit of 2000" in answer["error"]["message"]
        # A limit in bytes: these are fewer characters than that.
        await raw.send(
            frame(TEXT, ('{"jsonrpc": "2.0", "id": 7, "method": "' + "é" * 1500).encode())
        )
        assert (await raw.message())["id"] == 7
        await lives(raw)


async def test_many_empty_fragments_are_nothing(door: str) -> None:
    """trio-websocket would keep each of them."""
    async with serving(door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        await raw.send(frame(TEXT, b"", last=False))
        await raw.send(frame(CONTINUATION, b"", last=False) * 20_000)
        await raw.send(frame(CONTINUATION, text(discover())[0:0] + b"{}"))
        assert (await raw.message())["error"]["code"] == -32600


async def test_the_largest_result_is_larger_than_a_mebibyte(door: str) -> None:
    async with serving(door=door) as port:
        async with open_websocket_client(f"ws://127.0.0.1:{port}/ws") as client:
            result = await client.call_tool("big", {"size": 3_000_000})
            assert len(text_of(result)) == 3_000_000
        async with raw_websocket(port) as raw:
            await raw.open()
            await raw.send(text(discover() | {"padding": "x" * 3_000_000}))
            assert "result" in await raw.message()


# -- pings and silence ------------------------------------------------------------------------


async def test_a_ping_flood(door: str) -> None:
    """Nobody reads the pongs; the reader goes on, and no objects and no tasks pile up."""
    # Nobody reads for long, which is not what this is about.
    server = hello_server(limits=Limits(heartbeat_seconds=math.inf, send_seconds=math.inf))
    async with serving(server, door=door) as port, raw_websocket(port) as raw:
        assert isinstance(raw.stream, trio.SocketStream)
        raw.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await raw.open()
        await lives(raw, "before")
        # More than the buffers of the connection hold: many pongs cannot be sent.
        flood = b"".join(frame(PING, b"%0100d" % n) for n in range(1000))
        total = 60_000
        before = (len(tasks()), sys.getallocatedblocks())
        for _ in range(total // 1000):
            await raw.send(flood)
            assert len(tasks()) <= before[0] + 1
        assert sys.getallocatedblocks() - before[1] < total / 4
        await raw.send(frame(PING, b"the last"))
        pongs = 0
        while await raw.frame() != (PONG, b"the last"):
            pongs += 1
        assert pongs < total, "the connection held them all, so this measures nothing"
        await lives(raw)


async def test_pings_are_no_obstacle_while_the_peer_does_not_read(door: str) -> None:
    """With an answer stuck, a cancellation still gets through, and so does a close."""
    server = hello_server()
    ended = trio.Event()

    @server.tool
    async def watched() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with serving(server, door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        call = {"name": "watched"}
        big = {"name": "big", "arguments": {"size": 12_000_000}}
        for identity, params in ((1, call), (2, big)):
            message = {"jsonrpc": "2.0", "id": identity, "method": "tools/call"}
            await raw.send(text({**message, "params": stateless(params)}))
        while not server.statistics().outbox_bytes:
            await trio.lowlevel.checkpoint()
        await raw.send(frame(PING, b"1") + frame(PING, b"2"))
        await raw.send(frame(CLOSE, b"\x03\xe8"))
        with trio.fail_after(2):
            await ended.wait()
        await nobody_left(server)


async def test_a_silent_peer_is_gone(door: str) -> None:
    server = hello_server(limits=Limits(heartbeat_seconds=0.1))
    async with serving(server, door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        assert await raw.frame(2) == (PING, b"")
        # No pong.
        await raw.ended(2)


async def test_who_answers_pings_stays(door: str) -> None:
    server = hello_server(limits=Limits(heartbeat_seconds=0.1))
    async with serving(server, door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        for _ in range(5):
            assert await raw.frame(2) == (PING, b"")
            await raw.send(frame(PONG, b""))
        await lives(raw)


async def test_who_stops_reading_is_gone(door: str) -> None:
    """Half an answer is in the pipe, and there is not even room for a ping."""
    server = hello_server(limits=Limits(heartbeat_seconds=0.1))
    async with serving(server, door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        params = stateless({"name": "big", "arguments": {"size": 15_000_000}})
        await raw.send(text({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
        while not server.statistics().outbox_bytes:
            await trio.lowlevel.checkpoint()
        await nobody_left(server)


async def test_who_reads_slowly_stays(door: str) -> None:
    """That a large message is taken piece by piece is a sign of life too."""
    server = hello_server(limits=Limits(heartbeat_seconds=0.2))
    async with serving(server, door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        params = stateless({"name": "big", "arguments": {"size": 15_000_000}})
        await raw.send(text({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
        size = 0
        began = trio.current_time()
        while size < 15_000_000:
            data = await raw.stream.receive_some(1_000_000)
            assert data
            size += len(data)
            if trio.current_time() - began < 1.0:
                await trio.sleep(0.02)
        assert trio.current_time() - began > 0.4, "not slow enough to mean anything"


# -- the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9bye", b"\x0f\xa0"])
async def test_the_closing_handshake(door: str, payload: bytes) -> None:
    async with serving(door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        await raw.send(frame(CLOSE, payload))
        opcode, answer = await raw.frame()
        assert opcode == CLOSE
        assert close_code(answer) == close_code(payload)
        await raw.ended(2)


async def test_a_shutdown_says_that_it_is_going_away(door: str) -> None:
    server = hello_server()
    async with serving(server, lives_on=False, door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        await lives(raw)
        server.shutdown()
        assert await raw.closed() == 1001
        await raw.send(frame(CLOSE, b"\x03\xe9"))
        await raw.ended(2)
        with pytest.raises(OSError, match="attempts to connect"):
            await greet(f"ws://127.0.0.1:{port}/ws")


async def test_who_does_not_answer_the_close_is_left_after_a_second(door: str) -> None:
    server = hello_server()
    async with serving(server, lives_on=False, door=door) as port, raw_websocket(port) as raw:
        await raw.open()
        await lives(raw)
        server.shutdown()
        assert await raw.closed() == 1001
        await raw.ended(1 + 2)


async def test_a_cancelled_server_says_goodbye_and_does_not_wait(door: str) -> None:
    async with trio.open_nursery() as nursery:
        port = await started(nursery, hello_server(), door)
        async with raw_websocket(port) as raw:
            await raw.open()
            await lives(raw)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert await raw.closed() == 1001
                await raw.ended(1)


# -- TLS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def test_over_tls(door: str, authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    tls = {"tls" if door == "serve_http" else "ssl_context": context}
    async with serving(lives_on=False, door=door, **tls) as port:
        url = f"wss://localhost:{port}/ws"
        await greet(url, ssl_context=trust)
        async with raw_websocket(port, trust) as raw:
            await raw.open()
            await raw.send(frame(BINARY, b""))
            assert await raw.closed() == 1003
        # In the clear, and an end in the middle of TLS's own handshake.
        for nonsense in (upgrade(), b"\x16\x03\x01\x02\x00\x01"):
            async with raw_websocket(port) as raw:
                await raw.send(nonsense)
                await send_eof(raw)
                await raw.ended(2)
        await greet(url, ssl_context=trust)
