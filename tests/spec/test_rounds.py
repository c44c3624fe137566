"""Multi Round-Trip Requests (2026-07-28), at the server."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Context, Limits, RequestError, Server

from .harness import (
    CAPABILITIES,
    STATELESS,
    Message,
    Script,
    Sure,
    code_of,
    talking,
    text_of,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

EVERYTHING: Message = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
YES: Message = {"action": "accept", "content": {"sure": True}}
NO: Message = {"action": "accept", "content": {"sure": False}}
KINDS = {"elicitation/create", "sampling/createMessage", "roots/list"}


def asking(**options: Any) -> Server[Any]:
    server = Server[Any]("asking", **options)

    @server.tool
    async def ask(ctx: Context, what: str = "Sure?") -> str:
        return str((await ctx.elicit(what, Sure)).sure)

    @server.tool
    async def ask_twice(ctx: Context) -> str:
        first = await ctx.elicit("First?", Sure)
        second = await ctx.elicit("Second?", Sure)
        return f"{first.sure} {second.sure}"

    @server.tool
    async def ask_all(ctx: Context) -> str:
        got: dict[str, Any] = {}

        async def keep(name: str, question: Any) -> None:
            got[name] = await question

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep, "form", ctx.elicit("Sure?", Sure))
            nursery.start_soon(keep, "same", ctx.elicit("Sure?", Sure))
            nursery.start_soon(keep, "url", ctx.elicit_url("Log in", "https://example.com"))
            nursery.start_soon(keep, "sample", ctx.sample("Hello"))
            nursery.start_soon(keep, "roots", ctx.list_roots())
        return f"{got['form'].sure} {got['same'].sure} {got['sample'].model} {len(got['roots'])}"

    @server.prompt
    async def interview(ctx: Context) -> str:
        return str((await ctx.elicit("Sure?", Sure)).sure)

    @server.resource("secret://one")
    async def secret(ctx: Context) -> str:
        return str((await ctx.elicit("Sure?", Sure)).sure)

    @server.completion("code", prompt="review")
    async def suggest(value: str) -> list[str]:
        await server.request_context.elicit("Sure?", Sure)
        return []

    @server.prompt
    async def review(code: str) -> str:
        return code

    return server


async def first_round(script: Script, tool: str = "ask", **arguments: Any) -> Message:
    answer = await script.call(tool, arguments)
    question: Message = answer["result"]
    assert question["resultType"] == "input_required"
    return question


def retry(question: Message, answers: Message | None = None, tool: str = "ask") -> Message:
    """The params of the next round."""
    if answers is None:
        answers = {key: YES for key in question["inputRequests"]}
    return {
        "name": tool,
        "arguments": {},
        "requestState": question["requestState"],
        "inputResponses": answers,
    }


# -- what is asked ----------------------------------------------------------------------------


async def test_questions_are_no_requests(autojump_clock: MockClock) -> None:
    """MRTR-01, STDIO-07: the server never opens a request; what it asks stands in a result."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await first_round(script, "ask_all")
        assert len(question["inputRequests"]) == 5
        await script.expect_silence()


async def test_kinds_of_questions(autojump_clock: MockClock) -> None:
    """MRTR-03, MRTR-04, MRTR-05: three kinds, each question under a key of its own."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await first_round(script, "ask_all")
        asked = question["inputRequests"]
        assert {each["method"] for each in asked.values()} == KINDS
        assert isinstance(question["requestState"], str)
        answers = {
            "elicitation/create": YES,
            "sampling/createMessage": {
                "role": "assistant",
                "content": {"type": "text", "text": "Hi"},
                "model": "m",
            },
            "roots/list": {"roots": [{"uri": "file:///a"}]},
        }
        given = {
            key: {"action": "accept"}
            if each.get("params", {}).get("mode") == "url"
            else answers[each["method"]]
            for key, each in asked.items()
        }
        done = await script.do("tools/call", retry(question, given, "ask_all"))
        assert text_of(done) == "True True m 1"


async def test_methods_that_may_ask(autojump_clock: MockClock) -> None:
    """MRTR-01: calling a tool, getting a prompt, reading a resource."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        for method, params in (
            ("tools/call", {"name": "ask"}),
            ("prompts/get", {"name": "interview"}),
            ("resources/read", {"uri": "secret://one"}),
        ):
            question = (await script.do(method, params))["result"]
            assert question["resultType"] == "input_required"
            again = {
                "requestState": question["requestState"],
                "inputResponses": {key: YES for key in question["inputRequests"]},
            }
            done = (await script.do(method, {**params, **again}))["result"]
            assert done["resultType"] == "complete"
            assert "True" in str(done)


async def test_methods_that_may_not_ask(autojump_clock: MockClock) -> None:
    """MRTR-02: a completion that tries is answered with an error."""
    params = {
        "ref": {"type": "ref/prompt", "name": "review"},
        "argument": {"name": "code", "value": ""},
    }
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        assert "error" in await script.do("completion/complete", params)


@pytest.mark.parametrize(
    ("tool", "declared"),
    [
        ("ask", {}),
        ("ask", {"sampling": {}, "roots": {}}),
        ("ask", {"elicitation": {"url": {}}}),
        ("ask_url", {"elicitation": {}}),
        ("ask_url", {"elicitation": {"form": {}}}),
        ("sample", {"elicitation": {}}),
        ("sample_with_tools", {"sampling": {}}),
        ("roots", {"elicitation": {}}),
    ],
)
async def test_only_what_was_declared(
    tool: str, declared: Message, autojump_clock: MockClock
) -> None:
    """MRTR-06, ELIC-03, SAMP-03, ROOT-04: and the error says what is missing."""
    server = asking()

    @server.tool
    async def ask_url(ctx: Context) -> None:
        await ctx.elicit_url("Log in", "https://example.com")

    @server.tool
    async def sample(ctx: Context) -> None:
        await ctx.sample("Hello")

    @server.tool
    async def sample_with_tools(ctx: Context) -> None:
        await ctx.sample("Hello", tools=[])

    @server.tool
    async def roots(ctx: Context) -> None:
        await ctx.list_roots()

    async with talking(server, STATELESS, declared) as script:
        answer = await script.call(tool)
        assert code_of(answer) == -32021
        assert answer["error"]["data"]["requiredCapabilities"]


async def test_capabilities_of_each_round(autojump_clock: MockClock) -> None:
    """MRTR-06: what the first round declared says nothing about the second."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await first_round(script, "ask_twice")
        params = retry(question, None, "ask_twice")
        assert code_of(await script.do("tools/call", params, **{CAPABILITIES: {}})) == -32021


# -- the state --------------------------------------------------------------------------------


async def refuses(script: Script, params: Message) -> str:
    answer = await script.do("tools/call", params)
    assert code_of(answer) == -32602, answer
    message: str = answer["error"]["message"]
    return message


def tampered(state: str) -> list[str]:
    middle = len(state) // 2
    other = "A" if state[middle] != "A" else "B"
    return [
        "",
        "forged",
        state[:-1],
        state[1:],
        state + "A",
        state[:middle] + other + state[middle + 1 :],
        "é",
    ]


async def test_a_state_that_was_changed(autojump_clock: MockClock) -> None:
    """MRTR-07, MRTR-08: refused whatever was done to it, and the question stays open."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await first_round(script)
        for state in tampered(question["requestState"]):
            assert "changed" in await refuses(script, retry(question) | {"requestState": state})
        for odd in (5, None, ["x"]):
            await refuses(script, retry(question) | {"requestState": odd})
        assert text_of(await script.do("tools/call", retry(question))) == "True"


async def test_a_state_of_somebody_else(autojump_clock: MockClock) -> None:
    """MRTR-08: another server's key does not open it."""
    async with talking(asking(state_keys=[b"0123456789abcdef"]), STATELESS, EVERYTHING) as script:
        question = await first_round(script)
    async with talking(asking(state_keys=[b"fedcba9876543210"]), STATELESS, EVERYTHING) as script:
        assert "changed" in await refuses(script, retry(question))


async def test_a_state_that_lapsed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """MRTR-09: by the clock of the wall, which other processes share."""
    server = asking(limits=Limits(parked_seconds=100))
    async with talking(server, STATELESS, EVERYTHING) as script:
        question = await first_round(script)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 101)
        assert "expired" in await refuses(script, retry(question))
        monkeypatch.setattr(time, "time", lambda: now + 99)
        assert text_of(await script.do("tools/call", retry(question))) == "True"


async def test_a_state_of_another_request(autojump_clock: MockClock) -> None:
    """MRTR-10: another tool, other arguments, another method."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await first_round(script)
        assert "another" in await refuses(script, retry(question, tool="ask_twice"))
        other = retry(question) | {"arguments": {"what": "Really?"}}
        assert "another" in await refuses(script, other)
        answers = {"requestState": question["requestState"]}
        answer = await script.do("prompts/get", {"name": "interview", **answers})
        assert code_of(answer) == -32602
        assert text_of(await script.do("tools/call", retry(question))) == "True"


async def test_what_a_state_says(autojump_clock: MockClock) -> None:
    """MRTR-07: nothing that could be read without the key."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await first_round(script, what="Do you know a secret?")
        sealed = base64.urlsafe_b64decode(question["requestState"])
        for word in (b"secret", b"tools/call", b"ask", b"elicitation"):
            assert word not in sealed


# -- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("responses", [5, "x", [], None, {"a": 5}, {"a": None}], ids=repr)
async def test_malformed_answers(responses: Any, autojump_clock: MockClock) -> None:
    """MRTR-11, MRTR-12: answers are objects, by key; an error says so, and nothing is lost."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await first_round(script)
        await refuses(script, retry(question) | {"inputResponses": responses})
        assert text_of(await script.do("tools/call", retry(question))) == "True"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"action": "perhaps"},
        {"action": "accept", "content": {"sure": "nobody knows"}},
        {"action": "accept", "content": {}},
        {"action": "accept"},
    ],
    ids=repr,
)
async def test_answers_that_do_not_fit(answer: Message, autojump_clock: MockClock) -> None:
    """MRTR-11, MRTR-12, ELIC-13: malformed, or not what the form asked for."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await first_round(script)
        given = {key: answer for key in question["inputRequests"]}
        await refuses(script, retry(question, given))


async def test_answers_that_nobody_asked_for(autojump_clock: MockClock) -> None:
    """MRTR-13: are ignored."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        question = await first_round(script)
        given = {key: YES for key in question["inputRequests"]} | {"odd": {"a": [1]}}
        assert text_of(await script.do("tools/call", retry(question, given))) == "True"


async def test_answers_that_are_missing(autojump_clock: MockClock) -> None:
    """MRTR-14: are asked for again, as often as needed, and nothing else is."""
    server = asking()

    @server.tool
    async def both(ctx: Context) -> str:
        got: dict[str, bool] = {}

        async def ask(name: str) -> None:
            got[name] = (await ctx.elicit(f"{name}?", Sure, key=name)).sure

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "one")
            nursery.start_soon(ask, "two")
        return f"{got['one']} {got['two']}"

    async with talking(server, STATELESS, EVERYTHING) as script:
        question = await first_round(script, "both")
        assert question["inputRequests"].keys() == {"one", "two"}
        for given, missing in (({}, {"one", "two"}), ({"one": YES}, {"two"}), ({}, {"two"})):
            answer = await script.do("tools/call", retry(question, given, "both"))
            question = answer["result"]
            assert question["resultType"] == "input_required"
            assert question["inputRequests"].keys() == missing
        done = await script.do("tools/call", retry(question, {"two": NO}, "both"))
        assert text_of(done) == "True False"


async def test_several_rounds(autojump_clock: MockClock) -> None:
    """MRTR-05: each with a state of its own."""
    async with talking(asking(), STATELESS, EVERYTHING) as script:
        first = await first_round(script, "ask_twice")
        second = (await script.do("tools/call", retry(first, None, "ask_twice")))["result"]
        assert second["resultType"] == "input_required"
        assert second["requestState"] != first["requestState"]
        given = {key: NO for key in second["inputRequests"]}
        done = await script.do("tools/call", retry(second, given, "ask_twice"))
        assert text_of(done) == "True False"


async def test_nobody_comes_back(autojump_clock: MockClock) -> None:
    """MRTR-15: a handler that waits in vain is cleaned up, and the server goes on."""
    server = asking(limits=Limits(parked_seconds=10))
    async with server.application(signals=False), talking(server, STATELESS, EVERYTHING) as script:
        await first_round(script)
        assert server.statistics().parked == 1
        await trio.sleep(11)
        assert server.statistics().parked == 0
        await script.expect_silence()


async def test_a_handler_may_handle_it(autojump_clock: MockClock) -> None:
    """MRTR-06: a missing capability is an exception like any other."""
    server = Server[Any]("careful")

    @server.tool
    async def ask(ctx: Context) -> str:
        try:
            return str((await ctx.elicit("Sure?", Sure)).sure)
        except RequestError:
            return "guessed"

    async with talking(server, STATELESS) as script:
        assert text_of(await script.call("ask")) == "guessed"
