"""Progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Context, Limits, Server

from .harness import (
    Message,
    Script,
    Sure,
    both_eras,
    every_revision,
    facing,
    notification,
    result,
    talking,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


def counting() -> Server[Any]:
    server = Server[Any]("counting")

    @server.tool
    async def count(values: list[float], ctx: Context) -> str:
        for value in values:
            await ctx.report_progress(value, 100, f"at {value}")
        return "counted"

    @server.tool
    async def ask(ctx: Context) -> str:
        await ctx.report_progress(1)
        await ctx.elicit("Sure?", Sure)
        await ctx.report_progress(2)
        return "asked"

    return server


def progress_of(message: Message) -> Message:
    assert message["method"] == "notifications/progress"
    params: Message = message["params"]
    return params


# -- tokens -----------------------------------------------------------------------------------


async def hear(progress: float, total: float | None, message: str | None) -> None:
    """Progress is wanted."""


@every_revision
async def test_tokens_of_the_client(revision: str, autojump_clock: MockClock) -> None:
    """PROG-01, PROG-02: strings or integers, and different ones for calls under way."""
    async with facing(revision) as to:
        for _ in range(4):
            to.start(to.client.call_tool, "count", progress=hear)
        asked = [await to.line.receive() for _ in range(4)]
        tokens = [each["params"]["_meta"]["progressToken"] for each in asked]
        assert all(type(token) in (str, int) for token in tokens)
        assert len(set(tokens)) == 4
        # Who wants no progress brings no token.
        to.start(to.client.call_tool, "count")
        plain = await to.line.receive()
        assert "progressToken" not in plain["params"].get("_meta", {})


@pytest.mark.parametrize("token", ["", "a", 0, -3, 2**53 - 1], ids=repr)
@both_eras
async def test_tokens_come_back(revision: str, token: Any, autojump_clock: MockClock) -> None:
    """PROG-01, PROG-04: exactly as they were given."""
    async with talking(counting(), revision) as script:
        asked = script.calling("count", {"values": [1]}, progressToken=token)
        await script.send(asked)
        back = progress_of(await script.receive())["progressToken"]
        assert (back, type(back)) == (token, type(token))
        assert (await script.receive())["id"] == asked["id"]


@pytest.mark.parametrize("token", [1.5, True, [], {}], ids=repr)
@both_eras
async def test_other_tokens_are_refused(
    revision: str, token: Any, autojump_clock: MockClock
) -> None:
    """PROG-01."""
    async with talking(counting(), revision) as script:
        answer = await script.call("count", {"values": [1]}, progressToken=token)
        assert answer["error"]["code"] == -32602


@every_revision
async def test_no_token_no_progress(revision: str, autojump_clock: MockClock) -> None:
    """PROG-04: the next message is the answer."""
    async with talking(counting(), revision) as script:
        assert "result" in await script.call("count", {"values": [1, 2, 3]})


# -- values -----------------------------------------------------------------------------------


@every_revision
async def test_progress_increases(revision: str, autojump_clock: MockClock) -> None:
    """PROG-03: whatever the handler says."""
    values = [1, 1, 0.5, 2, 1.9, 2.5, -1, 2.5, 3]
    async with talking(counting(), revision) as script:
        asked = script.calling("count", {"values": values}, progressToken="t")
        await script.send(asked)
        heard = [progress_of(await script.receive()) for _ in range(4)]
        assert [each["progress"] for each in heard] == [1, 2, 2.5, 3]
        assert (await script.receive())["id"] == asked["id"]


@every_revision
async def test_messages(revision: str, autojump_clock: MockClock) -> None:
    """PROG-06: carried where the revision knows them."""
    async with talking(counting(), revision) as script:
        await script.send(script.calling("count", {"values": [1]}, progressToken="t"))
        said = progress_of(await script.receive())
        assert said.get("message") == (None if revision == "2024-11-05" else "at 1.0")
        assert said["total"] == 100


# -- when it ends -----------------------------------------------------------------------------


@every_revision
async def test_no_progress_after_the_answer(revision: str, autojump_clock: MockClock) -> None:
    """PROG-05: a task that the handler left behind is heard no more."""
    server = Server[Any]("late")
    contexts: list[Context[Any]] = []

    @server.tool
    async def leave(ctx: Context) -> str:
        await ctx.report_progress(1)
        contexts.append(ctx)
        return "left"

    async with talking(server, revision) as script:
        await script.send(script.calling("leave", None, progressToken="t"))
        progress_of(await script.receive())
        await script.receive()
        await contexts[0].report_progress(2)
        await script.expect_silence()


async def test_each_round_has_its_token(autojump_clock: MockClock) -> None:
    """PROG-04, PROG-05: after a question progress goes to the request that brought the answer."""
    async with talking(counting(), "2026-07-28", {"elicitation": {}}) as script:
        await script.send(script.calling("ask", None, progressToken="first"))
        assert progress_of(await script.receive())["progressToken"] == "first"
        question = (await script.receive())["result"]
        [key] = question["inputRequests"]
        params = {
            "name": "ask",
            "arguments": {},
            "requestState": question["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {"sure": True}}},
        }
        await script.send(script.message("tools/call", params, progressToken="second"))
        assert progress_of(await script.receive())["progressToken"] == "second"
        assert "result" in await script.receive()


@both_eras
async def test_the_client_tracks_its_tokens(revision: str, autojump_clock: MockClock) -> None:
    """PROG-07: progress reaches its call; what belongs to none is ignored."""
    heard: dict[str, list[float]] = {"a": [], "b": []}

    def listen(name: str) -> Any:
        async def note(progress: float, total: float | None, message: str | None) -> None:
            heard[name].append(progress)

        return note

    async with facing(revision) as to:
        first = to.start(to.client.call_tool, "count", progress=listen("a"))
        asked = await to.line.receive()
        second = to.start(to.client.call_tool, "count", progress=listen("b"))
        other = await to.line.receive()
        for token, value in (
            (other["params"]["_meta"]["progressToken"], 7),
            ("unknown", 8),
            (asked["params"]["_meta"]["progressToken"], 9),
        ):
            params = {"progressToken": token, "progress": value}
            await to.line.send(notification("notifications/progress", params))
            await trio.testing.wait_all_tasks_blocked()
        for message, call in ((asked, first), (other, second)):
            await to.line.send(result(message, {"content": []}))
            await call.get()
            token = message["params"]["_meta"]["progressToken"]
            params = {"progressToken": token, "progress": 10}
            await to.line.send(notification("notifications/progress", params))
        await trio.testing.wait_all_tasks_blocked()
    assert heard == {"a": [9], "b": [7]}


# -- floods -----------------------------------------------------------------------------------


@both_eras
async def test_a_slow_reader_slows_the_sender(revision: str, autojump_clock: MockClock) -> None:
    """PROG-08, LOG-04: who reports more than the other side reads waits for it."""
    server = Server[Any]("flooding", limits=Limits(outbox_bytes=2000))
    said = 0

    @server.tool
    async def flood(ctx: Context) -> str:
        nonlocal said
        for value in range(10_000):
            await ctx.report_progress(value, message="x" * 100)
            await ctx.error("x" * 100)
            said += 1
        return "flooded"

    # The stream itself holds nothing: what is sent has been read.
    ours, theirs = trio.testing.lockstep_stream_pair()
    meta: dict[str, Any] = {"progressToken": "t"}
    if revision == "2026-07-28":
        meta |= {
            "io.modelcontextprotocol/protocolVersion": revision,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/logLevel": "debug",
        }
    script = Script(ours, revision, {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        if not script.is_stateless:
            await script.shake_hands()
        await script.send(script.calling("flood", None, **meta))
        await trio.testing.wait_all_tasks_blocked()
        assert 1 <= said < 50
        for _ in range(100):
            await script.receive()
        await trio.testing.wait_all_tasks_blocked()
        assert 50 <= said < 200
        nursery.cancel_scope.cancel()


@both_eras
async def test_a_flood_costs_the_client_one_slot(revision: str, autojump_clock: MockClock) -> None:
    """PROG-08: while a callback runs, only the latest report waits."""
    heard: list[float] = []

    async def think(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)
        await trio.sleep(5)

    async with facing(revision) as to:
        call = to.start(to.client.call_tool, "count", progress=think)
        asked = await to.line.receive()
        token = asked["params"]["_meta"]["progressToken"]
        for value in range(1, 101):
            params = {"progressToken": token, "progress": value}
            await to.line.send(notification("notifications/progress", params))
            await trio.testing.wait_all_tasks_blocked()
        await to.line.send(result(asked, {"content": []}))
        await call.get()
    assert heard == [1, 100]
