"""HTTP+SSE.

Specification: 2024-11-05, Transports.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

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
