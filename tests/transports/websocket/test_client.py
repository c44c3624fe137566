"""`open_websocket_client` and servers of every kind: typed errors, and an end in any case."""

from __future__ import annotations

import base64
import hashlib
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trustme
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.raw_websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    close_code,
    frame,
)
from trimcp import (
    ConnectionLost,
    HandshakeFailed,
    Limits,
    WebSocketClosed,
    client_for,
    open_client,
    open_websocket_client,
)
from trimcp.transports.websocket import WebSocketAddress, header_list
from trimcp.transports.websocket._connection import MessageWebSocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trio.testing import MockClock

DISCOVERED = (
    b'{"jsonrpc": "2.0", "id": %d, "result": {"resultType": "complete", "supportedVersions": '
    b'["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"}}'
)


class Peer(RawWebSocket):
    """A server as it should not be, talking to our client; frames are read unmasked."""

    async def accept(self, *headers: str, token: bytes | None = None) -> dict[str, str]:
        """Read the handshake and agree; returns what it said."""
        said = await self.request()
        await self.send(self.agreement(said, *headers, token=token))
        return said

    async def request(self) -> dict[str, str]:
        while b"\r\n\r\n" not in self._buffer:
            await self._receive()
        first, *lines = self._buffer.decode("latin-1").strip().split("\r\n")
        self._buffer.clear()
        headers = dict(line.split(": ", 1) for line in lines)
        return {"first": first} | {name.lower(): value for name, value in headers.items()}

    def agreement(self, said: dict[str, str], *headers: str, token: bytes | None = None) -> bytes:
        key = said["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        token = token or base64.b64encode(hashlib.sha1(key.encode()).digest())
        head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines = [*head, f"Sec-WebSocket-Accept: {token.decode()}", *headers, "", ""]
        return "\r\n".join(lines).encode()

    async def heard(self) -> tuple[int, bytes]:
        """The next frame of the client, unmasked."""
        with trio.fail_after(5):
            first, second = await self._take(2)
            size = second & 0x7F
            assert second & 0x80, "a client must mask"
            if size >= 126:
                size = int.from_bytes(await self._take(2 if size == 126 else 8), "big")
            key = await self._take(4)
            data = await self._take(size)
        return first & 0x0F, bytes(byte ^ key[n % 4] for n, byte in enumerate(data))

    async def say(self, opcode: int, payload: bytes = b"", **options: Any) -> None:
        await self.send(frame(opcode, payload, masked=False, **options))

    async def discovered(self) -> None:
        """Be found to be of the stateless era."""
        await self.heard()
        await self.say(TEXT, DISCOVERED % 1)


@asynccontextmanager
async def served_by(behave: Callable[[Peer], Awaitable[object]]) -> AsyncIterator[str]:
    """The URL of a server that does that with each connection, and then closes it."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await behave(Peer(stream))

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        with trio.fail_after(30):
            yield f"ws://127.0.0.1:{port}/ws"
        nursery.cancel_scope.cancel()


async def failing(url: str, **options: Any) -> HandshakeFailed:
    """What comes out, bare, of a client that cannot be opened."""
    with pytest.raises(HandshakeFailed) as caught:
        async with open_websocket_client(url, **options):
            raise AssertionError("opened")
    return caught.value


# -- the handshake ----------------------------------------------------------------------------


async def test_what_the_client_says() -> None:
    said: dict[str, str] = {}

    async def behave(peer: Peer) -> None:
        said.update(await peer.accept("Sec-WebSocket-Protocol: mcp"))
        await peer.discovered()
        await peer.heard()

    async with served_by(behave) as url:
        headers = {"Authorization": "Bearer é", "X-Thing": " a "}
        async with open_websocket_client(f"{url}?a=b", headers=headers) as client:
            assert client.revision == "2026-07-28"
        assert said["first"] == "GET /ws?a=b HTTP/1.1"
        assert said["host"] == url.split("/")[2]
        assert said["sec-websocket-protocol"] == "mcp"
        assert "sec-websocket-extensions" not in said
        assert "origin" not in said
        assert said["x-thing"] == "a"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", 403),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 1000000\r\n\r\nlate", 503),
        (b"HTTP/1.1 401 Who?\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwho?", 401),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", 200),
        (b"HTTP/1.1 302 There\r\nlocation: ws://elsewhere/\r\ncontent-length: 0\r\n\r\n", 302),
        (b"", None),
        (b"HTTP/1.1 101 Switch", None),
        (b"hello\r\n\r\n", None),
        (b"\x15\x03\x01\x00\x02\x02\x16", None),
        (b"HTTP/1.1 101 Yes\r\n\r\n", None),
        (b"HTTP/1.1 101 Yes\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", None),
        (b"HTTP/1.1 101 Yes\r\nconnection: \xff\r\n\r\n", None),
        (b"x" * 1_000_000, None),
    ],
)
async def test_refused(answer: bytes, status: int | None) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)

    async with served_by(behave) as url:
        error = await failing(url)
        assert error.status == status
        assert status is None or str(status) in str(error)


@pytest.mark.parametrize(
    "wrong", [{"token": b"AAAA"}, {"headers": ["Sec-WebSocket-Protocol: soap"]}]
)
async def test_agreements_that_are_none(wrong: dict[str, Any]) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept(*wrong.get("headers", ()), token=wrong.get("token"))

    async with served_by(behave) as url:
        assert (await failing(url)).status is None


async def test_a_body_without_an_end_is_not_waited_for() -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 429 Later\r\n\r\n")
        await peer.ended()

    async with served_by(behave) as url:
        assert (await failing(url)).status == 429


async def test_a_server_that_says_nothing() -> None:
    async with served_by(Peer.ended) as url:
        error = await failing(url, timeout=0.2)
        assert str(error) == "no WebSocket handshake within 0.2 s"


async def test_nobody_is_there() -> None:
    with pytest.raises(OSError, match="attempts to connect"):
        async with open_websocket_client("ws://127.0.0.1:1/ws"):
            raise AssertionError("opened")


async def test_a_certificate_of_nobody() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            secure = trio.SSLStream(stream, context, server_side=True)
            with pytest.raises(trio.BrokenResourceError):
                await secure.do_handshake()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        error = await failing(f"wss://localhost:{port}/")
        assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
        assert "certificate" in str(error)
        nursery.cancel_scope.cancel()


async def test_what_comes_along_with_the_agreement() -> None:
    async def behave(peer: Peer) -> None:
        said = await peer.request()
        await peer.send(
            peer.agreement(said) + frame(PING, b"early", masked=False) + frame(PONG, masked=False)
        )
        assert (await peer.heard(), await peer.heard())[0] is not None
        await peer.say(TEXT, DISCOVERED % 1)
        await peer.heard()

    async with served_by(behave) as url, open_client(url) as client:
        assert client.revision == "2026-07-28"


# -- what goes wrong later --------------------------------------------------------------------


async def lost(behave: Callable[[Peer], Awaitable[object]], **limits: Any) -> WebSocketClosed:
    """Why a call was lost whose server does that once it has been asked."""

    async def serve(peer: Peer) -> None:
        await peer.accept()
        await peer.discovered()
        await peer.heard()
        await behave(peer)

    async with (
        served_by(serve) as url,
        open_websocket_client(url, limits=Limits(**limits)) as client,
    ):
        with pytest.raises(ConnectionLost) as caught:
            await client.list_tools()
        with pytest.raises(ConnectionLost):
            await client.list_tools()
    cause = caught.value.__cause__
    assert isinstance(cause, WebSocketClosed)
    assert str(cause.code) in str(caught.value)
    return cause


async def test_closed_for_a_reason() -> None:
    async def behave(peer: Peer) -> None:
        await peer.say(CLOSE, b"\x03\xf0no tools today")
        opcode, payload = await peer.heard()
        assert (opcode, close_code(payload)) == (CLOSE, 1008)

    cause = await lost(behave)
    assert (cause.code, cause.reason) == (1008, "no tools today")
    assert str(cause) == "no tools today (close code 1008)"


async def test_an_end_without_a_word() -> None:
    async def behave(peer: Peer) -> None:
        pass

    assert (await lost(behave)).code == 1006


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(BINARY, b"{}", masked=False), 1003),
        (frame(TEXT, b"{}"), 1002),
        (frame(TEXT, b"\xff", masked=False), 1007),
        (frame(3, masked=False), 1002),
        (b"HTTP/1.1 500 Oops\r\n\r\n", 1002),
    ],
)
async def test_frames_that_make_no_sense(data: bytes, code: int) -> None:
    async def behave(peer: Peer) -> None:
        await peer.send(data)
        opcode, payload = await peer.heard()
        assert (opcode, close_code(payload)) == (CLOSE, code)
        # What follows is not read any more, or it would fill the memory.
        with suppress(trio.BrokenResourceError):
            while True:
                await peer.send(bytes(100_000))

    assert (await lost(behave)).code == code


async def test_silence_after_a_request() -> None:
    async def behave(peer: Peer) -> None:
        assert await peer.heard() == (PING, b"")
        await peer.ended()

    cause = await lost(behave, heartbeat_seconds=0.1)
    assert (cause.code, cause.reason) == (1006, "silent for 0.2 s")


async def test_a_close_in_good_order_has_no_cause() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.discovered()
        await peer.heard()
        await peer.say(CLOSE, b"\x03\xe9")
        await peer.heard()

    async with served_by(behave) as url, open_websocket_client(url) as client:
        with pytest.raises(ConnectionLost) as caught:
            await client.list_tools()
        assert caught.value.__cause__ is None


class HalfBroken(trio.abc.Stream):
    """A stream that can suddenly only be read."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.is_broken = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_broken:
            raise trio.BrokenResourceError
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


async def test_what_arrived_before_a_send_failed_is_still_read(
    autojump_clock: MockClock,
) -> None:
    """trio-websocket would stop reading."""
    near, far = memory_stream_pair()
    stream = HalfBroken(near)
    peer = Peer(far)

    async def behave() -> None:
        await peer.accept()
        await peer.heard()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(behave)
        connection = MessageWebSocket(stream, Limits(), patience=1, peer="peer", host="h", path="/")
        async with connection.opened(connection._open_handshake.wait, 1000) as channel:
            await channel.outbox.send(b"{}")
            await wait_all_tasks_blocked()
            stream.is_broken = True
            await channel.outbox.send(b"{}")
            await channel.written.wait()
            await peer.say(TEXT, b"[1]")
            assert await channel.incoming.receive() == [b"[1]"]


# -- leaving ----------------------------------------------------------------------------------


async def test_leaving_says_goodbye() -> None:
    heard = trio.Event()

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.discovered()
        opcode, payload = await peer.heard()
        assert (opcode, close_code(payload)) == (CLOSE, 1000)
        await peer.say(CLOSE, payload)
        heard.set()

    async with served_by(behave) as url:
        async with open_websocket_client(url):
            pass
        with trio.fail_after(1):
            await heard.wait()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_leaving_a_server_that_does_not_say_it_back(cancelled: bool) -> None:
    """trio-websocket would wait for a minute."""

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.discovered()
        await peer.ended()

    async with served_by(behave) as url:
        with trio.CancelScope() as scope:
            async with open_websocket_client(url):
                began = trio.current_time()
                if cancelled:
                    scope.cancel()
        seconds = trio.current_time() - began
        assert seconds < 0.8 if cancelled else 0.9 < seconds < 3


async def test_leaving_a_server_that_does_not_read() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.discovered()
        await trio.sleep_forever()

    async with served_by(behave) as url:
        async with open_websocket_client(url) as client:
            with trio.move_on_after(0.1):
                await client.call_tool("x", {"big": "x" * 12_000_000})
            began = trio.current_time()
        # A second for what still waits to be written, and one for the goodbye.
        assert trio.current_time() - began < 4


async def test_nothing_is_left_under_the_autojump_clock(autojump_clock: MockClock) -> None:
    """The heartbeat alone keeps the connection alive for an hour."""
    async with served_by(answering) as url, open_websocket_client(url) as client:
        await trio.sleep(1)
        assert client.revision == "2026-07-28"


async def answering(peer: Peer) -> None:
    await peer.accept()
    await peer.discovered()
    while True:
        opcode, payload = await peer.heard()
        if opcode == CLOSE:
            return
        await peer.say(PONG, payload)


# -- addresses and headers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://h", ("h", 80, "/", False, "h")),
        ("wss://H.example/a?b=c", ("h.example", 443, "/a?b=c", True, "h.example")),
        ("ws://[::1]:8000/ws", ("::1", 8000, "/ws", False, "[::1]:8000")),
        ("ws://h:443/", ("h", 443, "/", False, "h:443")),
        ("WS://h:1/?", ("h", 1, "/", False, "h:1")),
    ],
)
def test_addresses(url: str, expected: tuple[Any, ...]) -> None:
    found = WebSocketAddress.parse(url)
    assert expected == (
        found.host,
        found.port,
        found.resource,
        found.is_secure,
        found.host_header,
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "ws://",
        "ws:/h",
        "ws://h:x/",
        "ws://h:99999/",
        "ws://h/é",
        "ws://h/a b",
        "ws://h/#a",
        "ws://user@h/",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        WebSocketAddress.parse(url)
    if not url.startswith("http"):
        with pytest.raises(ValueError, match=r".+"):
            client_for(url)


async def test_an_ssl_context_in_the_clear() -> None:
    context = ssl.create_default_context()
    with pytest.raises(ValueError, match="wss://"):
        async with open_websocket_client("ws://h/", ssl_context=context):
            raise AssertionError("opened")


@pytest.mark.parametrize(
    ("name", "value"), [("a:b", "c"), ("", "c"), ("a b", "c"), ("a", "b\r\nc: d"), ("a", "漢")]
)
def test_headers_that_are_none(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="header"):
        header_list({name: value})
