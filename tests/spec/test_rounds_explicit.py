"""Multi Round-Trip Requests (2026-07-28), at a server whose handlers return their questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic
import pytest

from trimcp import (
    Context,
    InputRequired,
    Server,
    form_question,
    roots_question,
    sampling_question,
    url_question,
)
from trimcp.types import CreateMessageResult

from .harness import STATELESS, Message, Script, Sure, code_of, talking, text_of

if TYPE_CHECKING:
    from trio.testing import MockClock

EVERYTHING: Message = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
YES: Message = {"action": "accept", "content": {"sure": True}}
NAME: Message = {"action": "accept", "content": {"name": "Ada"}}


class Name(pydantic.BaseModel):
    name: str


def asking(**options: Any) -> Server[Any]:
    server = Server[Any]("asking", **options)

    @server.tool
    async def ask(ctx: Context) -> str | InputRequired:
        sure, name = ctx.input_response("sure", Sure), ctx.input_response("name", Name)
        questions = {}
        if sure is None:
            questions["sure"] = form_question("Sure?", Sure)
        if name is None:
            questions["name"] = form_question("Your name?", Name)
        if sure is None or name is None:
            return InputRequired(questions)
        return f"{name.name} {sure.sure}"

    @server.tool
    async def later(ctx: Context) -> str | InputRequired:
        """Comes back without asking anything."""
        if ctx.request_state is None:
            return InputRequired(state={"step": 1})
        return str(ctx.request_state["step"])

    @server.tool(single_use=True)
    async def once(ctx: Context) -> str | InputRequired:
        if ctx.input_response("sure", Sure) is None:
            return InputRequired({"sure": form_question("Sure?", Sure)}, state=1)
        return "done"

    @server.tool
    async def ask_all(ctx: Context) -> str | InputRequired:
        if ctx.input_response("model", CreateMessageResult) is None:
            return InputRequired(
                {
                    "form": form_question("Sure?", Sure),
                    "url": url_question("Log in", "https://example.com"),
                    "model": sampling_question("Hello"),
                    "roots": roots_question(),
                }
            )
        return "all"

    return server


async def asked(script: Script, tool: str) -> Message:
    question: Message = (await script.call(tool))["result"]
    assert question["resultType"] == "input_required"
    return question


def retry(question: Message, tool: str, answers: Message | None = None) -> Message:
    params: Message = {"name": tool, "arguments": {}, "requestState": question["requestState"]}
    return params if answers is None else params | {"inputResponses": answers}


async def test_kinds_of_questions_returned(autojump_clock: MockClock) -> None:
    """MRTR-01, MRTR-03, MRTR-04, MRTR-05: under the keys that the handler chose."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await asked(script, "ask_all")
        assert {key: each["method"] for key, each in question["inputRequests"].items()} == {
            "form": "elicitation/create",
            "url": "elicitation/create",
            "model": "sampling/createMessage",
            "roots": "roots/list",
        }
        await script.expect_silence()


async def test_a_state_without_questions(autojump_clock: MockClock) -> None:
    """MRTR-05, MRTR-07: what the handler keeps is in the state, and not to be read from it."""
    async with talking(asking(), STATELESS) as script:
        question = await asked(script, "later")
        assert "inputRequests" not in question
        assert "step" not in question["requestState"]
        done = await script.do("tools/call", retry(question, "later"))
        assert text_of(done) == "1"
        forged = retry({"requestState": question["requestState"][:-4] + "AAAA"}, "later")
        assert code_of(await script.do("tools/call", forged)) == -32602


@pytest.mark.parametrize("declared", [{}, {"elicitation": {}}, {"sampling": {}, "roots": {}}])
async def test_only_what_was_declared_is_returned(
    declared: Message, autojump_clock: MockClock
) -> None:
    """MRTR-06: one question too many is an error for all of them."""
    async with talking(asking(), STATELESS, declared) as script:
        assert code_of(await script.call("ask_all")) == -32021


async def test_answers_that_came_in_part(autojump_clock: MockClock) -> None:
    """MRTR-13, MRTR-14: the handler asks for the rest; strange answers do no harm."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await asked(script, "ask")
        part = retry(question, "ask", {"sure": YES, "other": YES})
        again = (await script.do("tools/call", part))["result"]
        assert set(again["inputRequests"]) == {"name"}
        whole = retry(again, "ask", {"sure": YES, "name": NAME, "other": YES})
        assert text_of(await script.do("tools/call", whole)) == "Ada True"


async def test_answers_that_do_not_fit_the_form(autojump_clock: MockClock) -> None:
    """MRTR-11, MRTR-12: an error of the protocol, with the path."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await asked(script, "ask")
        wrong = {"action": "accept", "content": {"name": 5}}
        answer = await script.do("tools/call", retry(question, "ask", {"sure": YES, "name": wrong}))
        assert code_of(answer) == -32602


async def test_a_state_is_used_once(autojump_clock: MockClock) -> None:
    """MRTR-22: where the tool says so; elsewhere a request that was lost may come again."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        params = retry(await asked(script, "once"), "once", {"sure": YES})
        assert text_of(await script.do("tools/call", params)) == "done"
        assert code_of(await script.do("tools/call", params)) == -32602
        params = retry(await asked(script, "ask"), "ask", {"sure": YES, "name": NAME})
        for _ in range(2):
            assert text_of(await script.do("tools/call", params)) == "Ada True"
