"""Elicitation, in both eras."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Literal

import pydantic
import pytest

from trimcp import AnswerRefused, Context, RegistrationError, RequestError, Server
from trimcp.types import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult

from .harness import (
    CAPABILITIES,
    STATELESS,
    Facing,
    Message,
    Script,
    Sure,
    code_of,
    eliciting,
    error,
    facing,
    notification,
    request,
    result,
    talking,
    text_of,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

URLS = ("2025-11-25", STATELESS)
with_urls = pytest.mark.parametrize("revision", URLS)
CAN: Message = {"elicitation": {"form": {}, "url": {}}}
URL = "https://example.com/login?next=%2F&lang=é".replace("é", "%C3%A9")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=1, description="Your name")
    age: int = 30
    height: float = 1.7
    colour: Colour = Colour.RED
    tone: Literal["light", "dark"] = "dark"
    member: bool


def asking() -> Server[Any]:
    server = Server[Any]("asking")

    @server.tool
    async def ask(ctx: Context) -> str:
        try:
            return str((await ctx.elicit("Sure?", Sure)).sure)
        except AnswerRefused as refused:
            return refused.action

    @server.tool
    async def ask_plainly(ctx: Context) -> str:
        return str((await ctx.elicit("Sure?", Sure)).sure)

    @server.tool
    async def register(ctx: Context) -> str:
        return (await ctx.elicit("Who are you?", Person)).model_dump_json()

    @server.tool
    async def visit(ctx: Context, url: str = URL) -> str:
        await ctx.elicit_url("Log in", url)
        return "visited"

    return server


async def question(script: Script, tool: str, **arguments: Any) -> tuple[Message, Message]:
    """Call a tool that asks; what to answer to, and the question's params."""
    asked = script.calling(tool, arguments)
    await script.send(asked)
    message = await script.receive()
    if script.is_stateless:
        [(key, each)] = message["result"]["inputRequests"].items()
        assert each["method"] == "elicitation/create"
        params = asked["params"] | {"requestState": message["result"]["requestState"]}
        return {"params": params, "key": key}, each["params"]
    assert message["method"] == "elicitation/create"
    return message | {"call": asked["id"]}, message["params"]


async def answer(script: Script, to: Message, given: Message) -> Message:
    """Answer a question; the tool's answer."""
    if script.is_stateless:
        params = dict(to["params"]) | {"inputResponses": {to["key"]: given}}
        params.pop("_meta")
        return await script.do("tools/call", params)
    await script.send(result(to, given))
    done: Message = await script.receive()
    assert done["id"] == to["call"]
    return done


# -- what the server asks ---------------------------------------------------------------------


@eliciting
async def test_forms(revision: str, autojump_clock: MockClock) -> None:
    """ELIC-04, ELIC-05: a message and a schema; the mode is `form` or left out."""
    async with talking(asking(), revision, CAN) as script:
        _, params = await question(script, "ask")
        assert params["message"] == "Sure?"
        assert params["requestedSchema"]["properties"]["sure"]["type"] == "boolean"
        assert params["requestedSchema"]["required"] == ["sure"]
        assert params.get("mode") == (None if revision == "2025-06-18" else "form")


@eliciting
async def test_forms_are_flat(revision: str, autojump_clock: MockClock) -> None:
    """ELIC-05: properties of primitive types, without references."""
    async with talking(asking(), revision, CAN) as script:
        to, params = await question(script, "register")
        schema = params["requestedSchema"]
        assert schema.keys() == {"type", "properties", "required"}
        types = {name: each["type"] for name, each in schema["properties"].items()}
        assert types == {
            "name": "string",
            "age": "integer",
            "height": "number",
            "colour": "string",
            "tone": "string",
            "member": "boolean",
        }
        assert "$ref" not in str(schema)
        done = await answer(
            script, to, {"action": "accept", "content": {"name": "Ada", "member": True}}
        )
        assert '"name":"Ada"' in text_of(done)


class Chosen(pydantic.BaseModel):
    tags: list[Literal["a", "b"]]


@eliciting
async def test_lists_of_choices_where_the_revision_has_them(
    revision: str, autojump_clock: MockClock
) -> None:
    """ELIC-05: never asked of a client of 2025-06-18; its call gets an error that says why."""
    server = Server[Any]("asking")

    @server.tool
    async def choose(ctx: Context) -> str:
        return ",".join((await ctx.elicit("Which?", Chosen)).tags)

    async with talking(server, revision, CAN) as script:
        if revision == "2025-06-18":
            refused = await script.do("tools/call", {"name": "choose", "arguments": {}})
            assert "has no lists of choices" in refused["error"]["message"]
            return
        to, params = await question(script, "choose")
        assert params["requestedSchema"]["properties"]["tags"] == {
            "type": "array",
            "items": {"type": "string", "enum": ["a", "b"]},
        }
        done = await answer(script, to, {"action": "accept", "content": {"tags": ["b", "a"]}})
        assert text_of(done) == "b,a"


class Inner(pydantic.BaseModel):
    x: int


class Nested(pydantic.BaseModel):
    inner: Inner


class Lists(pydantic.BaseModel):
    numbers: list[int]


@pytest.mark.parametrize("asked", [Nested, Lists, int, list[int]], ids=str)
async def test_other_forms_are_refused(asked: Any, autojump_clock: MockClock) -> None:
    """ELIC-05: what is no flat object of primitives is never asked."""
    server = Server[Any]("asking")

    @server.tool
    async def ask(ctx: Context) -> str:
        with pytest.raises(RegistrationError):
            await ctx.elicit("?", asked)
        return "refused"

    for revision in URLS:
        async with talking(server, revision, CAN) as script:
            assert text_of(await script.call("ask")) == "refused"


@with_urls
async def test_urls(revision: str, autojump_clock: MockClock) -> None:
    """ELIC-04, ELIC-06: mode, message and URL; an id where the revision wants one."""
    async with talking(asking(), revision, CAN) as script:
        to, params = await question(script, "visit")
        assert params["mode"] == "url"
        assert params["message"] == "Log in"
        assert params["url"] == URL
        assert ("elicitationId" in params) is (revision != STATELESS)
        assert text_of(await answer(script, to, {"action": "accept"})) == "visited"


@pytest.mark.parametrize(
    "url", ["", "login", "//example.com", "https://a b", "https://é.com", "a:"]
)
@with_urls
async def test_what_is_no_url(revision: str, url: str, autojump_clock: MockClock) -> None:
    """ELIC-07: is never sent; the handler gets an exception."""
    async with talking(asking(), revision, CAN) as script:
        assert (await script.call("visit", {"url": url}))["result"]["isError"] is True


@eliciting
async def test_forms_need_the_capability(revision: str, autojump_clock: MockClock) -> None:
    """ELIC-03: an empty declaration means forms, one of URLs alone does not."""
    # In 2025-06-18 there are no modes yet, so `url` would mean nothing.
    lacking: list[Message] = [{}, {"elicitation": {"url": {}}}]
    for declared in lacking[: 1 if revision == "2025-06-18" else 2]:
        async with talking(asking(), revision, declared) as script:
            refused = await script.call("ask")
            assert code_of(refused) == (-32021 if script.is_stateless else -32600)
    async with talking(asking(), revision, {"elicitation": {}}) as script:
        await question(script, "ask")


@with_urls
async def test_urls_need_the_capability(revision: str, autojump_clock: MockClock) -> None:
    """ELIC-03."""
    lacking: list[Message] = [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}]
    for declared in lacking:
        async with talking(asking(), revision, declared) as script:
            assert "error" in await script.call("visit")


# -- what the server makes of answers ---------------------------------------------------------


@eliciting
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_refusals(revision: str, action: str, autojump_clock: MockClock) -> None:
    """ELIC-08, ELIC-09: handled by the handler, or said by the runtime."""
    async with talking(asking(), revision, CAN) as script:
        to, _ = await question(script, "ask")
        assert text_of(await answer(script, to, {"action": action})) == action
        to, _ = await question(script, "ask_plainly")
        done = await answer(script, to, {"action": action})
        assert done["result"]["isError"] is True
        assert action in text_of(done)


async def test_clients_that_fail(autojump_clock: MockClock) -> None:
    """ELIC-08, ELIC-09: an error of the client is an exception in the handler."""
    server = asking()

    @server.tool
    async def careful(ctx: Context) -> str:
        try:
            await ctx.elicit("Sure?", Sure)
        except RequestError as failure:
            return str(failure.code)
        return "?"

    async with talking(server, "2025-11-25", CAN) as script:
        to, _ = await question(script, "careful")
        await script.send(error(to, -32603))
        assert text_of(await script.receive()) == "-32603"


WRONG = [{"sure": "nobody knows"}, {}, {"sure": None}, {"other": True}]


@eliciting
@pytest.mark.parametrize("content", WRONG, ids=repr)
async def test_answers_are_checked(
    revision: str, content: Message, autojump_clock: MockClock
) -> None:
    """ELIC-13: against the form."""
    async with talking(asking(), revision, CAN) as script:
        to, _ = await question(script, "ask")
        done = await answer(script, to, {"action": "accept", "content": content})
        assert code_of(done) == -32602


async def test_questions_stay_on_their_connection(autojump_clock: MockClock) -> None:
    """ELIC-10: they are put to whom they concern, and only that client's answer counts."""
    server = asking()
    revision = "2025-11-25"
    async with (
        server.application(signals=False),
        talking(server, revision, CAN) as first,
        talking(server, revision, CAN) as second,
    ):
        to, _ = await question(first, "ask")
        await second.send(result(to, {"action": "accept", "content": {"sure": False}}))
        await second.expect_silence()
        done = await answer(first, to, {"action": "accept", "content": {"sure": True}})
        assert text_of(done) == "True"


# -- what the client declares and answers -----------------------------------------------------


async def agree(_: Any) -> Any:
    return {"sure": True}


async def visit(_: ElicitRequestURLParams) -> bool:
    return True


FORM: Message = {
    "message": "Sure?",
    "requestedSchema": {
        "type": "object",
        "properties": {
            "sure": {"type": "boolean"},
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "age": {"type": "integer", "minimum": 0, "default": 30},
        },
        "required": ["sure"],
    },
}
VISIT: Message = {"mode": "url", "message": "Log in", "url": URL, "elicitationId": "e"}


def declared_by(to: Facing) -> Any:
    """The client's capability."""
    params = next(each for each in to.greeting if "params" in each)["params"]
    for each in to.greeting:
        if each["method"] == "initialize":
            return each["params"]["capabilities"].get("elicitation")
    return params["_meta"][CAPABILITIES].get("elicitation")


@eliciting
@pytest.mark.parametrize("callbacks", [{}, {"elicitation": agree}], ids=["none", "form"])
async def test_the_client_declares_forms(
    revision: str, callbacks: dict[str, Any], autojump_clock: MockClock
) -> None:
    """ELIC-01, ELIC-02: what it can do, and nothing where it can do nothing."""
    pinned: dict[str, Any] = {} if revision == STATELESS else {"revision": revision}
    async with facing(revision, **callbacks, **pinned) as to:
        if not callbacks:
            assert declared_by(to) is None
        else:
            assert declared_by(to) == ({} if revision == "2025-06-18" else {"form": {}})


@with_urls
async def test_the_client_declares_urls(revision: str, autojump_clock: MockClock) -> None:
    """ELIC-01, ELIC-02: each mode by itself, or both."""
    async with facing(revision, url_elicitation=visit) as to:
        assert declared_by(to) == {"url": {}}
    async with facing(revision, url_elicitation=visit, elicitation=agree) as to:
        assert declared_by(to) == {"form": {}, "url": {}}


async def asked(to: Facing, revision: str, params: Message) -> Message:
    """What the client answers to a question, in the way of the revision."""
    if revision != STATELESS:
        answered = await to.line.ask(request("q", "elicitation/create", params))
        got: Message = answered.get("result", answered)
        return got
    call = to.start(to.client.call_tool, "x")
    question = {"method": "elicitation/create", "params": params}
    body = {"resultType": "input_required", "inputRequests": {"k": question}}
    await to.line.send(result(await to.line.receive(), body))
    again = await to.line.receive()
    await to.line.send(result(again, {"content": []}))
    await call.get()
    given: Message = again["params"]["inputResponses"]["k"]
    return given


@eliciting
async def test_the_client_fills_in_forms(revision: str, autojump_clock: MockClock) -> None:
    """ELIC-11, ELIC-12: a question without a mode is a form; defaults are filled in."""
    seen: list[Any] = []

    async def fill_in(params: Any) -> Any:
        seen.append(params)
        return {"sure": True, "age": 5}

    async with facing(revision, elicitation=fill_in) as to:
        given = await asked(to, revision, FORM)
        assert given == {"action": "accept", "content": {"sure": True, "age": 5, "colour": "red"}}
        if revision != "2025-06-18":
            assert await asked(to, revision, {"mode": "form", **FORM}) == given
    assert all(isinstance(each, ElicitRequestFormParams) for each in seen)
    assert seen[0].requested_schema == FORM["requestedSchema"]


@eliciting
async def test_the_client_may_refuse(revision: str, autojump_clock: MockClock) -> None:
    """ELIC-14: by declining, or by dismissing."""
    answers = [None, ElicitResult("decline"), ElicitResult("cancel")]

    async def refuse(_: Any) -> Any:
        return answers.pop(0)

    async with facing(revision, elicitation=refuse) as to:
        for action in ("decline", "decline", "cancel"):
            assert await asked(to, revision, FORM) == {"action": action}


@pytest.mark.parametrize(
    "content", [{}, {"sure": "x"}, {"sure": True, "colour": "green"}], ids=repr
)
@eliciting
async def test_the_client_checks_its_answers(
    revision: str, content: Message, autojump_clock: MockClock
) -> None:
    """ELIC-15: what does not fit the form is not sent."""

    async def fill_in(_: Any) -> Message:
        return content

    async with facing(revision, elicitation=fill_in) as to:
        if revision != STATELESS:
            answered = await to.line.ask(request("q", "elicitation/create", FORM))
            assert code_of(answered) == -32603
            return
        call = to.start(to.client.call_tool, "x")
        question = {"method": "elicitation/create", "params": FORM}
        body = {"resultType": "input_required", "inputRequests": {"k": question}}
        await to.line.send(result(await to.line.receive(), body))
        assert "does not match" in str(await call.fails(ValueError))


@with_urls
async def test_the_client_visits_nothing(revision: str, autojump_clock: MockClock) -> None:
    """ELIC-16, ELIC-17, ELIC-22: the whole URL goes to its user's callback, and nowhere else."""
    seen: list[str] = []
    agreed = [True, False]

    async def look(params: ElicitRequestURLParams) -> bool:
        seen.append(params.url)
        return agreed.pop(0)

    async with facing(revision, url_elicitation=look) as to:
        assert await asked(to, revision, VISIT) == {"action": "accept"}
        # Whatever the id looks like.
        odd = VISIT | {"elicitationId": " {}\n"}
        assert await asked(to, revision, odd) == {"action": "decline"}
    assert seen == [URL, URL]


async def test_modes_that_were_not_declared(autojump_clock: MockClock) -> None:
    """ELIC-19: are refused with the code for invalid params."""
    async with facing("2025-11-25", elicitation=agree) as to:
        answered = await to.line.ask(request("q", "elicitation/create", VISIT))
        assert code_of(answered) == -32602
    async with facing("2025-11-25", url_elicitation=visit) as to:
        answered = await to.line.ask(request("q", "elicitation/create", FORM))
        assert code_of(answered) == -32602


@pytest.mark.parametrize("identity", ["e", "unknown", "", 5, None], ids=repr)
async def test_completions_of_the_unknown(identity: Any, autojump_clock: MockClock) -> None:
    """ELIC-20: a message that a visit is over is no matter for a client that knows of none."""
    async with facing("2025-11-25", url_elicitation=visit) as to:
        for _ in range(2):
            params = {"elicitationId": identity}
            await to.line.send(notification("notifications/elicitation/complete", params))
        assert (await asked(to, "2025-11-25", VISIT))["action"] == "accept"
        assert (await to.line.ask(request("p", "ping")))["result"] == {}


async def test_visits_have_ids_of_their_own(autojump_clock: MockClock) -> None:
    """ELIC-06: one for each question."""
    async with talking(asking(), "2025-11-25", CAN) as script:
        found = set()
        for _ in range(5):
            to, params = await question(script, "visit")
            found.add(params["elicitationId"])
            await answer(script, to, {"action": "accept"})
        assert len(found) == 5
