"""A shutdown over HTTP keeps its time: what can end ends at once, the rest exactly at the grace.

Every kind of request is held by a handler that would never end, on a clock that jumps.
"""

from __future__ import annotations

import collections
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Context, HttpRequest, Server

from .harness import PATIENCE, Web, call, served
from .test_connections import caller, post
from .test_sessions import Confirm, join, tool
from .test_stateless import elicit_capable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

#: What `serve_http` gives by itself.
OWN_GRACE = 5.0


class Held:
    """A server whose handlers hold it, and when they began and ended."""

    def __init__(self, **options: Any) -> None:
        self.server: Server[Any] = Server("held", version="1", **options)
        self.began: dict[str, trio.Event] = collections.defaultdict(trio.Event)
        self.over: dict[str, trio.Event] = collections.defaultdict(trio.Event)
        self.ended: dict[str, float] = {}
        self.server.tool(self.wait)
        self.server.tool(self.talk)
        self.server.tool(self.ask)
        self.server.custom_route("/wait")(self.route)

    @asynccontextmanager
    async def holding(self, name: str) -> AsyncIterator[None]:
        self.began[name].set()
        try:
            yield
        finally:
            self.ended[name] = trio.current_time()
            self.over[name].set()

    async def wait(self, name: str = "wait") -> None:
        async with self.holding(name):
            await trio.sleep_forever()

    async def talk(self, ctx: Context) -> None:
        await ctx.report_progress(1)
        await self.wait()

    async def ask(self, ctx: Context) -> str:
        async with self.holding("ask"):
            return str(await ctx.elicit("Sure?", Confirm))

    async def route(self, request: HttpRequest) -> str:
        await self.wait()
        return "never"


async def a_call(web: Web) -> None:
    await web.post(call("wait"))


async def a_call_that_streams(web: Web) -> None:
    async with web.open_post(call("talk", progressToken=1)) as opened:
        await opened.messages()


async def a_call_of_a_session(web: Web) -> None:
    client = await join(web)
    await client.post(tool("wait"))


async def a_call_of_a_session_that_streams(web: Web) -> None:
    client = await join(web)
    async with client.open_post(tool("talk", token="t")) as opened:
        await opened.messages()


async def a_batch(web: Web) -> None:
    client = await join(web, "2025-03-26")
    await client.post([tool("wait", id=1), tool("wait", {"name": "other"}, id=2)])


async def a_custom_route(web: Web) -> None:
    assert (await web.send("GET", "/wait")).status == 503


KINDS = [
    a_call,
    a_call_that_streams,
    a_call_of_a_session,
    a_call_of_a_session_that_streams,
    a_batch,
    a_custom_route,
]


async def ended(held: Held, name: str, began: float) -> float:
    """After how many seconds a handler has ended."""
    with trio.fail_after(100):
        await held.over[name].wait()
    return held.ended[name] - began


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grace", [0.0, 1.0, 8.0, None])
@pytest.mark.parametrize("own", [None, 3.0])
async def test_what_does_not_end_is_cancelled_when_its_grace_is_over(
    kind: Any, grace: float | None, own: float | None, autojump_clock: MockClock
) -> None:
    """Neither before nor after: that of `shutdown`, else of the server, else of the door."""
    held = Held(shutdown_grace=own)
    async with served(held.server) as web, trio.open_nursery() as nursery:
        nursery.start_soon(kind, web)
        await held.began["wait"].wait()
        await trio.sleep(1)
        began = trio.current_time()
        held.server.shutdown(grace=grace)
        defaults = [seconds for seconds in (grace, own, OWN_GRACE) if seconds is not None]
        assert await ended(held, "wait", began) == pytest.approx(defaults[0], abs=0.1)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("late", [0.0, 1.0, 3.0])
async def test_a_request_that_begins_in_the_drain_ends_with_it(
    late: float, autojump_clock: MockClock
) -> None:
    """Its connection and its head were there before, its body comes late."""
    held = Held()
    data = post(call("wait"))
    async with served(held.server) as web, trio.open_nursery() as nursery:
        nursery.start_soon(web.post, call("wait", {"name": "holds the grace"}))
        await held.began["holds the grace"].wait()
        async with caller(web) as peer:
            await peer.send(data[:-5])
            await trio.testing.wait_all_tasks_blocked(0.05)
            began = trio.current_time()
            held.server.shutdown(grace=4)
            await trio.sleep(late)
            await peer.send(data[-5:])
            await held.began["wait"].wait()
            assert await ended(held, "wait", began) == pytest.approx(4, abs=0.1)
            assert await ended(held, "holds the grace", began) == pytest.approx(4, abs=0.1)
            assert b"error" in (await peer.answer())[1]
        nursery.cancel_scope.cancel()


async def test_what_waits_for_its_client_ends_at_once(autojump_clock: MockClock) -> None:
    """The answer cannot come any more, though another call holds the grace."""
    held = Held()
    async with served(held.server) as web, trio.open_nursery() as nursery:
        nursery.start_soon(web.post, call("wait"))
        reply = await web.post(elicit_capable(call("ask")))
        assert reply.message["result"]["resultType"] == "input_required"
        client = await join(web, capabilities={"elicitation": {}})
        standing = await nursery.start(listening, client)
        await held.began["wait"].wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        began = trio.current_time()
        held.server.shutdown(grace=8)
        assert await ended(held, "ask", began) == pytest.approx(0, abs=0.1)
        with trio.fail_after(0.1):
            await standing.wait()
        assert "wait" not in held.ended
        assert await ended(held, "wait", began) == pytest.approx(8, abs=0.1)
        nursery.cancel_scope.cancel()


async def listening(client: Any, *, task_status: trio.TaskStatus[trio.Event]) -> None:
    """Read a session's own stream to its end."""
    over = trio.Event()
    async with client.open_get() as opened:
        task_status.started(over)
        assert await opened.messages() == []
        over.set()


async def is_answered(port: int) -> bool:
    """Whether somebody at the port answers, in whatever protocol."""
    try:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with trio.fail_after(PATIENCE):
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
                return bool(await stream.receive_some())
    except (OSError, trio.BrokenResourceError):
        return False


@pytest.mark.parametrize("door", ["serve_http", "serve_websocket", "serve_tcp"])
async def test_a_door_that_opens_while_the_server_closes_lets_nobody_in(
    door: str, autojump_clock: MockClock
) -> None:
    held = Held()
    async with held.server.application(signals=False), trio.open_nursery() as nursery:
        urls = await nursery.start(held.server.serve_http, "127.0.0.1", 0)
        web = Web(int(urls[0].rpartition(":")[2]))
        nursery.start_soon(web.post, call("wait"))
        await held.began["wait"].wait()
        held.server.shutdown(grace=8)
        places: list[Any] = []

        async def serve(*, task_status: trio.TaskStatus[Any]) -> None:
            with trio.CancelScope():
                places.extend(await nursery.start(getattr(held.server, door), "127.0.0.1", 0))
            task_status.started()

        await nursery.start(serve)
        for place in places:
            port = int(place.rpartition(":")[2]) if isinstance(place, str) else place[1]
            assert not await is_answered(port)
        assert "wait" not in held.ended
        nursery.cancel_scope.cancel()
