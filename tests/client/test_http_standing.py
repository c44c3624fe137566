"""The stream on which the server of a session speaks by itself: how the client comes back to it.

Specification: 2025-11-25, Streamable HTTP.
"""

from __future__ import annotations

import itertools
import logging
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import ConnectionLost, ResourceUpdated, ToolsListChanged, open_http_client

from .harness import HANDSHAKE, INITIALIZED, Asked, said, sessions, site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trio.testing import MockClock

    from trimcp import Changes, Client

    from .harness import Site

#: Seconds of a clock that jumps.
LONG = 1_000_000.0

CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
TOLD = ToolsListChanged()


class Standing:
    """A script whose requests for the stream are answered by a plan, one step each.

    A step is a status, or what runs; after the last one the stream is open, tells of one change
    and stays.
    """

    def __init__(self, *steps: int | Callable[[Asked], Awaitable[None]]) -> None:
        self.steps = list(steps)
        self.times: list[float] = []
        self.asked: list[Asked] = []
        self.more: dict[str, str] = {}

    async def __call__(self, asked: Asked) -> None:
        if asked.verb != "GET":
            await asked.result(said("done") if asked.method == "tools/call" else {})
            return
        self.times.append(trio.current_time())
        self.asked.append(asked)
        step = self.steps.pop(0) if self.steps else tell_and_stay
        if isinstance(step, int):
            await asked.plain(step, **self.more)
        else:
            await step(asked)

    @property
    def waits(self) -> list[float]:
        return [after - before for before, after in itertools.pairwise(self.times)]

    @property
    def ids(self) -> list[str | None]:
        return [asked.headers.get("last-event-id") for asked in self.asked]


async def tell_and_stay(asked: Asked) -> None:
    await asked.begin()
    await asked.event(CHANGED)
    await asked.wait_left()


async def take_all(changes: Changes) -> None:
    async for _ in changes:
        pass


async def open_and_end(asked: Asked) -> None:
    await asked.begin()
    await asked.cut()


async def name_and_end(asked: Asked) -> None:
    await asked.begin()
    await asked.send(b"id: e-1\ndata:\n\n")
    await asked.cut()


async def live_and_end(asked: Asked) -> None:
    await asked.begin()
    await trio.sleep(10)
    await asked.cut()


def declaring(script: Callable[[Asked], Awaitable[None]]) -> Callable[[Asked], Awaitable[None]]:
    """A server of sessions that says that its tools may change."""
    served = sessions(script)
    ids = itertools.count(1)

    async def serve(asked: Asked) -> None:
        if asked.method == "initialize":
            capabilities = {**INITIALIZED["capabilities"], "tools": {"listChanged": True}}
            identity = {"mcp_session_id": f"s-{next(ids)}"}
            await asked.result({**INITIALIZED, "capabilities": capabilities}, **identity)
        else:
            await served(asked)

    return serve


@asynccontextmanager
async def serving(plan: Standing) -> AsyncIterator[tuple[Site, Client]]:
    async with (
        site(declaring(plan), within=LONG) as at,
        open_http_client(at.url, revision=HANDSHAKE) as client,
    ):
        yield at, client


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("status", [400, 404, 408, 409, 429, 500, 502, 503, 504])
async def test_one_refusal_is_not_the_end(
    status: int, first: bool, autojump_clock: MockClock
) -> None:
    """HTTPC-18: whether it is the first request for the stream, or a later one."""
    plan = Standing(status) if first else Standing(name_and_end, status)
    async with (
        serving(plan) as (at, client),
        client.listen(tools_list_changed=True) as changes,
    ):
        assert await anext(changes) == TOLD
        await client.call_tool("x")
    begun = at.methods.count("initialize")
    assert begun == (2 if status == 404 else 1)
    assert at.of("tools/call")[0].headers["mcp-session-id"] == f"s-{begun}"
    if not first:
        assert plan.ids == [None, "e-1", None if status in (400, 404) else "e-1"]


async def test_a_new_session_has_what_the_old_one_had(autojump_clock: MockClock) -> None:
    """HTTPC-18: found out by the stream alone, without any call; all may have changed."""
    plan = Standing(name_and_end, 404)
    async with (
        site(declaring(plan)) as at,
        open_http_client(at.url, revision=HANDSHAKE, log_level="error") as client,
        client.listen(resources=["a://b"], tools_list_changed=True) as changes,
    ):
        assert {await anext(changes), await anext(changes)} == {TOLD, ResourceUpdated("a://b")}
        await trio.sleep(1)
    for method in ("resources/subscribe", "logging/setLevel"):
        ids = [asked.headers["mcp-session-id"] for asked in at.of(method)]
        assert ids == ["s-1", "s-2"]
    assert [asked.headers["mcp-session-id"] for asked in at.of("DELETE")] == ["s-2"]


async def test_a_session_that_cannot_be_begun_yet(autojump_clock: MockClock) -> None:
    """The stream goes on finding out until it can."""
    plan = Standing(open_and_end, 404, 404, 404)

    async def serve(asked: Asked) -> None:
        if asked.method == "initialize" and at.methods.count("initialize") in (2, 3):
            await asked.plain(503)
        else:
            await served(asked)

    served = declaring(plan)
    async with (
        site(serve) as at,
        open_http_client(at.url, revision=HANDSHAKE) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        assert await anext(changes) == TOLD
    assert at.methods.count("initialize") == 4


async def test_a_server_that_never_had_a_stream(autojump_clock: MockClock) -> None:
    """404 is also what a server without such a resource says: one new session finds that out."""
    plan = Standing(*[404] * 100)
    async with (
        serving(plan) as (at, client),
    ):
        for _ in range(100):
            await trio.sleep(10)
            await client.call_tool("x")
    assert at.methods.count("initialize") == 2
    assert at.methods.count("GET") == 2


async def test_a_stream_that_every_new_session_lacks(autojump_clock: MockClock) -> None:
    """A working session is not given up for ever for the sake of a stream."""
    plan = Standing(open_and_end, *[404] * 100)
    async with (
        serving(plan) as (at, client),
    ):
        async with client.listen(tools_list_changed=True) as changes:
            with pytest.raises(ConnectionLost):
                await take_all(changes)
        began = at.methods.count("initialize")
        await trio.sleep(10_000)
        await client.call_tool("x")
    assert at.methods.count("initialize") == began
    assert began < 8


@pytest.mark.parametrize("status", [405, 501, 200, 204])
async def test_a_stream_that_is_not_offered(status: int, autojump_clock: MockClock) -> None:
    """It is not asked for again, and whoever listens is told."""
    plan = Standing(*[status] * 10)
    async with (
        serving(plan) as (at, client),
    ):
        await trio.sleep(1000)
        async with client.listen(tools_list_changed=True) as changes:
            with pytest.raises(ConnectionLost, match="cannot be heard"):
                await anext(changes)
    assert at.methods.count("GET") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 410])
async def test_a_stream_that_is_refused_for_good(
    status: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    plan = Standing(open_and_end, *[status] * 100)
    async with (
        serving(plan) as (at, client),
        client.listen(tools_list_changed=True) as changes,
    ):
        with pytest.raises(ConnectionLost, match=str(status)):
            await anext(changes)
        await trio.sleep(10_000)
    assert at.methods.count("GET") == 6
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert str(status) in warnings[0]


async def test_a_stream_that_stays_away_is_told_and_comes_back(autojump_clock: MockClock) -> None:
    """An outage ends those who listen, and not the hope."""
    plan = Standing(name_and_end, *[503] * 8)
    async with (
        serving(plan) as (_at, client),
    ):
        async with client.listen(tools_list_changed=True) as changes:
            with pytest.raises(ConnectionLost, match="503"):
                await anext(changes)
            assert len(plan.times) == 6
        await trio.sleep(1000)
        assert len(plan.times) == 10
        async with client.listen(tools_list_changed=True) as changes:
            with trio.move_on_after(100) as scope:
                await anext(changes)
            assert scope.cancelled_caught, "it lives, and has nothing new to say"
    waits = plan.waits
    assert waits[:8] == sorted(waits[:8])
    assert waits[0] >= 1
    assert waits[-1] > 60


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [True, False])
async def test_a_server_that_says_how_long(
    status: int, as_date: bool, autojump_clock: MockClock
) -> None:
    plan = Standing(status)
    plan.more = {"retry_after": formatdate(4102444800) if as_date else "3600"}
    async with (
        serving(plan) as (_at, client),
    ):
        await trio.sleep(3599)
        assert len(plan.times) == 1
        if not as_date:
            await trio.sleep(2)
            assert len(plan.times) == 2
        await client.call_tool("x")


@pytest.mark.parametrize("said", ["soon", "-1", "1e9", "\N{SUPERSCRIPT TWO}", ""])
async def test_a_server_that_says_it_badly(said: str, autojump_clock: MockClock) -> None:
    plan = Standing(503)
    plan.more = {"retry_after": said.encode("utf-8").decode("latin-1")}
    async with serving(plan):
        await trio.sleep(3)
    assert len(plan.times) == 2


@pytest.mark.parametrize("retry", [0, 1, 100])
@pytest.mark.parametrize("fresh_ids", [True, False])
async def test_streams_that_bring_nothing(
    retry: int, fresh_ids: bool, autojump_clock: MockClock
) -> None:
    """However little the server wants to be waited, it is asked ever more rarely."""
    numbers = itertools.count()

    async def end(asked: Asked) -> None:
        mark = f"id: {next(numbers)}\n" if fresh_ids else ""
        await asked.begin()
        await asked.send(f"{mark}retry: {retry}\ndata:\n\n".encode())
        await asked.cut()

    plan = Standing(*[end] * 1000)
    async with serving(plan):
        await trio.sleep(600)
    assert all(wait >= 1 for wait in plan.waits[1:])
    assert plan.waits[:6] == sorted(plan.waits[:6])
    assert 10 < len(plan.times) < 25


async def test_streams_that_each_bring_something(autojump_clock: MockClock) -> None:
    """`retry` is obeyed, down to a tenth of a second."""

    async def tell(asked: Asked) -> None:
        await asked.begin()
        await asked.send(b"retry: 0\n")
        await asked.event(CHANGED)
        await asked.cut()

    plan = Standing(*[tell] * 1000)
    async with serving(plan):
        await trio.sleep(10)
    assert min(plan.waits) >= 0.099
    assert len(plan.times) > 50


async def test_retry_is_never_undercut(autojump_clock: MockClock) -> None:
    """HTTPC-23: whatever happens on the way."""

    async def name(asked: Asked) -> None:
        await asked.begin()
        await asked.send(b"retry: 30000\n\n")
        await asked.cut()

    plan = Standing(name, 503, open_and_end, Asked.cut, live_and_end)
    async with serving(plan):
        await trio.sleep(1000)
    assert len(plan.times) == 6
    assert all(wait >= 30 for wait in plan.waits)


async def test_a_stream_that_has_lived_was_no_failure(autojump_clock: MockClock) -> None:
    """It brought nothing, but the next gap is a short one again."""
    plan = Standing(503, 503, 503, live_and_end)
    async with serving(plan):
        await trio.sleep(100)
    *growing, last = plan.waits
    assert growing == sorted(growing)
    assert last < 10 + 1.6


async def test_clients_do_not_come_back_together(autojump_clock: MockClock) -> None:
    plans = [Standing(503, 503) for _ in range(2)]
    for plan in plans:
        async with serving(plan):
            await trio.sleep(100)
    assert plans[0].waits != plans[1].waits


async def test_a_dead_server_is_told_to_who_listens(autojump_clock: MockClock) -> None:
    """Nothing on its stream, nothing to be connected to, no answer to a ping."""

    async def serve(asked: Asked) -> None:
        if dead.is_set():
            await asked.wait_left()
        else:
            await served(asked)

    dead = trio.Event()
    served = declaring(Standing())
    async with (
        site(serve) as at,
        open_http_client(at.url, revision=HANDSHAKE) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        dead.set()
        with pytest.raises(ConnectionLost, match="silent"):
            await anext(changes)


async def test_a_session_that_is_gone_is_found_out_by_silence(autojump_clock: MockClock) -> None:
    """The old stream is still open, but its session is not there any more."""

    async def serve(asked: Asked) -> None:
        if asked.method == "ping" and asked.headers["mcp-session-id"] == "s-1" and gone.is_set():
            await asked.plain(404)
        elif asked.verb == "GET" and asked.headers["mcp-session-id"] == "s-1":
            await asked.begin()
            await asked.wait_left()
            left.set()
        else:
            await served(asked)

    gone, left = trio.Event(), trio.Event()
    served = declaring(Standing())
    async with (
        site(serve) as at,
        open_http_client(at.url, revision=HANDSHAKE) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        gone.set()
        assert await anext(changes) == TOLD
        await left.wait()
    assert at.methods.count("initialize") == 2


async def test_the_old_stream_ends_with_its_session(autojump_clock: MockClock) -> None:
    async def serve(asked: Asked) -> None:
        session = asked.headers.get("mcp-session-id")
        if asked.method == "tools/call" and session == "s-1":
            await asked.plain(404)
        elif asked.verb == "GET":
            await asked.begin()
            await asked.wait_left()
            left.append(session)
            if session == "s-1":
                old_left.set()
        else:
            await served(asked)

    left: list[str | None] = []
    old_left = trio.Event()
    served = declaring(Standing())
    async with site(serve) as at, open_http_client(at.url, revision=HANDSHAKE) as client:
        await client.call_tool("x")
        await old_left.wait()
        assert left == ["s-1"]
    assert at.methods.count("GET") == 2


@pytest.mark.parametrize("identity", ["s-\xe9", "s 1", "\xff"])
async def test_ids_that_no_session_has(identity: str) -> None:
    from trimcp import ProtocolViolation

    async def script(asked: Asked) -> None:
        await asked.plain(405)

    async with site(sessions(script, ids=(identity.encode().decode("latin-1"),))) as at:
        with pytest.raises(ProtocolViolation, match="session id"):
            async with open_http_client(at.url, revision=HANDSHAKE):
                pass


@pytest.mark.parametrize("mark", ["e-ü", "\N{SNOWMAN}", " x", "a\x01b", "\x7f", "x" * 10_000])
async def test_ids_of_events_that_are_not_ascii(mark: str, autojump_clock: MockClock) -> None:
    """They are sent back as UTF-8; what cannot be sent back is not resumed from."""

    async def end(asked: Asked) -> None:
        await asked.begin()
        await asked.send(f"id: {mark}\ndata:\n\n".encode())
        await asked.cut()

    plan = Standing(end)
    async with (
        serving(plan) as (_at, client),
        client.listen(tools_list_changed=True) as changes,
    ):
        assert await anext(changes) == TOLD
    named = plan.ids[1]
    can_be_sent = mark in ("e-ü", "\N{SNOWMAN}")
    assert (named is not None) == can_be_sent
    if named is not None:
        assert named.encode("latin-1").decode() == mark


async def test_404_for_a_notification_too(autojump_clock: MockClock) -> None:
    """HTTPC-18: what is said to a session that is gone is said to the next one."""

    async def serve(asked: Asked) -> None:
        if asked.method == "notifications/x" and asked.headers["mcp-session-id"] == "s-1":
            await asked.plain(404)
        else:
            await served(asked)

    served = declaring(Standing())
    async with site(serve) as at, open_http_client(at.url, revision=HANDSHAKE) as client:
        await client.notify("notifications/x", {"a": 1})
    sent = [asked.headers["mcp-session-id"] for asked in at.of("notifications/x")]
    assert sent == ["s-1", "s-2"]
    assert at.methods.count("initialize") == 2


async def test_404_while_an_answer_is_resumed(autojump_clock: MockClock) -> None:
    """HTTPC-18: the call is lost, and the next one finds a session."""

    async def serve(asked: Asked) -> None:
        if asked.headers.get("mcp-session-id") == "s-1" and asked.method == "tools/call":
            await asked.plain(200, b"id: 1\ndata: \n\n", content_type="text/event-stream")
        elif "last-event-id" in asked.headers:
            await asked.plain(404)
        else:
            await served(asked)

    served = declaring(Standing())
    async with site(serve) as at, open_http_client(at.url, revision=HANDSHAKE) as client:
        with pytest.raises(ConnectionLost):
            await client.call_tool("x")
        assert at.methods.count("initialize") == 2
        await client.call_tool("x")
    assert at.methods.count("initialize") == 2


async def test_an_answer_is_resumed_after_a_refusal(autojump_clock: MockClock) -> None:
    async def serve(asked: Asked) -> None:
        if asked.method == "tools/call":
            calls.append(asked)
            await asked.plain(200, b"id: 1\ndata: \n\n", content_type="text/event-stream")
        elif "last-event-id" in asked.headers and len(resumed) < 2:
            resumed.append(asked)
            await asked.plain(503)
        elif "last-event-id" in asked.headers:
            await asked.begin()
            answer = {"jsonrpc": "2.0", "id": calls[0].body["id"], "result": said("late")}
            await asked.event(answer)
            await asked.cut()
        else:
            await served(asked)

    calls: list[Asked] = []
    resumed: list[Any] = []
    served = declaring(Standing())
    async with site(serve) as at, open_http_client(at.url, revision=HANDSHAKE) as client:
        result = await client.call_tool("x")
        assert result.content[0].text == "late"  # type: ignore[union-attr]
    assert len(resumed) == 2


async def test_a_handler_s_404_runs_nothing_twice() -> None:
    """An error that a handler itself may have sent begins a session, but repeats no call."""
    from trimcp import RequestError

    async def serve(asked: Asked) -> None:
        if asked.method == "tools/call":
            await asked.error(-32601, "no such method inside", 404)
        else:
            await served(asked)

    served = declaring(Standing())
    async with site(serve) as at, open_http_client(at.url, revision=HANDSHAKE) as client:
        with pytest.raises(RequestError) as caught:
            await client.call_tool("x")
        assert caught.value.code == -32601
    assert at.methods.count("tools/call") == 1
