"""WebSocket under hypercorn's trio worker, as its command line runs it."""

from __future__ import annotations

import functools
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import hypercorn.trio
import pytest
import trio
from hypercorn.config import Config

from tests.raw_websocket import (
    BINARY,
    CLOSE,
    TEXT,
    RawWebSocket,
    frame,
    raw_websocket,
    text,
    upgrade,
)
from trimcp import HandshakeFailed, Limits, Server, open_websocket_client
from trimcp.http import websocket_endpoint
from trimcp.testing import stateless

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REVISIONS = ["2025-11-25", "2026-07-28"]


class Served:
    """A server under hypercorn.

    Attributes:
        server: The server.
        port: Where it listens.
        ended: Handlers that were cancelled.
        stop: Tells hypercorn to shut down.
    """

    def __init__(self, **options: Any) -> None:
        self.server: Server[None] = Server("asgi", **options)
        self.port = 0
        self.began = trio.Event()
        self.ended = trio.Event()
        self.release = trio.Event()
        self.stop = trio.Event()
        self.over = trio.Event()
        self.server.tool(self.hello)
        self.server.tool(self.hang)
        self.server.tool(self.wait)

    async def hello(self) -> str:
        return "hello"

    async def hang(self) -> None:
        self.began.set()
        try:
            await trio.sleep_forever()
        finally:
            self.ended.set()

    async def wait(self) -> str:
        self.began.set()
        await self.release.wait()
        return "released"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def run(self, app: Any, config: Config, *, task_status: Any) -> None:
        await hypercorn.trio.serve(
            app, config, shutdown_trigger=self.stop.wait, mode="asgi", task_status=task_status
        )
        self.over.set()


@asynccontextmanager
async def serving(
    *, app: Any = None, access: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Served]:
    """Serve with hypercorn; at the end whoever connects must still be served."""
    served = Served(**options)
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 0.3
    config.errorlog = None
    app = app or served.server.websocket_app(**(access or {}))
    async with trio.open_nursery() as nursery:
        run = functools.partial(served.run, app, config)
        (bind,) = await nursery.start(run)
        served.port = int(bind.rpartition(":")[2])
        with trio.fail_after(30):
            yield served
        nursery.cancel_scope.cancel()


def call(identity: Any, tool: str) -> bytes:
    params = stateless({"name": tool, "arguments": {}})
    return text({"jsonrpc": "2.0", "id": identity, "method": "tools/call", "params": params})


async def lives(raw: RawWebSocket) -> None:
    await raw.send(call("alive", "hello"))
    assert (await raw.message())["id"] == "alive"


async def refused(served: Served, head: bytes) -> int:
    async with raw_websocket(served.port) as raw:
        await raw.send(head)
        return (await raw.head())[0]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_client(revision: str) -> None:
    async with (
        serving() as served,
        open_websocket_client(served.url, revision=revision) as client,
    ):
        assert "hello" in str((await client.call_tool("hello")).content)


async def test_the_subprotocol() -> None:
    async with serving() as served:
        for offered, chosen in (("mcp", "mcp"), ("soap, mcp", "mcp"), (None, None)):
            async with raw_websocket(served.port) as raw:
                headers = await raw.open(subprotocol=offered)
                assert headers.get("sec-websocket-protocol") == chosen
                await lives(raw)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (upgrade("evil.example"), 403),
        (upgrade("localhost", "/ws", ("Origin", "http://evil.example")), 403),
        (upgrade("localhost", "/ws", ("Origin", "null")), 403),
        (upgrade("localhost", "/ws", ("Origin", "http://localhost:3000")), 101),
        (upgrade("localhost", "/other"), 404),
        (upgrade(subprotocol="soap"), 400),
        (b"GET /ws HTTP/1.1\r\nhost: localhost\r\n\r\n", 426),
        (b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n", 404),
    ],
)
async def test_who_is_served(head: bytes, status: int) -> None:
    async with serving() as served:
        assert await refused(served, head) == status


async def test_names_that_are_allowed() -> None:
    access = {"allowed_hosts": ["mcp.example"], "allowed_origins": ["https://app.example"]}
    async with serving(access=access) as served:
        assert await refused(served, upgrade("localhost")) == 403
        assert await refused(served, upgrade("mcp.example")) == 101
        head = upgrade("mcp.example", "/ws", ("Origin", "https://app.example"))
        assert await refused(served, head) == 101


async def test_connections_are_bounded() -> None:
    async with serving(limits=Limits(connections=1)) as served, raw_websocket(served.port) as raw:
        await raw.open()
        await lives(raw)
        assert await refused(served, upgrade()) == 503
        with pytest.raises(HandshakeFailed) as caught:
            async with open_websocket_client(served.url):
                raise AssertionError("opened")
        assert caught.value.status == 503


async def test_without_the_lifespan_events(caplog: pytest.LogCaptureFixture) -> None:
    inner = Server("asgi").websocket_app()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            raise NotImplementedError
        await inner(scope, receive, send)

    async with serving(app=app) as served:
        assert await refused(served, upgrade()) == 503
    assert "no lifespan events" in caplog.text


async def test_frames_that_are_no_messages() -> None:
    limits = Limits(message_bytes=2000)
    async with serving(limits=limits) as served:
        async with raw_websocket(served.port) as raw:
            await raw.open()
            await raw.send(frame(TEXT, b"{"))
            assert (await raw.message())["error"]["code"] == -32700
            long = b'{"jsonrpc": "2.0", "id": "long", "method": "' + b"x" * 5000 + b'"}'
            await raw.send(frame(TEXT, long))
            answer = await raw.message()
            assert answer["id"] == "long"
            assert "limit of 2000" in answer["error"]["message"]
            await lives(raw)
            await raw.send(frame(BINARY, b"{}"))
            assert await raw.closed() == 1003
        async with raw_websocket(served.port) as raw:
            await raw.open()
            # hypercorn's own limit.
            await raw.send(frame(TEXT, b"x" * (17 * 1024 * 1024)))
            assert await raw.closed() == 1009
        async with raw_websocket(served.port) as raw:
            await raw.open()
            await lives(raw)


@pytest.mark.parametrize("way", ["close frame", "end", "reset", "half-close"])
async def test_going_away_cancels(way: str) -> None:
    async with serving() as served:
        async with raw_websocket(served.port) as raw:
            await raw.open()
            await raw.send(call(1, "hang"))
            await served.began.wait()
            assert isinstance(raw.stream, trio.SocketStream)
            if way == "close frame":
                await raw.send(frame(CLOSE, b"\x03\xe8"))
                assert await raw.closed() == 1000
            elif way == "half-close":
                await raw.stream.send_eof()
                with trio.fail_after(2):
                    await served.ended.wait()
            elif way == "reset":
                linger = struct.pack("ii", 1, 0)
                raw.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with trio.fail_after(2):
            await served.ended.wait()


async def test_a_shutdown_lets_finish_and_says_goodbye() -> None:
    async with serving() as served, raw_websocket(served.port) as raw:
        await raw.open()
        await raw.send(call(1, "wait"))
        await served.began.wait()
        served.server.shutdown(grace=60)
        await raw.send(call(2, "hello"))
        assert (await raw.message())["error"]["code"] == -31002
        assert await refused(served, upgrade()) == 503
        served.release.set()
        assert (await raw.message())["result"]["content"][0]["text"] == "released"
        assert await raw.closed() == 1001


async def test_the_end_of_hypercorn_is_the_end_of_all() -> None:
    async with serving() as served, raw_websocket(served.port) as raw:
        await raw.open()
        await raw.send(call(1, "hang"))
        await served.began.wait()
        served.stop.set()
        with trio.fail_after(3):
            await served.ended.wait()
            await raw.ended()
            await served.over.wait()


async def test_a_lifespan_that_fails() -> None:
    @asynccontextmanager
    async def broken(server: Server[Any]) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    said: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(event: dict[str, Any]) -> None:
        said.append(event["type"])

    app = Server("asgi", lifespan=broken).websocket_app()
    with pytest.raises(ValueError, match="no database"):
        await app({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.failed"]


async def test_an_asgi_server_that_can_only_close() -> None:
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(event: dict[str, Any]) -> None:
        said.append(event)

    scope = {"type": "websocket", "path": "/other", "headers": [], "subprotocols": []}
    await Server("asgi").websocket_app()(scope, receive, send)
    assert said == [{"type": "websocket.close"}]


@pytest.mark.parametrize("others", [[b"localhost"], [b"evil.example"], []])
async def test_one_host_is_wanted(others: list[bytes]) -> None:
    """Also where the ASGI server lets requests with two through."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(event: dict[str, Any]) -> None:
        said.append(event)

    server: Server[Any] = Server("asgi")
    headers = [(b"host", name) for name in others and [b"localhost", *others]]
    scope = {"type": "websocket", "path": "/ws", "headers": headers, "subprotocols": []}
    async with server.application(signals=False) as application:
        await websocket_endpoint(application, scope, receive, send)
    assert said == [{"type": "websocket.close"}]


async def test_mounted_below_another_path() -> None:
    inner = Server("asgi").websocket_app()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await inner(scope, receive, send)
        else:
            await inner({**scope, "root_path": "/below"}, receive, send)

    async with serving(app=app) as served:
        assert await refused(served, upgrade("localhost", "/below/ws")) == 101
        assert await refused(served, upgrade("localhost", "/ws/below")) == 404
