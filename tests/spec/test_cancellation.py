"""Cancellation, and the timeouts that lead to it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Context, Limits, RequestError, RequestTimeout, Server

from .harness import (
    ERAS,
    STATELESS,
    Line,
    Message,
    Script,
    Sure,
    both_eras,
    cancelled,
    error,
    every_revision,
    facing,
    failing_to_open,
    notification,
    request,
    result,
    talking,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


class Slow:
    """A server whose tool runs until it is cancelled, and tells what became of it."""

    def __init__(self, **options: Any) -> None:
        self.server = Server[Any]("slow", **options)
        self.began = trio.Event()
        self.ended = trio.Event()
        self.server.tool(self.hang)
        self.server.tool(self.ask)

    async def hang(self, ctx: Context) -> str:
        self.began.set()
        try:
            await trio.sleep_forever()
        finally:
            # What it still says while it is cleaning up is said to nobody.
            with trio.CancelScope(shield=True):
                await ctx.report_progress(5)
                await ctx.error("cleaning up")
            self.ended.set()
        raise AssertionError

    async def ask(self, ctx: Context) -> str:
        return str(await ctx.elicit("Sure?", Sure))


async def hanging(script: Script, slow: Slow) -> Message:
    """Start the tool that hangs; the request."""
    meta: dict[str, Any] = {"progressToken": "t"}
    if script.is_stateless:
        meta["io.modelcontextprotocol/logLevel"] = "debug"
    asked = script.calling("hang", None, **meta)
    await script.send(asked)
    await slow.began.wait()
    return asked


# -- at the server ----------------------------------------------------------------------------


@every_revision
async def test_the_server_stops(revision: str, autojump_clock: MockClock) -> None:
    """CANC-05, CANC-06, CANC-07, CANC-08: the handler ends, and nothing is said about it."""
    slow = Slow()
    async with slow.server.application(signals=False), talking(slow.server, revision) as script:
        asked = await hanging(script, slow)
        await script.send(cancelled(asked["id"]))
        await slow.ended.wait()
        assert slow.server.statistics().in_flight == 0
        await script.expect_silence()


@every_revision
async def test_the_server_ignores_what_it_does_not_know(
    revision: str, autojump_clock: MockClock
) -> None:
    """CANC-09, CANC-11: unknown, already answered, or malformed; and the server goes on."""
    slow = Slow()
    async with talking(slow.server, revision) as script:
        answered = await script.do("tools/list")
        asked = await hanging(script, slow)
        odd = [
            cancelled("unknown"),
            cancelled(answered["id"]),
            cancelled(None),
            cancelled({"id": asked["id"]}),
            notification("notifications/cancelled"),
            notification("notifications/cancelled", {"reason": "none"}),
            notification("notifications/cancelled", {"requestId": asked["id"], "reason": 5}),
        ]
        await script.send(*odd)
        await script.expect_silence()
        assert not slow.ended.is_set()


async def test_initialize_is_not_cancelled_at_the_server(autojump_clock: MockClock) -> None:
    """CANC-03: a client that tries gets its answer all the same."""
    async with talking(Slow().server, "2025-11-25", opened=False) as script:
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "script", "version": "1"},
        }
        await script.send(request(1, "initialize", params), cancelled(1))
        assert "result" in await script.receive()


@both_eras
async def test_a_cancellation_and_an_answer_cross(revision: str, autojump_clock: MockClock) -> None:
    """CANC-09: the answer was on its way; nothing is said twice, nothing breaks."""
    slow = Slow()

    @slow.server.tool
    async def quick() -> str:
        return "done"

    async with talking(slow.server, revision) as script:
        asked = script.calling("quick")
        await script.send(asked)
        await trio.testing.wait_all_tasks_blocked()
        await script.send(cancelled(asked["id"]))
        assert (await script.receive())["id"] == asked["id"]
        await script.expect_silence()


async def test_the_server_cancels_nothing(autojump_clock: MockClock) -> None:
    """CANC-02: in the stateless era it has no requests that it could cancel (but CANC-13)."""
    slow = Slow(limits=Limits(parked_seconds=1))

    @slow.server.tool(timeout=1)
    async def bounded() -> None:
        await trio.sleep_forever()

    async with talking(slow.server, STATELESS, {"elicitation": {}}) as script:
        assert (await script.call("bounded"))["result"]["isError"]
        question = await script.call("ask")
        assert question["result"]["resultType"] == "input_required"
        await trio.sleep(5)
        asked = await hanging(script, slow)
        await script.send(cancelled(asked["id"]))
        await slow.ended.wait()
        await script.expect_silence()


# -- at the client ----------------------------------------------------------------------------


@every_revision
async def test_the_client_cancels(revision: str, autojump_clock: MockClock) -> None:
    """CANC-01, CANC-04, CANC-12: leaving a call says so, with the id of the request."""
    async with facing(revision) as to:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(to.client.call_tool, "hang")
                asked = await to.line.receive()
                scope.cancel()
        said = await to.line.receive()
        assert said["method"] == "notifications/cancelled"
        assert said["params"]["requestId"] == asked["id"]
        # What comes for it all the same is ignored.
        await to.line.send(result(asked, {"content": []}))
        await to.line.send(notification("notifications/progress", {"progressToken": asked["id"]}))
        call = to.start(to.client.list_tools)
        await to.line.send(result(await to.line.receive(), {"tools": []}))
        assert await call.get() == []


@both_eras
async def test_the_client_cancels_only_what_is_open(
    revision: str, autojump_clock: MockClock
) -> None:
    """CANC-01: what has been answered is over, whatever its answer was."""
    async with facing(revision) as to:
        answers: list[Message] = [{"content": []}, {"content": 5}]
        for answer in answers:
            call = to.start(to.client.call_tool, "x", timeout=5)
            await to.line.send(result(await to.line.receive(), answer))
            await call.done.wait()
        call = to.start(to.client.call_tool, "x", timeout=5)
        await to.line.send(error(await to.line.receive(), -32603))
        await call.fails(RequestError)
        await trio.sleep(10)
        to.start(to.client.list_tools)
        assert (await to.line.receive())["method"] == "tools/list"


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-11-25"])
async def test_the_client_does_not_cancel_initialize(
    revision: str, autojump_clock: MockClock
) -> None:
    """CANC-03: also when it gives up waiting."""
    said: list[Message] = []

    async def welcome(line: Line) -> None:
        while True:
            try:
                said.append(await line.receive())
            except EOFError:
                return

    assert isinstance(await failing_to_open(welcome, revision=revision, timeout=5), RequestTimeout)
    assert [each["method"] for each in said] == ["initialize"]


async def test_the_client_stops_answering(autojump_clock: MockClock) -> None:
    """CANC-05, CANC-06, CANC-07: a question that the server gave up."""
    ended = trio.Event()

    async def think(_: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with facing("2025-11-25", elicitation=think) as to:
        params = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
        await to.line.send(request("q", "elicitation/create", params))
        await trio.testing.wait_all_tasks_blocked()
        await to.line.send(cancelled("q"), cancelled("unknown"))
        await ended.wait()
        assert (await to.line.ask(request("p", "ping")))["result"] == {}


async def test_the_server_cancels_its_questions(autojump_clock: MockClock) -> None:
    """CANC-01, CANC-12: a handler that is cancelled takes its question back, by its id."""
    async with talking(Slow().server, "2025-11-25", {"elicitation": {}}) as script:
        asked = script.calling("ask")
        await script.send(asked)
        question = await script.receive()
        assert question["method"] == "elicitation/create"
        await script.send(cancelled(asked["id"]))
        said = await script.receive()
        assert said["method"] == "notifications/cancelled"
        assert said["params"]["requestId"] == question["id"]
        # A late answer is ignored.
        await script.send(result(question, {"action": "cancel"}))
        await script.expect_silence()


@pytest.mark.parametrize("revision", ERAS)
async def test_reasons_are_logged(
    revision: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """CANC-10: by the server, and by the client where it can be asked."""
    caplog.set_level(logging.DEBUG, "trimcp")
    slow = Slow()
    async with talking(slow.server, revision) as script:
        asked = await hanging(script, slow)
        await script.send(cancelled(asked["id"], "I changed my mind"))
        await slow.ended.wait()
    assert "I changed my mind" in caplog.text
    if revision == STATELESS:
        return

    async def think(_: Any) -> None:
        await trio.sleep_forever()

    async with facing(revision, elicitation=think) as to:
        params = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
        await to.line.send(request("q", "elicitation/create", params), cancelled("q", "too slow"))
        await to.line.ask(request("p", "ping"))
    assert "too slow" in caplog.text


# -- timeouts ---------------------------------------------------------------------------------


@every_revision
async def test_every_call_has_a_deadline(revision: str, autojump_clock: MockClock) -> None:
    """TIME-01, TIME-02, TIME-03, TOOL-17: a default, one of the client, one of the call."""
    cases: list[tuple[dict[str, Any], dict[str, Any], float]] = [
        ({}, {}, 60),
        ({"timeout": 7}, {}, 7),
        ({"timeout": 7}, {"timeout": 2}, 2),
        ({"timeout": 7}, {"timeout": 90}, 90),
    ]
    for options, named, seconds in cases:
        async with facing(revision, **options) as to:
            began = trio.current_time()
            call = to.start(to.client.call_tool, "hang", **named)
            asked = await to.line.receive()
            await call.fails(RequestTimeout)
            assert trio.current_time() - began == pytest.approx(seconds)
            said = await to.line.receive()
            assert said["method"] == "notifications/cancelled"
            assert said["params"]["requestId"] == asked["id"]


@every_revision
async def test_progress_does_not_extend_it(revision: str, autojump_clock: MockClock) -> None:
    """TIME-04: a call that always makes progress ends too."""
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with facing(revision) as to:
        began = trio.current_time()
        call = to.start(to.client.call_tool, "hang", progress=hear, timeout=10)
        token = (await to.line.receive())["params"]["_meta"]["progressToken"]
        for progress in range(1, 9):
            params = {"progressToken": token, "progress": progress}
            await to.line.send(notification("notifications/progress", params))
            await trio.sleep(1)
        await call.fails(RequestTimeout)
        assert trio.current_time() - began == pytest.approx(10)
        assert heard == list(range(1, 9))


async def test_questions_have_a_deadline(autojump_clock: MockClock) -> None:
    """TIME-01, TIME-02: the server's own requests too; it cancels what it gives up."""
    slow = Slow(limits=Limits(parked_seconds=30))
    async with talking(slow.server, "2025-11-25", {"elicitation": {}}) as script:
        began = trio.current_time()
        await script.send(script.calling("ask"))
        question = await script.receive()
        said = await script.receive()
        assert said["method"] == "notifications/cancelled"
        assert said["params"]["requestId"] == question["id"]
        assert (await script.receive())["result"]["isError"]
        assert trio.current_time() - began == pytest.approx(30)


async def test_questions_have_deadlines_of_their_own(autojump_clock: MockClock) -> None:
    """TIME-03: the handler's, which is a cancel scope like any other."""
    slow = Slow()

    @slow.server.tool
    async def impatient(ctx: Context) -> str:
        with trio.move_on_after(5):
            return str((await ctx.elicit("Sure?", Sure)).sure)
        return "too late"

    async with talking(slow.server, "2025-11-25", {"elicitation": {}}) as script:
        began = trio.current_time()
        await script.send(script.calling("impatient"))
        question = await script.receive()
        said = await script.receive()
        assert said["params"]["requestId"] == question["id"]
        assert "too late" in str(await script.receive())
        assert trio.current_time() - began == pytest.approx(5)


@pytest.mark.parametrize("revision", ["2025-11-25", STATELESS])
async def test_the_reason_says_nothing_of_the_caller(revision: str, autojump_clock: object) -> None:
    """CANC-04: whatever exception gives up the call, the server hears general words."""
    async with facing(revision) as to:

        async def fail(*progress: object) -> None:
            raise ValueError("password=swordfish")

        call = to.start(to.client.call_tool, "echo", progress=fail)
        asked = await to.line.receive()
        token = asked["params"]["_meta"]["progressToken"]
        report = {"progressToken": token, "progress": 1}
        await to.line.send(notification("notifications/progress", report))
        await call.fails(ValueError)
        note = await to.line.receive()
        assert note["method"] == "notifications/cancelled"
        assert note["params"]["reason"] == "cancelled by the caller"

        call = to.start(to.client.call_tool, "echo", timeout=3)
        await to.line.receive()
        await call.fails(RequestTimeout)
        note = await to.line.receive()
        assert note["params"]["reason"] == "no answer within the deadline"
