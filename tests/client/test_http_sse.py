"""The HTTP client towards servers that speak HTTP with SSE.

Specification: 2024-11-05, Transports, HTTP with SSE.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from trimcp import (
    ConnectionLost,
    HTTPStatusError,
    NoCommonRevision,
    RequestError,
    RequestTimeout,
    open_http_client,
)
from trimcp.protocol.http import encode_event

from .harness import INITIALIZED, Asked, said, site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

OLD = "2024-11-05"


@attrs.define
class OldServer:
    """Serves one stream, and answers what is posted with a script."""

    script: Callable[[OldServer, Asked], Awaitable[None]]
    endpoint: str = "/messages?s=1"
    refusal: tuple[int, bytes] = (405, b"")
    stream: Asked | None = None
    closing: trio.Event = attrs.field(factory=trio.Event)

    async def __call__(self, asked: Asked) -> None:
        if asked.verb == "GET":
            self.stream = asked
            await asked.begin()
            await asked.send(encode_event(self.endpoint.encode(), event="endpoint"))
            await self.closing.wait()
            await asked.cut()
        elif asked.path == "/mcp":
            await asked.plain(*self.refusal, content_type="application/json")
        elif asked.method == "initialize":
            await asked.plain(202)
            await self.answer(asked, {**INITIALIZED, "protocolVersion": OLD})
        elif asked.method.startswith("notifications/"):
            await asked.plain(202)
        else:
            await self.script(self, asked)

    async def answer(self, asked: Asked, result: dict[str, Any]) -> None:
        assert self.stream is not None
        message = {"jsonrpc": "2.0", "id": asked.body["id"], "result": result}
        data = json.dumps(message).encode()
        await self.stream.send(encode_event(data, event="message"))


async def take_and_answer(server: OldServer, asked: Asked) -> None:
    await asked.plain(202, b"Accepted")
    await server.answer(asked, said("done"))


async def test_a_relative_endpoint_after_a_redirect() -> None:
    """It is relative to where the stream came from in the end."""

    async def script(asked: Asked) -> None:
        if asked.verb == "GET" and asked.path == "/mcp":
            await asked.plain(307, location="/deep/er/sse")
        else:
            await server(asked)

    server = OldServer(take_and_answer, endpoint="messages")
    async with site(script) as at:
        async with open_http_client(at.url) as client:
            await client.call_tool("x")
        server.closing.set()
    assert {asked.path for asked in at.of("tools/call")} == {"/deep/er/messages"}


async def test_a_stream_of_a_dead_server_is_lost(autojump_clock: MockClock) -> None:
    """Whoever listens is told, though the connection is still open."""

    async def script(server: OldServer, asked: Asked) -> None:
        await asked.plain(202)
        if not dead.is_set():
            await server.answer(asked, {})

    dead = trio.Event()
    server = OldServer(script)
    async with site(server) as at:
        async with open_http_client(at.url) as client:
            async with client.listen(resources=["a://b"]) as changes:
                dead.set()
                with pytest.raises(ConnectionLost, match="sign of life"):
                    await anext(changes)
            with pytest.raises(ConnectionLost):
                await client.call_tool("x")
        server.closing.set()


@pytest.mark.parametrize("endpoint", ["/messages?s=1", "messages", "http://127.0.0.1:{port}/m"])
async def test_calls(endpoint: str) -> None:
    server = OldServer(take_and_answer)
    async with site(server) as at:
        server.endpoint = endpoint.format(port=at.url.split(":")[2].split("/")[0])
        async with open_http_client(at.url) as client:
            assert client.revision == OLD
            result = await client.call_tool("x")
            assert result.content[0].text == "done"  # type: ignore[union-attr]
    assert at.methods == [
        *("server/discover", "initialize", "GET"),
        *("initialize", "notifications/initialized", "tools/call"),
    ]
    (call,) = at.of("tools/call")
    assert call.path.startswith("/m")
    for header in ("mcp-protocol-version", "mcp-session-id", "mcp-method"):
        assert header not in call.headers


@pytest.mark.parametrize("status", [400, 404, 405])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": {"code": -32600, "message": "no"}}'])
async def test_refusals_that_lead_here(status: int, body: bytes) -> None:
    if body.startswith(b"{"):
        body = b'{"jsonrpc": "2.0", "id": null, ' + body[1:]
    server = OldServer(take_and_answer, refusal=(status, body))
    async with site(server) as at, open_http_client(at.url) as client:
        assert client.revision == OLD


async def test_refusals_that_do_not(autojump_clock: MockClock) -> None:
    """A server of the stateless era alone says so to `initialize`."""
    for code in (-32601, -32022):
        body = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": %d, "message": "no"}}' % code
        async with site(OldServer(take_and_answer, refusal=(404, body))) as at:
            with pytest.raises((RequestError, NoCommonRevision)):
                async with open_http_client(at.url, revision=OLD):
                    pass
        assert at.methods == ["initialize"]


async def test_progress_and_questions() -> None:
    async def script(server: OldServer, asked: Asked) -> None:
        await asked.plain(202)
        if asked.method == "answer":
            root = asked.body["result"]["roots"][0]["uri"]
            await server.answer(call[0], said(root))
            return
        call.append(asked)
        assert server.stream is not None
        token = asked.body["params"]["_meta"]["progressToken"]
        params = {"progressToken": token, "progress": 1}
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        await server.stream.event(note)
        await server.stream.event({"jsonrpc": "2.0", "id": "r", "method": "roots/list"})

    call: list[Asked] = []
    seen: list[float] = []

    async def on_progress(done: float, *rest: object) -> None:
        seen.append(done)

    async with (
        site(OldServer(script)) as at,
        open_http_client(at.url, roots=["file:///r"]) as client,
    ):
        result = await client.call_tool("x", progress=on_progress)
        assert result.content[0].text == "file:///r"  # type: ignore[union-attr]
    assert seen == [1]


@pytest.mark.parametrize("way", ["status", "drop"])
async def test_a_post_that_fails_fails_one_call(way: str) -> None:
    async def script(server: OldServer, asked: Asked) -> None:
        if asked.body["params"]["name"] == "fine":
            await take_and_answer(server, asked)
        elif way == "status":
            await asked.plain(500, b"oops")
        else:
            await asked.cut()

    async with site(OldServer(script)) as at, open_http_client(at.url) as client:
        with pytest.raises((HTTPStatusError, ConnectionLost)) as caught:
            await client.call_tool("x")
        assert isinstance(caught.value, HTTPStatusError if way == "status" else ConnectionLost)
        await client.call_tool("fine")


async def test_the_end_of_the_stream_is_the_end() -> None:
    async def script(server: OldServer, asked: Asked) -> None:
        await asked.plain(202)
        server.closing.set()

    async with site(OldServer(script)) as at, open_http_client(at.url) as client:
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await client.call_tool("x")
    assert at.methods.count("tools/call") == 1


async def test_silence_is_bounded(autojump_clock: MockClock) -> None:
    async def script(server: OldServer, asked: Asked) -> None:
        if asked.method == "tools/call" and asked.body["params"]["name"] == "taken":
            await asked.plain(202)
        else:
            await asked.wait_left()

    async with site(OldServer(script)) as at, open_http_client(at.url, timeout=5) as client:
        for name in ("taken", "not even taken"):
            began = trio.current_time()
            with pytest.raises(RequestTimeout):
                await client.call_tool(name)
            assert trio.current_time() - began == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1/x", "https://127.0.0.1/x", "//example.com/x", "ftp:x"]
)
async def test_an_endpoint_of_another_origin_is_refused(endpoint: str) -> None:
    async with site(OldServer(take_and_answer, endpoint)) as at:
        with pytest.raises(HTTPStatusError) as caught:
            async with open_http_client(at.url):
                pass
        assert caught.value.status == 405
    assert "tools/call" not in at.methods


@pytest.mark.parametrize("stream", ["none", "silent", "ends", "html"])
async def test_no_server_of_ours_at_all(stream: str, autojump_clock: MockClock) -> None:
    """The error is the one of the first attempt, in bounded time."""

    async def script(asked: Asked) -> None:
        if asked.verb == "POST":
            await asked.plain(404, b"nothing here")
        elif stream == "silent":
            await asked.begin()
            await asked.wait_left()
        elif stream == "ends":
            await asked.plain(200, b"", content_type="text/event-stream")
        elif stream == "html":
            await asked.plain(200, b"<html>", content_type="text/html")
        else:
            await asked.plain(404)

    async with site(script) as at:
        with pytest.raises(HTTPStatusError) as caught:
            async with open_http_client(at.url):
                pass
        assert caught.value.status == 404
        assert caught.value.text == "nothing here"
