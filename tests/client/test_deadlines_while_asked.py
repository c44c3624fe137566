"""While a question of the server is answered, no deadline of the client's calls goes on.

The server waits for the user then, so its silence is none of its own. It is so for every verb, for
every kind of question, for calls that the answer itself makes, and in both eras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.spec.harness import ELICITING, STATELESS, Facing, Message, facing, request, result
from trimcp import RequestTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

#: Seconds that a call has, and those that the user takes.
TIMEOUT = 5
THOUGHT = 100

HANDSHAKE = ELICITING[-2]

QUESTIONS: dict[str, Message] = {
    "elicitation/create": {
        "message": "Sure?",
        "requestedSchema": {"type": "object", "properties": {"ok": {"type": "boolean"}}},
    },
    "sampling/createMessage": {
        "messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}],
        "maxTokens": 5,
    },
    "roots/list": {},
}

COMPLETE: Message = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}

#: What each verb asks, and a result of it.
VERBS: dict[str, tuple[Callable[..., Awaitable[Any]], Message]] = {
    "tools/call": (lambda client: client.call_tool("x", timeout=TIMEOUT), {"content": []}),
    "resources/read": (
        lambda client: client.read_resource("text://x", timeout=TIMEOUT),
        {"contents": [{"uri": "text://x", "text": "x"}]},
    ),
    "prompts/get": (lambda client: client.get_prompt("x", timeout=TIMEOUT), {"messages": []}),
    "tools/list": (lambda client: client.list_tools(timeout=TIMEOUT), {"tools": []}),
    "prompts/list": (lambda client: client.list_prompts(timeout=TIMEOUT), {"prompts": []}),
    "resources/list": (lambda client: client.list_resources(timeout=TIMEOUT), {"resources": []}),
    "resources/templates/list": (
        lambda client: client.list_resource_templates(timeout=TIMEOUT),
        {"resourceTemplates": []},
    ),
    "x/raw": (lambda client: client.request("x/raw", {}, timeout=TIMEOUT), {"x": 1}),
}


class User:
    """Answers every kind of question, after a long thought.

    Attributes:
        meanwhile: What it does besides thinking.
    """

    def __init__(self) -> None:
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    @property
    def options(self) -> dict[str, Any]:
        return {"elicitation": self.confirm, "sampling": self.sample, "roots": self.roots}

    async def think(self) -> None:
        if self.meanwhile is not None:
            await self.meanwhile()
        await trio.sleep(THOUGHT)

    async def confirm(self, _: Any) -> dict[str, bool]:
        await self.think()
        return {"ok": True}

    async def sample(self, _: Any) -> str:
        await self.think()
        return "hello"

    async def roots(self) -> list[str]:
        await self.think()
        return ["/tmp"]


async def ask(to: Facing, kind: str, name: str = "q") -> None:
    """Ask a question of the handshake era, and receive its answer."""
    answer = await to.line.ask(request(name, kind, QUESTIONS[kind]))
    assert "result" in answer, answer


async def settle(to: Facing, later: Any, asked: Message, answer: Message, seconds: float) -> None:
    """Answer a call after some seconds, where it has `TIMEOUT - 3` left."""
    began = trio.current_time()
    if seconds < TIMEOUT - 3:
        await trio.sleep(seconds)
        await to.line.send(result(asked, COMPLETE | answer))
        await later.get()
    else:
        await later.fails(RequestTimeout)
        assert trio.current_time() - began == pytest.approx(TIMEOUT - 3)


@pytest.mark.parametrize("seconds", [1, 1000], ids=["in time", "too late"])
@pytest.mark.parametrize("kind", QUESTIONS)
@pytest.mark.parametrize("verb", VERBS)
async def test_a_question_stops_the_deadline_of_every_verb(
    verb: str, kind: str, seconds: float, autojump_clock: MockClock
) -> None:
    start, answer = VERBS[verb]
    user = User()
    async with facing(HANDSHAKE, **user.options) as to:
        later = to.start(start, to.client)
        asked = await to.line.receive()
        await trio.sleep(3)
        await ask(to, kind)
        await settle(to, later, asked, answer, seconds)


@pytest.mark.parametrize("seconds", [1, 1000], ids=["in time", "too late"])
@pytest.mark.parametrize("revision", ELICITING[-2:])
async def test_questions_of_one_call_stop_its_deadline_in_both_eras(
    revision: str, seconds: float, autojump_clock: MockClock
) -> None:
    user = User()
    async with facing(revision, **user.options) as to:
        later = to.start(to.client.call_tool, "x", timeout=TIMEOUT)
        asked = await to.line.receive()
        await trio.sleep(3)
        if revision == STATELESS:
            questions = {kind: {"method": kind, "params": QUESTIONS[kind]} for kind in QUESTIONS}
            more = {"resultType": "input_required", "inputRequests": questions}
            await to.line.send(result(asked, {**more, "requestState": "s"}))
            asked = await to.line.receive()
        else:
            await ask(to, "elicitation/create")
        await settle(to, later, asked, {"content": []}, seconds)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.endswith("/list")])
@pytest.mark.parametrize("seconds", [1, 1000], ids=["in time", "too late"])
async def test_the_deadline_of_a_whole_list_stands_still_too(
    verb: str, seconds: float, autojump_clock: MockClock
) -> None:
    """Its pages have one deadline together, whichever of them was on its way."""
    start, answer = VERBS[verb]
    user = User()
    async with facing(HANDSHAKE, **user.options) as to:
        later = to.start(start, to.client)
        first = await to.line.receive()
        await trio.sleep(1)
        await ask(to, "roots/list")
        await trio.sleep(1)
        await to.line.send(result(first, {**answer, "nextCursor": "2"}))
        second = await to.line.receive()
        await trio.sleep(1)
        await ask(to, "roots/list", "again")
        await settle(to, later, second, answer, seconds)


async def test_calls_that_an_answer_makes_stand_still_with_the_others(
    autojump_clock: MockClock,
) -> None:
    user = User()
    async with facing(HANDSHAKE, **user.options) as to:
        user.meanwhile = lambda: to.client.call_tool("inner", timeout=TIMEOUT)
        outer = to.start(to.client.call_tool, "outer", timeout=TIMEOUT)
        asked = await to.line.receive()
        await to.line.send(request("q", "roots/list"))
        inner = await to.line.receive()
        assert inner["params"]["name"] == "inner"
        await trio.sleep(THOUGHT)
        await to.line.send(result(inner, {"content": []}))
        assert (await to.line.receive())["id"] == "q"
        await trio.sleep(TIMEOUT - 1)
        await to.line.send(result(asked, {"content": []}))
        await outer.get()


async def test_the_last_of_several_answers_lets_the_deadlines_go_on(
    autojump_clock: MockClock,
) -> None:
    user = User()
    async with facing(HANDSHAKE, **user.options) as to:
        later = to.start(to.client.call_tool, "x", timeout=TIMEOUT)
        await to.line.receive()
        await trio.sleep(3)
        began = trio.current_time()
        for number, kind in enumerate(QUESTIONS):
            await to.line.send(request(f"q{number}", kind, QUESTIONS[kind]))
            await trio.sleep(THOUGHT / 2)
        for _ in QUESTIONS:
            await to.line.receive()
        assert trio.current_time() - began == pytest.approx(2 * THOUGHT)
        await later.fails(RequestTimeout)
        assert trio.current_time() - began == pytest.approx(2 * THOUGHT + TIMEOUT - 3)
