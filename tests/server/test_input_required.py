"""Handlers that return their questions, and states that are accepted only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.runtime.test_parking import connected, text_of
from trimcp import (
    AnswerRefused,
    Context,
    InputRequired,
    Limits,
    RequestError,
    Server,
    ToolError,
    form_question,
    open_client,
    roots_question,
    sampling_question,
)
from trimcp.errors import INVALID_PARAMS, MISSING_CLIENT_CAPABILITY
from trimcp.protocol import LATEST, LATEST_HANDSHAKE
from trimcp.runtime import MemoryNonceStore
from trimcp.types import CreateMessageResult, ListRootsResult, TextContent

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trimcp.types import CreateMessageRequestParams, ElicitRequestFormParams

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])


@dataclass
class Name:
    name: str


@dataclass
class Sum:
    total: int


async def answer_form(form: ElicitRequestFormParams) -> dict[str, Any] | None:
    return {"name": "Ada"} if "name" in form.requested_schema["properties"] else None


async def answer_model(params: CreateMessageRequestParams) -> str:
    return "Paris"


# -- asked by returning -----------------------------------------------------------------------


@by_era
async def test_three_kinds_at_once(revision: str) -> None:
    server = Server("asking")
    runs = 0

    @server.tool
    async def ask(ctx: Context) -> str | InputRequired:
        nonlocal runs
        runs += 1
        name = ctx.input_response("name", Name)
        city = ctx.input_response("city", CreateMessageResult)
        roots = ctx.input_response("roots", ListRootsResult)
        if name is None or city is None or roots is None:
            assert ctx.input_responses is None
            assert ctx.request_state is None
            questions = {
                "name": form_question("Your name?", Name),
                "city": sampling_question("What is the capital of France?"),
                "roots": roots_question(),
            }
            return InputRequired(questions, state={"asked": ["all"]})
        assert ctx.request_state == {"asked": ["all"]}
        assert set(ctx.input_responses or ()) == {"name", "city", "roots"}
        block = city.content[0]
        assert isinstance(block, TextContent)
        return f"{name.name} {block.text} {roots.roots[0].uri}"

    callbacks: Any = {
        "elicitation": answer_form,
        "sampling": answer_model,
        "roots": ["file:///home"],
    }
    async with open_client(server, revision=revision, **callbacks) as client:
        assert (await client.call_tool("ask")).text == "Ada Paris file:///home"
        assert runs == 2
        assert server.statistics().parked == 0


@by_era
async def test_several_rounds(revision: str) -> None:
    """Each round's state is what the round before it returned."""
    server = Server("asking")

    @server.tool
    async def count(ctx: Context) -> Sum | InputRequired:
        so_far = ctx.request_state or 0
        if so_far == 3:
            return Sum(so_far)
        return InputRequired({"name": form_question("Again?", Name)}, state=so_far + 1)

    async with open_client(server, revision=revision, elicitation=answer_form) as client:
        (tool,) = await client.list_tools()
        assert tool.output_schema is not None
        assert set(tool.output_schema["properties"]) == {"total"}
        result = await client.call_tool("count")
        assert result.structured_content == {"total": 3}


@by_era
async def test_from_resources_and_prompts(revision: str) -> None:
    server = Server("asking")

    def greeting(ctx: Context) -> Any:
        name = ctx.input_response("name", Name)
        if name is None:
            return InputRequired({"name": form_question("Your name?", Name)})
        return f"Hello, {name.name}!"

    @server.resource("greeting://me")
    def fixed(ctx: Context) -> Any:
        return greeting(ctx)

    @server.prompt
    def greet(ctx: Context) -> Any:
        return greeting(ctx)

    async with open_client(server, revision=revision, elicitation=answer_form) as client:
        read = await client.read_resource("greeting://me")
        assert read.text == "Hello, Ada!"
        prompt = await client.get_prompt("greet")
        assert prompt.messages[0].content.text == "Hello, Ada!"  # type: ignore[union-attr]


@by_era
async def test_refusal_is_raised_where_the_answer_is_read(revision: str) -> None:
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> str | InputRequired:
        try:
            total = ctx.input_response("sum", Sum)
        except AnswerRefused as refusal:
            return refusal.action
        assert total is None
        return InputRequired({"sum": form_question("The sum?", Sum)})

    async with open_client(server, revision=revision, elicitation=answer_form) as client:
        assert (await client.call_tool("ask")).text == "decline"


@by_era
async def test_client_that_cannot_answer(revision: str) -> None:
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> str | InputRequired:
        return InputRequired({"city": sampling_question("The capital of France?")})

    async with open_client(server, revision=revision, elicitation=answer_form) as client:
        with pytest.raises(RequestError) as caught:
            await client.call_tool("ask")
        if revision == LATEST.date:
            assert caught.value.code == MISSING_CLIENT_CAPABILITY


async def test_answers_without_a_first_round() -> None:
    """A client may know what will be asked; keys that nobody asked for do no harm."""
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> str | InputRequired:
        name = ctx.input_response("name", Name)
        if name is None:
            return InputRequired({"name": form_question("Your name?", Name)})
        return name.name

    async with connected(server) as wire:
        given = {"action": "accept", "content": {"name": "Ada"}}
        other = {"inputResponses": {"other": given}}
        assert "name" in (await wire.call(**other))["inputRequests"]
        both = {"inputResponses": {"name": given, "other": given}}
        assert text_of(await wire.call(**both)) == "Ada"
        malformed = {"inputResponses": {"name": {"action": "accept", "content": {"name": 5}}}}
        assert (await wire.refused(**malformed))["code"] == INVALID_PARAMS
        assert (await wire.refused(inputResponses=None))["code"] == INVALID_PARAMS


async def test_changed_state_is_refused() -> None:
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> str | InputRequired:
        return InputRequired(state="secret")

    async with connected(server) as wire:
        first = await wire.call()
        assert "secret" not in first["requestState"]
        assert "inputRequests" not in first
        spoilt = first["requestState"] + "-TAMPERED"
        assert (await wire.refused(requestState=spoilt))["code"] == INVALID_PARAMS


def test_nothing_to_ask() -> None:
    with pytest.raises(ValueError, match="needs a question or a state"):
        InputRequired()


# -- who may wait -----------------------------------------------------------------------------


async def test_only_handlers_with_a_context_may_wait() -> None:
    server = Server("asking")

    @server.tool
    async def ask() -> str:
        with pytest.raises(RequestError, match="a Context parameter"):
            await server.request_context.elicit("Your name?", Name)
        raise ToolError("seen")

    async with open_client(server, elicitation=answer_form) as client:
        assert (await client.call_tool("ask")).text == "seen"


# -- single use -------------------------------------------------------------------------------


@pytest.mark.parametrize("parked", [0, 10])
async def test_single_use(parked: int, autojump_clock: MockClock) -> None:
    server = Server("asking", limits=Limits(parked=parked))

    @server.tool(single_use=True, replay=True)
    async def ask(ctx: Context) -> str:
        first = await ctx.elicit("First?", Name)
        second = await ctx.elicit("Second?", Name)
        return f"{first.name} {second.name}"

    async with connected(server) as wire:
        first = await wire.call()
        again = answers_to(first, "Ada")
        second = await wire.call(**again)
        assert second["resultType"] == "input_required"
        refused = await wire.refused(**again)
        assert (refused["code"], refused["message"]) == (
            INVALID_PARAMS,
            "requestState has already been used",
        )
        assert text_of(await wire.call(**answers_to(second, "Bo"))) == "Ada Bo"


def answers_to(result: dict[str, Any], name: str) -> dict[str, Any]:
    """The params of the next round: every question is answered with this name."""
    answer = {"action": "accept", "content": {"name": name}}
    return {
        "requestState": result["requestState"],
        "inputResponses": dict.fromkeys(result["inputRequests"], answer),
    }


async def test_nonces_are_forgotten_when_their_states_have_lapsed(
    autojump_clock: MockClock,
) -> None:
    nonces = MemoryNonceStore(limit=2)
    assert await nonces.use("a", 10)
    assert not await nonces.use("a", 10)
    assert await nonces.use("b", 20)
    assert not await nonces.use("c", 20), "forgetting one would allow its second use"
    await trio.sleep(11)
    assert await nonces.use("c", 20)
    assert len(nonces) == 2
