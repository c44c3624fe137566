"""The scope that our hosting lends to a request is for that request, and for nobody beside it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Context, Server
from trimcp.http._http1._llhttp import LlhttpParser

from .harness import PATIENCE, call
from .test_connections import post
from .test_http1 import Served, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
LOCAL = {"host": "localhost"}


class Held:
    """A server whose tools a test holds, and the application around it."""

    def __init__(self) -> None:
        self.server: Server[Any] = Server("held", version="1")
        self.began, self.go_on = trio.Event(), trio.Event()
        self.app: Any = self.server.asgi_app()
        self.server.tool(self.wait)
        self.server.tool(self.talk)
        self.server.tool(self.slip)

    async def wait(self) -> str:
        self.began.set()
        await self.go_on.wait()
        return "went on"

    async def talk(self, ctx: Context) -> str:
        await ctx.report_progress(1)
        return await self.wait()

    async def slip(self) -> str:
        trio.CancelScope().__enter__()
        return "slipped out"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        """Serve it; its application may end before the hosting does."""
        opened = trio.Event()

        async def live() -> None:
            async with self.server.application(signals=False):
                opened.set()
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(live)
            await opened.wait()
            async with serving(self.app, LlhttpParser, header_seconds=1000.0) as hosted:
                yield hosted
            nursery.cancel_scope.cancel()


async def test_its_deadline_does_not_reach_the_next_request(autojump_clock: MockClock) -> None:
    held = Held()
    async with held.serving() as hosted:
        client = hosted.connect()
        await client.send(post(call("wait"), **LOCAL))
        await held.began.wait()
        held.server.shutdown(grace=10)
        held.go_on.set()
        head, body = await client.answer()
        assert head.startswith(b"HTTP/1.1 200")
        assert b"went on" in body
        await trio.sleep(30)
        await client.send(HEALTH)
        assert await client.answer() == (
            b"HTTP/1.1 503 \ncontent-type: text/plain; charset=utf-8\ncontent-length: 12",
            b"not serving\n",
        )


@pytest.mark.parametrize("tool", ["wait", "talk"])
async def test_who_is_cancelled_at_the_deadline_is_answered(
    tool: str, autojump_clock: MockClock
) -> None:
    """With one JSON text, and at the end of a stream."""
    held = Held()
    async with held.serving() as hosted:
        client = hosted.connect()
        await client.send(post(call(tool, progressToken=1), **LOCAL))
        await held.began.wait()
        held.server.shutdown(grace=5)
        assert b"cancelled by the server" in await client.rest()
        assert trio.current_time() == pytest.approx(5)


async def test_a_scope_that_is_left_open_is_an_error_of_its_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = Held()
    async with held.serving() as hosted:
        client = hosted.connect()
        await client.send(post(call("slip"), **LOCAL))
        _, body = await client.answer()
        assert b"The tool failed unexpectedly." in body
        assert await client.rest() == b""
        other = hosted.connect()
        await other.send(HEALTH)
        assert (await other.answer())[1] == b"ok\n"
    assert "tools/call 'slip' failed" in caplog.text


async def test_middleware_is_not_cancelled_when_the_client_goes_away() -> None:
    held = Held()
    app, cleaned = held.app, trio.Event()

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        await trio.testing.wait_all_tasks_blocked()
        cleaned.set()

    held.app = middleware
    async with held.serving() as hosted:
        client = hosted.connect()
        await client.send(post(call("wait"), **LOCAL))
        with trio.fail_after(PATIENCE):
            await held.began.wait()
            await client.stream.aclose()
            await cleaned.wait()
