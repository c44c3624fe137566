"""One connection ends nobody else: each request here is known to have ended a server's process.

`echo` is the application; a healthy stream of it is open meanwhile, and must survive.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
import pytest
import trio
import trio.testing
import trustme

from trimcp import Limits
from trimcp.http._hosting import config_for, host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.usefixtures("parser")

#: A bound after which a promise counts as broken; never what makes a test right.
PATIENCE = 10.0


class App:
    """Streams `tick`s on /stream until told to end; answers the rest at once."""

    def __init__(self) -> None:
        self.tick = trio.Event()
        self.ended = trio.Event()
        self.disconnected = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            return
        path = scope["path"]
        if path == "/exit":
            raise SystemExit(3)
        if path == "/fail":
            raise ExceptionGroup("several", [ValueError("one"), ValueError("two")])
        if path == "/flood":
            await self._flood(send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if path == "/half":
            await send({"type": "http.response.body", "body": b"open", "more_body": True})
            raise ValueError("half")
        if path == "/stream":
            await send({"type": "http.response.body", "body": b"open", "more_body": True})
            await self.tick.wait()
        if path == "/watch":
            await send({"type": "http.response.body", "body": b"open", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            self.disconnected.set()
        await send({"type": "http.response.body", "body": b"done"})

    async def _flood(self, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while not self.ended.is_set():
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        finally:
            self.ended.set()


class Served:
    """A served application: where it is, and how to stop it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.port = 0
        self.stop = trio.CancelScope()
        self.life = trio.CancelScope()
        self.over = trio.Event()


@asynccontextmanager
async def serving(limits: Limits | None = None, **options: Any) -> AsyncIterator[Served]:
    served = Served(App())
    limits = limits or Limits()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    served.port = listeners[0].socket.getsockname()[1]
    started = trio.Event()

    async def run() -> None:
        with served.life:
            await host(
                served.app,
                listeners,
                limits,
                accepting=lambda: served.stop,
                started=started.set,
                **options,
            )
        served.over.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await started.wait()
        with trio.fail_after(60):
            yield served
        nursery.cancel_scope.cancel()


async def connect(served: Served) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", served.port)


async def read_until(stream: trio.abc.Stream, mark: bytes) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE):
        while mark not in data:
            piece = await stream.receive_some()
            if not piece:
                raise EOFError(data)
            data += piece
    return data


async def read_all(stream: trio.abc.Stream) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE):
        try:
            while piece := await stream.receive_some():
                data += piece
        except trio.BrokenResourceError:
            pass
    return data


@asynccontextmanager
async def an_open_stream(served: Served) -> AsyncIterator[None]:
    """A stream of somebody else, which must end in good order."""
    async with await connect(served) as stream:
        await stream.send_all(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        await read_until(stream, b"open")
        yield
        served.app.tick.set()
        await read_until(stream, b"done\r\n0\r\n\r\n")


# -- cleartext ----------------------------------------------------------------------------------

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize(
    "request_bytes",
    [
        UPGRADE + b"\x00trailing",
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
        b"http2-settings: !!!\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"GET /exit HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /fail HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 100_000,
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=[
        "websocket-trailing",
        "h2c-settings",
        "h2c-prior-knowledge",
        "system-exit",
        "group",
        "tls-hello",
        "endless-head",
        "two-lengths",
        "path-bytes",
        "bad-chunk",
    ],
)
async def test_one_request_ends_nobody_else(request_bytes: bytes) -> None:
    async with serving() as served, an_open_stream(served):
        async with await connect(served) as stream:
            await stream.send_all(request_bytes)
            await stream.send_eof()
            await read_all(stream)
        async with await connect(served) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await read_until(stream, b"done")


async def test_cleartext_h2_is_not_spoken() -> None:
    async with serving() as served, await connect(served) as stream:
        upgrade = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAAA\r\n"
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n" + upgrade + b"\r\n")
        answer = await read_until(stream, b"done")
        assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"])
async def test_the_preface_of_cleartext_h2_ends_the_connection(before: bytes) -> None:
    """With a refusal in HTTP/1.1 or none, but never with frames of HTTP/2."""
    connection = open_h2()
    headers = [(b":method", b"GET"), (b":path", b"/"), *PSEUDO]
    connection.send_headers(1, headers, end_stream=True)
    preface = connection.data_to_send()
    assert preface.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    async with serving() as served, an_open_stream(served), await connect(served) as stream:
        if before:
            await stream.send_all(before)
            await read_until(stream, b"done\r\n0\r\n\r\n")
        await stream.send_all(preface)
        answer = await read_all(stream)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        assert b"done" not in answer


async def test_a_failure_is_answered_with_500(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served, await connect(served) as stream:
        await stream.send_all(b"GET /exit HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await read_all(stream)).startswith(b"HTTP/1.1 500 ")
    assert "the ASGI application failed" in caplog.text


async def test_a_body_that_nobody_reads_blocks_nobody() -> None:
    """The application answers without reading; the connection's reader must not hang."""
    async with serving() as served, await connect(served) as stream:
        async with trio.open_nursery() as nursery:
            head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n"

            async def upload() -> None:
                try:
                    await stream.send_all(head + b"x" * 20_000_000)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return

            nursery.start_soon(upload)
            await read_until(stream, b"done")
            await stream.aclose()
        served.stop.cancel()
        with trio.fail_after(PATIENCE):
            await served.over.wait()


async def test_a_slow_head_is_cut() -> None:
    limits = Limits(header_seconds=0.1)
    async with serving(limits) as served, await connect(served) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost:")
        assert await read_all(stream) == b""


async def test_a_large_head_is_refused() -> None:
    async with serving(Limits(header_bytes=1000)) as served, await connect(served) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 2000)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 431 ")


async def test_connections_are_bounded() -> None:
    limits = Limits(connections=1)
    async with (
        serving(limits) as served,
        an_open_stream(served),
        await connect(served) as stream,
    ):
        assert await read_all(stream) == b""


# -- disconnects and drains ----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["close", "reset", "half-close"])
async def test_a_disconnect_is_told(way: str) -> None:
    async with serving() as served:
        stream = await connect(served)
        await stream.send_all(b"GET /watch HTTP/1.1\r\nhost: x\r\n\r\n")
        await read_until(stream, b"open")
        if way == "reset":
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if way == "half-close":
            await stream.send_eof()
        else:
            await stream.aclose()
        with trio.fail_after(PATIENCE):
            await served.app.disconnected.wait()
        await stream.aclose()


async def test_sending_to_a_client_that_is_gone_fails() -> None:
    async with serving() as served:
        stream = await connect(served)
        await stream.send_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        await read_until(stream, b"xxx")
        await stream.aclose()
        with trio.fail_after(PATIENCE):
            await served.app.ended.wait()


async def test_stopping_ends_idle_connections_and_lets_answers_finish() -> None:
    async with serving() as served, await connect(served) as idle:
        await idle.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await read_until(idle, b"done\r\n0\r\n\r\n")
        async with an_open_stream(served):
            served.stop.cancel()
            assert await read_all(idle) == b""
            with pytest.raises(OSError, match="attempts to connect"):
                await connect(served)
            assert not served.over.is_set()
        with trio.fail_after(PATIENCE):
            await served.over.wait()


async def test_cancelling_ends_a_send_that_nobody_reads() -> None:
    async with serving() as served, await connect(served) as stream:
        await stream.send_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked(0.05)
        served.life.cancel()
        with trio.fail_after(PATIENCE):
            await served.over.wait()
        assert served.app.ended.is_set()


async def test_a_send_that_nobody_reads_has_a_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Limits(send_seconds=0.2)) as served, await connect(served) as stream:
        await stream.send_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        with trio.fail_after(PATIENCE):
            await served.app.ended.wait()
    assert "a client read nothing for 0.2 s" in caplog.text


# -- HTTP/2 over TLS -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, protocols: list[str]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(protocols)
    return context


async def connect_h2(served: Served, authority: trustme.CA) -> trio.SSLStream[trio.SocketStream]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    stream = trio.SSLStream(
        await connect(served), context, server_hostname="localhost", https_compatible=True
    )
    await stream.do_handshake()
    assert stream.selected_alpn_protocol() == "h2"
    return stream


def open_h2() -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(
        h2.config.H2Configuration(
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
    )
    connection.initiate_connection()
    return connection


PSEUDO = [(b":scheme", b"https"), (b":authority", b"localhost")]


@pytest.mark.parametrize(
    "headers",
    [
        [(b":method", b"GET"), (b":path", b"/\xff\xfe"), *PSEUDO],
        [(b":method", b"CONNECT"), (b":authority", b"localhost")],
        [(b":method", b"\xff"), (b":path", b"/"), *PSEUDO],
    ],
    ids=["path-bytes", "connect", "method-bytes"],
)
async def test_one_h2_request_ends_nobody_else(
    authority: trustme.CA, headers: list[tuple[bytes, bytes]]
) -> None:
    tls = server_context(authority, ["h2", "http/1.1"])
    async with serving(tls=tls) as served:
        async with await connect_h2(served, authority) as stream:
            connection = open_h2()
            connection.send_headers(1, headers, end_stream=True)
            await stream.send_all(connection.data_to_send())
            await read_all(stream)
        await h2_works(served, authority)


async def test_h2_data_after_an_early_answer(authority: trustme.CA) -> None:
    tls = server_context(authority, ["h2", "http/1.1"])
    async with serving(tls=tls) as served:
        async with await connect_h2(served, authority) as stream:
            connection = open_h2()
            connection.send_headers(1, [(b":method", b"POST"), (b":path", b"/"), *PSEUDO])
            await stream.send_all(connection.data_to_send())
            await h2_answer(stream, connection)
            connection.send_data(1, b"late", end_stream=True)
            await stream.send_all(connection.data_to_send())
        await h2_works(served, authority)


async def h2_works(served: Served, authority: trustme.CA) -> None:
    async with await connect_h2(served, authority) as stream:
        connection = open_h2()
        headers = [(b":method", b"GET"), (b":path", b"/"), *PSEUDO]
        connection.send_headers(1, headers, end_stream=True)
        await stream.send_all(connection.data_to_send())
        assert await h2_answer(stream, connection) == b"done"


async def h2_answer(
    stream: trio.SSLStream[trio.SocketStream], connection: h2.connection.H2Connection
) -> bytes:
    body = b""
    with trio.fail_after(PATIENCE):
        while True:
            data = await stream.receive_some()
            assert data
            for event in connection.receive_data(bytes(data)):
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                if isinstance(event, h2.events.StreamEnded):
                    return body


async def test_a_failed_tls_handshake_is_nobody_s_business(authority: trustme.CA) -> None:
    tls = server_context(authority, ["h2"])
    async with serving(tls=tls) as served:
        async with await connect(served) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            await read_all(stream)
        await h2_works(served, authority)


def test_settings_come_from_the_limits() -> None:
    config = config_for(Limits(header_bytes=5, header_seconds=7))
    assert (config.h11_max_incomplete_size, config.keep_alive_timeout) == (5, 7)
