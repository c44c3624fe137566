"""`initialize` on a connection that has a session: that one ends, and another begins."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from pydantic import BaseModel

from tests.spec.harness import (
    HANDSHAKE,
    STATELESS,
    Message,
    Script,
    notification,
    request,
    talking,
    terms,
    text_of,
)
from trimcp import Context, Limits, Server
from trimcp._groups import single_leaf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

LATEST = HANDSHAKE[-1]


class Sure(BaseModel):
    """A form."""

    sure: bool


class Seen:
    """A server, and what its sessions and handlers went through."""

    def __init__(self, **options: Any) -> None:
        self.events: list[str] = []
        self.sessions = 0
        self.may_enter, self.may_leave, self.go_on = trio.Event(), trio.Event(), trio.Event()
        self.may_enter.set()
        self.may_leave.set()
        self.server: Server[Any] = Server("again", session_lifespan=self._lifespan, **options)
        self.server.tool(self.wait)
        self.server.tool(self.ask)
        self.server.tool(self.name)
        self.server.resource("a://b", name="b")(self.read)

    @asynccontextmanager
    async def _lifespan(self, session: Any) -> AsyncIterator[int]:
        self.sessions += 1
        number = self.sessions
        self.events.append(f"enter {number}")
        await self.may_enter.wait()
        yield number
        await self.may_leave.wait()
        self.events.append(f"leave {number}")

    async def wait(self, ctx: Context) -> str:
        """Until it may go on."""
        self.events.append("began")
        try:
            await self.go_on.wait()
            return f"in {ctx.session_context}"
        finally:
            self.events.append(f"ended in {ctx.session_context}")

    async def ask(self, ctx: Context) -> str:
        """A question."""
        try:
            return str((await ctx.elicit("Sure?", Sure)).sure)
        finally:
            self.events.append("asked")

    async def name(self, ctx: Context) -> str:
        """Where it runs."""
        assert ctx.session is not None
        info = ctx.session.client_info
        return f"{ctx.revision} {ctx.session_context} {info.name if info else None}"

    async def read(self) -> str:
        """A resource."""
        return ""


def opening(date: str = LATEST, *, id: Any = "again", name: str = "second", **more: Any) -> Message:
    params = {
        "protocolVersion": date,
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": name, "version": "1"},
    }
    return request(id, "initialize", params | more)


def calling(tool: str, *, id: Any = 1, stateless: bool = False) -> Message:
    params: Message = {"name": tool, "arguments": {}}
    if stateless:
        params["_meta"] = terms(STATELESS, {"elicitation": {}})
    return request(id, "tools/call", params)


INITIALIZED = notification("notifications/initialized")


async def begin(script: Script, date: str = LATEST, **more: Any) -> None:
    answer = await script.ask(opening(date, **more))
    assert answer["result"]["protocolVersion"] == date
    await script.send(INITIALIZED)
    await trio.testing.wait_all_tasks_blocked()


async def test_the_session_ends_before_the_next_begins(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with talking(seen.server, LATEST) as script:
        await script.send(calling("wait", id=7))
        await trio.testing.wait_all_tasks_blocked()
        # The id of the request that was given up is free.
        await begin(script, HANDSHAKE[0], id=7)
        assert seen.events == ["enter 1", "began", "ended in 1", "leave 1", "enter 2"]
        assert text_of(await script.call("name")) == f"{HANDSHAKE[0]} 2 second"
        seen.go_on.set()
        await script.expect_silence()
    assert seen.server.statistics().in_flight == 0


async def test_questions_of_the_session_end_with_it(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with talking(seen.server, LATEST, {"elicitation": {}}) as script:
        await script.send(calling("ask"))
        question = await script.receive()
        await begin(script)
        assert "asked" in seen.events
        await script.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})
        await script.expect_silence()


async def test_subscriptions_of_the_session_end_with_it(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with talking(seen.server, LATEST) as script:
        await script.do("resources/subscribe", {"uri": "a://b"})
        await begin(script)
        await seen.server.notify_resource_updated("a://b")
        await seen.server.notify_tools_changed()
        assert (await script.receive())["method"] == "notifications/tools/list_changed"
        await script.expect_silence()
        await script.do("resources/subscribe", {"uri": "a://b"})
        await seen.server.notify_resource_updated("a://b")
        assert (await script.receive())["method"] == "notifications/resources/updated"
        await script.expect_silence()
        assert seen.server.statistics().subscribers == 1


async def test_requests_of_no_session_go_on_in_the_lifespan_that_they_have(
    autojump_clock: MockClock,
) -> None:
    seen = Seen()
    async with talking(seen.server, LATEST) as script:
        await script.send(calling("wait", id=1), calling("wait", id=2, stateless=True))
        await trio.testing.wait_all_tasks_blocked()
        await begin(script)
        # The next session does not wait for it.
        assert seen.events == ["enter 1", "began", "began", "ended in 1", "enter 2"]
        assert text_of(await script.call("name")) == f"{LATEST} 2 second"
        await begin(script)
        assert seen.events[5:] == ["leave 2", "enter 3"]
        seen.go_on.set()
        answer = await script.receive()
        assert (answer["id"], text_of(answer)) == (2, "in 1")
        await trio.testing.wait_all_tasks_blocked()
        assert seen.events[7:] == ["ended in 1", "leave 1"]


async def test_a_parked_question_of_no_session_goes_on(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with talking(seen.server, LATEST) as script:
        asked = (await script.ask(calling("ask", stateless=True)))["result"]
        await begin(script)
        again = calling("ask", id=2, stateless=True)
        [key] = asked["inputRequests"]
        again["params"] |= {
            "requestState": asked["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {"sure": True}}},
        }
        assert text_of(await script.ask(again)) == "True"
        await trio.testing.wait_all_tasks_blocked()
        assert seen.events == ["enter 1", "enter 2", "asked", "leave 1"]


async def test_a_whole_session_may_be_sent_at_once(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with talking(seen.server, LATEST) as script:
        messages = [
            calling("wait", id=1),
            opening(id=0),
            INITIALIZED,
            calling("name", id=1),
            calling("name", id=2, stateless=True),
            opening(HANDSHAKE[0], id=0, name="third"),
            INITIALIZED,
            calling("name", id=1),
        ]
        await script.send_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in messages))
        answers = {}
        for _ in range(3):
            answer = await script.receive()
            answers[answer["id"]] = answer
        assert answers[0]["result"]["protocolVersion"] == HANDSHAKE[0]
        assert text_of(answers[1]).startswith(HANDSHAKE[0])
        assert text_of(answers[2]).startswith(STATELESS)
        await script.expect_silence()


async def test_another_initialize_while_the_session_is_entered_or_left(
    autojump_clock: MockClock,
) -> None:
    """However many come: one session is left, and one entered."""
    seen = Seen()
    seen.may_leave = trio.Event()
    async with talking(seen.server, LATEST) as script:
        for number in range(50):
            await script.send(opening(id=number), INITIALIZED, calling("wait", id=f"call {number}"))
        await trio.testing.wait_all_tasks_blocked()
        assert seen.sessions == 1
        assert seen.server.statistics().in_flight == 2
        seen.may_enter = trio.Event()
        seen.may_leave.set()
        await trio.testing.wait_all_tasks_blocked()
        assert seen.events == ["enter 1", "leave 1", "enter 2"]
        # The lifespan that never comes up is given up for the next.
        await script.send(opening(id="last"), INITIALIZED)
        await trio.testing.wait_all_tasks_blocked()
        assert seen.events == ["enter 1", "leave 1", "enter 2", "enter 3"]
        seen.may_enter.set()
        assert (await script.receive())["id"] == "last"
        await script.expect_silence()
        assert "began" not in seen.events


async def test_slots_are_given_back(autojump_clock: MockClock) -> None:
    """What was given up before it began takes no room in the session that follows."""
    seen = Seen(limits=Limits(in_flight=3))
    async with talking(seen.server, LATEST) as script:
        for number in range(20):
            await script.send(calling("wait", id=1), calling("wait", id=2))
            await script.send(opening(id=number))
            if number % 2:
                await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        assert seen.server.statistics().in_flight == 0


async def test_a_session_that_cannot_begin_ends_the_connection(autojump_clock: MockClock) -> None:
    entered = 0

    @asynccontextmanager
    async def once(session: Any) -> AsyncIterator[None]:
        nonlocal entered
        entered += 1
        if entered > 1:
            raise ValueError("no more")
        yield

    server: Server[Any] = Server("once", session_lifespan=once)
    ours, theirs = trio.testing.memory_stream_pair()
    script = Script(ours, LATEST, {})

    async def talk() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_stream, theirs)
            await script.shake_hands()
            await script.send(opening())
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await talk()
    assert str(single_leaf(caught.value)) == "no more"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_shutdown_and_another_initialize(when: str, autojump_clock: MockClock) -> None:
    seen = Seen(shutdown_grace=5)
    async with talking(seen.server, LATEST) as script:
        await script.send(calling("wait"))
        await trio.testing.wait_all_tasks_blocked()
        if when == "before":
            seen.server.shutdown()
        await script.send(opening(id="late"))
        await trio.testing.wait_all_tasks_blocked()
        if when == "after":
            seen.server.shutdown()
        answer = await script.receive()
        assert answer["id"] == "late"
        assert ("error" in answer) == (when == "before")
        with pytest.raises(EOFError):
            await script.receive()
    assert seen.events.count("leave 1") == 1
    assert seen.events[-1].startswith("leave")
