"""Between the HTTP server and ours there may be middleware that has read the body already.

It repeats what it has read: once, or for ever, and without waiting, as several frameworks do.
"""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import HttpRequest, Limits, Server
from trimcp.http._visits import RequestBody
from trimcp.transports import Budget

from .harness import PATIENCE, Web, call, request
from .test_connections import HELLO, post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: How often the body is repeated before the truth is told; None for ever.
TIMES = [1, 3, None]


def repeating(app: Any, times: int | None) -> Any:
    """Middleware that reads the whole body first."""

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        left = times

        async def again() -> Any:
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    return await receive()
            return {"type": "http.request", "body": body, "more_body": False}

        await app({**scope, "extensions": {}}, again, send)

    return outer


class Desk:
    """A server with something to wait for behind every kind of request."""

    def __init__(self) -> None:
        self.server: Server[Any] = Server("desk", version="1")
        self.go = trio.Event()
        self.began = trio.Event()
        self.ended = trio.Event()
        self.server.tool(self.wait)
        self.server.custom_route("/wait", methods=["POST"])(self.route)

    async def wait(self) -> str:
        self.began.set()
        try:
            await self.go.wait()
        finally:
            self.ended.set()
        return "done"

    async def route(self, request: HttpRequest) -> str:
        return await self.wait()


@asynccontextmanager
async def served(desk: Desk, times: int | None) -> AsyncIterator[Web]:
    app = repeating(desk.server.asgi_app(), times)
    async with trio.open_nursery() as nursery:
        serve = functools.partial(desk.server.serve_http, "127.0.0.1", 0, app=app)
        (url,) = await nursery.start(serve)
        with trio.fail_after(60):
            yield Web(int(url.rpartition(":")[2]))
        nursery.cancel_scope.cancel()


async def of_a_session(web: Web) -> dict[str, str]:
    hello = await web.post(HELLO)
    return {"mcp_session_id": hello.headers["mcp-session-id"]}


OLD_CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "wait"}}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("kind", ["stateless", "session", "route"])
async def test_a_waiting_request_lets_others_run(kind: str, times: int | None) -> None:
    desk = Desk()
    async with served(desk, times) as web, trio.open_nursery() as nursery:
        done: list[bytes] = []

        async def ask() -> None:
            if kind == "route":
                async with web.open("POST", "/wait", b"{}") as opened:
                    done.append(await opened.body())
                return
            headers = await of_a_session(web) if kind == "session" else {}
            message = OLD_CALL if kind == "session" else call("wait")
            done.append((await web.post(message, **headers)).body)

        nursery.start_soon(ask)
        await desk.began.wait()
        reply = await web.post(request("tools/list"))
        assert reply.status == 200
        assert not done
        desk.go.set()
    assert b"done" in done[0]


@pytest.mark.parametrize("times", TIMES)
async def test_the_stream_of_a_session_lets_others_run(times: int | None) -> None:
    desk = Desk()
    async with served(desk, times) as web:
        headers = await of_a_session(web)
        async with web.open("GET", accept="text/event-stream", **headers) as opened:
            assert opened.status == 200
            reply = await web.post(request("tools/list"))
            assert reply.status == 200


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind", ["stateless", "route"])
async def test_a_client_that_goes_is_heard_once_the_truth_is_told(kind: str, times: int) -> None:
    desk = Desk()
    # Reading the body takes one of the repetitions.
    async with served(desk, times + 1) as web:
        async with await web.connect() as stream:
            await stream.send_all(post(b"{}", "/wait") if kind == "route" else post(call("wait")))
            await desk.began.wait()
        with trio.fail_after(PATIENCE):
            await desk.ended.wait()


async def test_pieces_without_an_end_do_not_stop_the_others() -> None:
    """Neither empty ones nor full ones: the time for a body is over after `body_seconds`."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": True}

    limits = Limits(body_seconds=0.05)
    with trio.fail_after(PATIENCE), pytest.raises(Exception, match="took longer"):
        await RequestBody(receive).read({}, limits, Budget())
