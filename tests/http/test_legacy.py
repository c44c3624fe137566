"""HTTP+SSE.

Specification: 2024-11-05, Transports.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Context, Server

from .harness import PATIENCE, Opened, Reply, Web, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2024-11-05",
        "capabilities": {"sampling": {}},
        "clientInfo": {"name": "old", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Seen:
    """What handlers went through."""

    def __init__(self) -> None:
        self.started = trio.Event()
        self.ended = trio.Event()


def make_server(**options: Any) -> tuple[Server[Any], Seen]:
    server: Server[Any] = Server("web", version="1", **options)
    seen = Seen()

    @server.tool
    async def steps(ctx: Context) -> str:
        await ctx.report_progress(1)
        assert ctx.session is not None
        return f"{ctx.session.id}"

    @server.tool
    async def wait() -> None:
        seen.started.set()
        try:
            await trio.sleep_forever()
        finally:
            seen.ended.set()

    @server.tool
    async def ask(ctx: Context) -> str:
        return str((await ctx.sample("Hello?")).content)

    return server, seen


@asynccontextmanager
async def stream(web: Web) -> AsyncIterator[tuple[Opened, str]]:
    """An open stream, and where to post."""
    async with web.open("GET", "/sse", accept="text/event-stream") as opened:
        assert opened.headers["content-type"] == "text/event-stream"
        event = await opened.event()
        assert event.event == "endpoint"
        yield opened, event.data.decode()


async def post(web: Web, path: str, message: Any) -> Reply:
    body = json.dumps(message).encode()
    async with web.open("POST", path, body, content_type="application/json") as opened:
        return Reply(opened.status, opened.headers, await opened.body())


def call(tool: str, **meta: Any) -> dict[str, Any]:
    params = {"name": tool, "_meta": meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


async def test_a_conversation() -> None:
    server, _ = make_server()
    async with served(server) as web, stream(web) as (opened, path):
        reply = await post(web, path, INITIALIZE)
        assert (reply.status, reply.body) == (202, b"")
        event = await opened.event()
        assert event.event == "message"
        assert b'"protocolVersion":"2024-11-05"' in event.data
        await post(web, path, INITIALIZED)
        await post(web, path, call("steps", progressToken="t"))
        assert (await opened.message())["method"] == "notifications/progress"
        text = (await opened.message())["result"]["content"][0]["text"]
        assert path.endswith(text)
        await post(web, path, call("ask"))
        question = await opened.message()
        assert question["method"] == "sampling/createMessage"
        result = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "hi"}}
        await post(web, path, {"jsonrpc": "2.0", "id": question["id"], "result": result})
        assert "hi" in (await opened.message())["result"]["content"][0]["text"]
        await post(web, path, {"no": "message"})
        assert (await opened.message())["error"]["code"] == -32600


async def test_posts_without_a_stream_go_nowhere() -> None:
    server, _ = make_server()
    async with served(server) as web:
        async with stream(web) as (_, path):
            assert (await post(web, "/messages", INITIALIZE)).status == 404
            assert (await post(web, "/messages?session_id=x", INITIALIZE)).status == 404
        assert (await web.send("GET", "/messages")).status == 405
        assert (await web.send("POST", "/sse")).status == 405
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert (await post(web, path, INITIALIZE)).status == 404


async def test_the_end_of_the_stream_cancels() -> None:
    server, seen = make_server()
    async with served(server) as web:
        async with stream(web) as (opened, path):
            await post(web, path, INITIALIZE)
            await opened.event()
            await post(web, path, call("wait"))
            with trio.fail_after(PATIENCE):
                await seen.started.wait()
        with trio.fail_after(PATIENCE):
            await seen.ended.wait()


async def test_what_is_posted_at_once_is_answered() -> None:
    entered, go_on = trio.Event(), trio.Event()

    @asynccontextmanager
    async def slow(session: Any) -> AsyncIterator[None]:
        entered.set()
        await go_on.wait()
        yield

    server, _ = make_server(session_lifespan=slow)
    async with served(server) as web, trio.open_nursery() as nursery:
        announced = trio.Event()

        async def talk() -> None:
            async with stream(web) as (opened, path):
                announced.set()
                assert (await post(web, path, INITIALIZE)).status == 202
                assert b"protocolVersion" in (await opened.event()).data

        nursery.start_soon(talk)
        with trio.fail_after(PATIENCE):
            await entered.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        # Where to post is told once somebody takes it.
        assert not announced.is_set()
        go_on.set()


async def test_a_session_that_cannot_begin_is_an_error_and_announces_nothing() -> None:
    @asynccontextmanager
    async def broken(session: Any) -> AsyncIterator[None]:
        raise ValueError("secret")
        yield

    server, _ = make_server(session_lifespan=broken)
    async with served(server) as web:
        reply = await web.send("GET", "/sse", accept="text/event-stream")
        assert reply.status == 500
        assert b"secret" not in reply.body
        assert b"endpoint" not in reply.body


async def test_a_client_that_leaves_while_its_session_opens_leaves_nothing_behind() -> None:
    entered, left = trio.Event(), trio.Event()

    @asynccontextmanager
    async def endless(session: Any) -> AsyncIterator[None]:
        entered.set()
        try:
            await trio.sleep_forever()
            yield
        finally:
            left.set()

    server, _ = make_server(session_lifespan=endless)
    async with served(server) as web:
        client = await web.connect()
        await client.send_all(f"GET /sse HTTP/1.1\r\nhost: 127.0.0.1:{web.port}\r\n\r\n".encode())
        with trio.fail_after(PATIENCE):
            await entered.wait()
            await trio.aclose_forcefully(client)
            await left.wait()


@pytest.mark.parametrize("root", ["/tools", "/tools/", "/a b/c", "/messages", "/sse"])
async def test_behind_a_proxy_that_strips_a_prefix(root: str) -> None:
    server, _ = make_server()
    async with served(server, root_path=root) as web, stream(web) as (opened, told):
        prefix = root.rstrip("/").replace(" ", "%20")
        assert told.startswith(f"{prefix}/messages?session_id=")
        # As the proxy passes it on, and as it was sent.
        for path in (told.removeprefix(prefix), told):
            assert (await post(web, path, {"no": "message"})).status == 202
            assert (await opened.message())["error"]["code"] == -32600


async def test_the_prefix_of_whoever_mounts_the_application_is_told() -> None:
    server, _ = make_server()
    inner = server.sse_app()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "root_path": "/below"}, receive, send)

    async with (
        served(server, app=app) as web,
        web.open("GET", "/below/sse", accept="text/event-stream") as opened,
    ):
        assert (await opened.event()).data.startswith(b"/below/messages?")


async def test_a_root_path_is_a_path() -> None:
    server, _ = make_server()
    with pytest.raises(ValueError, match="root_path"):
        await server.serve_http("127.0.0.1", 0, root_path="tools")


async def test_shutdown_ends_the_stream() -> None:
    server, _ = make_server()
    async with served(server) as web, stream(web) as (opened, _):
        server.shutdown()
        assert await opened.messages() == []


async def test_an_app_of_its_own() -> None:
    server, _ = make_server()
    async with served(server, app=server.sse_app(keepalive=0.05)) as web:
        async with stream(web) as (opened, _):
            await opened.comment()
        assert (await web.send("POST", "/mcp")).status == 404
