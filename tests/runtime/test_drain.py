"""The end of a connection and of the application: who ends when, and not later."""

from __future__ import annotations

import functools
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.test_parking import Text, Wire
from trimcp import (
    ConnectionLost,
    Context,
    Limits,
    NotServing,
    RequestError,
    Server,
    open_stream_client,
)
from trimcp.protocol import Connection, Role
from trimcp.runtime import Life
from trimcp.transports import open_stream_channel
from trimcp.types import Implementation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: A grace that no connection needs here.
LONG = 100.0


def make_server(given_up: list[float] | None = None, **options: Any) -> Server[Any]:
    """A server; `given_up` gets the times at which questions were given up."""
    server = Server[Any]("draining", **options)
    given_up = [] if given_up is None else given_up

    @server.tool
    async def endless() -> str:
        await trio.sleep_forever()
        raise AssertionError

    @server.tool
    async def brief() -> str:
        await trio.sleep(3)
        return "done"

    @server.tool
    async def failing() -> str:
        await trio.sleep(3)
        raise RequestError(7, "no")

    @server.tool
    async def asking(ctx: Context) -> str:
        await trio.sleep(3)
        try:
            return (await ctx.elicit("Well?", Text)).value
        finally:
            given_up.append(trio.current_time())

    return server


@asynccontextmanager
async def served(server: Server[Any], *, drains: bool) -> AsyncIterator[tuple[Wire, trio.Event]]:
    """A connection to a server, and an event that is set when the server has ended it."""
    ours, theirs = trio.testing.memory_stream_pair()
    ended = trio.Event()
    async with (
        server.joined(signals=False) as application,
        open_stream_channel(theirs, Limits(), peer="x", drains=drains) as channel,
        trio.open_nursery() as nursery,
    ):

        async def serve() -> None:
            await application.serve(channel, grace=LONG)
            ended.set()

        nursery.start_soon(serve)
        yield Wire(ours), ended
        nursery.cancel_scope.cancel()


def cancelled(identity: int) -> dict[str, Any]:
    method = "notifications/cancelled"
    return {"jsonrpc": "2.0", "method": method, "params": {"requestId": identity}}


@pytest.mark.parametrize(
    ("drain", "tool"),
    [
        *itertools.product(["shutdown", "end of input"], ["brief", "failing", "asking"]),
        # After the end of its input a client cannot cancel.
        ("shutdown", "endless"),
    ],
)
async def test_a_drain_ends_with_the_last_request(
    drain: str, tool: str, autojump_clock: object
) -> None:
    """However that one ends: answered, failed, with a question, or cancelled by the client."""
    server = make_server(eof_grace=LONG)
    async with served(server, drains=True) as (wire, ended):
        identity = await wire.request(tool)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        if drain == "shutdown":
            server.shutdown(grace=LONG)
        else:
            await wire.stream.send_eof()  # type: ignore[attr-defined]
        if tool == "endless":
            await trio.sleep(3)
            await wire.send(cancelled(identity))
        else:
            assert (await wire.receive())["id"] == identity
        await ended.wait()
        assert trio.current_time() - began == pytest.approx(3)


@pytest.mark.parametrize("tool", ["brief", "failing", "asking"])
async def test_a_drain_ends_with_an_answer_that_cannot_be_written(
    tool: str, autojump_clock: object
) -> None:
    server = make_server()
    async with served(server, drains=False) as (wire, ended):
        await wire.request(tool)
        await wire.stream.receive_stream.aclose()  # type: ignore[attr-defined]
        # The answer to this is the first that cannot be written.
        await wire.request("unknown")
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        server.shutdown(grace=LONG)
        await ended.wait()
        assert trio.current_time() - began == pytest.approx(3)


async def test_calls_on_a_connection_that_breaks_say_why(autojump_clock: object) -> None:
    """Those that wait, and those that are made afterwards."""
    server = make_server()
    ours, theirs = trio.testing.memory_stream_pair()
    reason = trio.BrokenResourceError("the cable was cut")

    async def cut() -> None:
        raise reason

    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_stream, theirs)
        async with open_stream_client(ours) as client:

            async def call() -> None:
                with pytest.raises(ConnectionLost) as caught:
                    await client.call_tool("endless")
                assert caught.value.__cause__ is reason

            async with trio.open_nursery() as calls:
                calls.start_soon(call)
                await trio.testing.wait_all_tasks_blocked()
                ours.receive_stream.receive_some_hook = cut
                await client.call_tool("brief")
            await call()


@pytest.mark.parametrize(
    ("first", "second", "seconds"),
    [("shutdown", "end of input", 5), ("end of input", "shutdown", 5)],
)
@pytest.mark.parametrize("swapped", [False, True])
async def test_the_end_of_input_and_a_shutdown_give_the_shorter_grace(
    first: str, second: str, seconds: float, swapped: bool, autojump_clock: object
) -> None:
    grace = {first: LONG if swapped else 5, second: 5 if swapped else LONG}
    server = make_server(eof_grace=grace["end of input"])
    async with served(server, drains=True) as (wire, ended):
        await wire.request("endless")
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        for event in (first, second):
            if event == "shutdown":
                server.shutdown(grace=grace[event])
            else:
                await wire.stream.send_eof()  # type: ignore[attr-defined]
            await trio.testing.wait_all_tasks_blocked()
        await ended.wait()
        assert trio.current_time() - began == pytest.approx(seconds, abs=0.5)


@pytest.mark.parametrize("end", ["close", "half-close"])
async def test_a_client_that_leaves_during_a_drain(end: str, autojump_clock: object) -> None:
    """Its requests are cancelled at once, as at any other time."""
    server = make_server()
    async with served(server, drains=False) as (wire, ended):
        await wire.request("endless")
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        server.shutdown(grace=LONG)
        await trio.sleep(3)
        if end == "close":
            await wire.stream.aclose()
        else:
            await wire.stream.send_eof()  # type: ignore[attr-defined]
        await ended.wait()
        assert trio.current_time() - began == pytest.approx(3)


async def test_a_question_during_a_drain_waits_for_nobody(autojump_clock: object) -> None:
    """The client is told of it, but a retry would be refused: the handler ends at once."""
    given_up: list[float] = []
    server = make_server(given_up)
    async with served(server, drains=False) as (wire, _):
        asking = await wire.request("asking")
        await wire.request("endless")
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        server.shutdown(grace=LONG)
        message = await wire.receive()
        assert message["id"] == asking
        assert message["result"]["resultType"] == "input_required"
        await trio.sleep(5)
        assert given_up == [pytest.approx(began + 3)]
        assert server.statistics().parked == 0


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=6))
def test_no_drain_lengthens_the_deadline_of_another(deadlines: list[float]) -> None:
    connection = Connection(Role.SERVER, Implementation("s", "1"), Limits())
    life = Life(connection)
    for number, deadline in enumerate(deadlines, 1):
        life.drain(deadline)
        assert life.scope.deadline == min(deadlines[:number])
        assert life.is_draining


# -- the application ------------------------------------------------------------------------------


class Guest:
    """A client that notes when it has to be gone."""

    def __init__(self) -> None:
        self.deadlines: list[float] = []

    def drain(self, deadline: float) -> None:
        self.deadlines.append(deadline)


class Waiting:
    """A handler that waits for its client's next request."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    def cancel(self, reason: str) -> None:
        self.ended.append(trio.current_time())


@pytest.mark.parametrize("grace", [0, 4, 40, None])
@pytest.mark.parametrize("own", [None, 7])
async def test_everybody_gets_the_grace_that_was_said(
    own: float | None, grace: float | None, autojump_clock: object
) -> None:
    """That of `shutdown`, else the server's, else that of the door; what waits gets none."""
    server = make_server(shutdown_grace=own)
    hurried, patient, waiting = Guest(), Guest(), Waiting()
    graces = {hurried: 2.0, patient: 20.0}
    async with server.application(signals=False):
        application = server.running
        assert application is not None
        with application.attending(hurried, 2), application.attending(patient, 20):
            application.parked.add(waiting)
            now = trio.current_time()
            server.shutdown(grace=grace)
            server.shutdown(grace=1000)
            last = 0.0
            for guest, usual in graces.items():
                seconds = grace if grace is not None else own if own is not None else usual
                assert guest.deadlines == [now + seconds]
                last = max(last, seconds)
            assert waiting.ended == [now]
            await trio.sleep_forever()
    assert now + last < trio.current_time() <= now + last + 1


@pytest.mark.parametrize("grace", [0, 4, 40, None])
async def test_a_call_has_the_grace_and_no_more(
    grace: float | None, autojump_clock: object
) -> None:
    server = make_server()
    async with served(server, drains=False) as (wire, ended):
        await wire.request("endless")
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        server.shutdown(grace=grace)
        await ended.wait()
        seconds = LONG if grace is None else grace
        assert seconds <= trio.current_time() - began <= seconds + 0.5


async def test_nothing_is_accepted_by_a_server_that_is_closing(autojump_clock: object) -> None:
    """A scope in which connections are accepted ends with the shutdown, or at once after it."""
    server = make_server()
    went_on = False
    async with server.application(signals=False):
        application = server.running
        assert application is not None
        with application.accepting() as early:
            await trio.lowlevel.checkpoint()
            assert not early.cancel_called
            server.shutdown(grace=LONG)
            await trio.sleep_forever()
        assert early.cancelled_caught
        with pytest.raises(NotServing), application.attending(Guest(), 1):
            pass
        began = trio.current_time()
        with application.accepting() as late:
            await trio.sleep_forever()
        went_on = True
    assert went_on
    assert late.cancelled_caught
    assert trio.current_time() == began


@pytest.mark.parametrize("door", ["tcp", "unix", "websocket", "stream"])
async def test_a_door_that_is_opened_while_the_server_closes(door: str, tmp_path: Any) -> None:
    """It ends at once, and serves nobody, though another connection has its grace."""
    server = make_server()
    ours, theirs = trio.testing.memory_stream_pair()
    opening = {
        "tcp": functools.partial(server.serve_tcp, "127.0.0.1", 0),
        "unix": functools.partial(server.serve_unix, tmp_path / "socket"),
        "websocket": functools.partial(server.serve_websocket, "127.0.0.1", 0),
        "stream": functools.partial(server.serve_stream, theirs),
    }[door]
    async with served(server, drains=False) as (wire, ended):
        await wire.request("endless")
        await trio.testing.wait_all_tasks_blocked()
        server.shutdown(grace=LONG)
        with trio.fail_after(10):
            try:
                await opening()
            except* NotServing:
                pass
        assert not ended.is_set()
        assert server.statistics().connections == 1
        await ours.aclose()
