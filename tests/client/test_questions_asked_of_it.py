"""Questions that a server may not ask, and answers that a client may not give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.spec.harness import STATELESS, Facing, Later, Message, facing, request, result
from trimcp import ProtocolViolation
from trimcp.errors import INVALID_PARAMS
from trimcp.types import (
    CreateMessageResult,
    TextContent,
    ToolResultContent,
    ToolUseContent,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

REVISIONS = ("2025-06-18", "2025-11-25", STATELESS)


async def asked(to: Facing, revision: str, method: str, params: Message) -> Message:
    """What a client answers to a question; `error` if it refuses."""
    if revision != STATELESS:
        answer: Message = await to.line.ask(request("q", method, params))
        return answer
    later = to.start(to.client.call_tool, "x", timeout=50)
    call = await to.line.receive()
    question = {"method": method, "params": params}
    more = {"resultType": "input_required", "inputRequests": {"q": question}}
    await to.line.send(result(call, {**more, "requestState": "s"}))
    return await outcome(to, later)


async def outcome(to: Facing, later: Later) -> Message:
    """What the call brought that was answered with a question."""
    await trio.testing.wait_all_tasks_blocked()
    if later.done.is_set():
        if isinstance(later.failure, ProtocolViolation):
            return {"error": {"code": INVALID_PARAMS, "message": str(later.failure)}}
        assert later.failure is not None
        raise later.failure
    retry = await to.line.receive()
    answer: Message = {"result": retry["params"]["inputResponses"]["q"]}
    await to.line.send(result(retry, {"content": []}))
    await later.get()
    return answer


def form(**properties: Any) -> Message:
    return {"message": "m", "requestedSchema": {"type": "object", "properties": properties}}


CHOICES = {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}
TITLED = {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}}
PLAIN: list[Message] = [
    {"type": "string"},
    {"type": "string", "format": "email", "title": "t", "minLength": 1},
    {"type": "string", "enum": ["a"], "enumNames": ["A"]},
    {"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
    {"type": "integer", "minimum": 1},
    {"type": "number", "default": 1.5},
    {"type": "boolean", "default": True},
]
NESTED: list[Any] = [
    {"type": "object", "properties": {"a": {"type": "string"}}},
    {"type": "array", "items": {"type": "object"}},
    {"type": "array", "items": {"type": "integer"}},
    {"type": "array"},
    {"type": "string", "properties": {}},
    {"type": ["string", "null"]},
    {"type": "null"},
    {"$ref": "#/$defs/x"},
    {"allOf": [{"type": "string"}]},
    {},
    "string",
    None,
]


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("definition", NESTED, ids=str)
async def test_a_form_that_is_not_flat_is_refused(
    revision: str, definition: Any, autojump_clock: MockClock
) -> None:
    """ELIC-05: by the schema of the revision."""

    async def answer(_: Any) -> Any:
        raise AssertionError("the program was asked")

    async with facing(revision, elicitation=answer) as to:
        said = await asked(to, revision, "elicitation/create", form(a=definition))
        assert said["error"]["code"] == INVALID_PARAMS
        assert "'a'" in said["error"]["message"]


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("definition", PLAIN, ids=str)
async def test_a_flat_form_is_answered(
    revision: str, definition: Message, autojump_clock: MockClock
) -> None:
    async with facing(revision, elicitation=lambda _: None) as to:
        said = await asked(to, revision, "elicitation/create", form(a=definition))
        assert said["result"]["action"] == "decline"


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("definition", [CHOICES, TITLED], ids=str)
async def test_lists_of_choices_belong_to_newer_revisions(
    revision: str, definition: Message, autojump_clock: MockClock
) -> None:
    async with facing(revision, elicitation=lambda _: {"a": ["a"]}) as to:
        said = await asked(to, revision, "elicitation/create", form(a=definition))
        assert ("error" in said) is (revision == "2025-06-18")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("email", "a@example.com", "nobody"),
        ("uri", "https://example.com/x", "not a uri"),
        ("date", "2026-02-28", "2026-02-30"),
        ("date-time", "2026-02-28T10:00:00Z", "yesterday"),
        ("uuid", "whatever", None),
    ],
)
async def test_formats_are_checked_before_an_answer_leaves(
    name: str, good: str, bad: str | None, autojump_clock: MockClock
) -> None:
    """ELIC-15."""
    answers = [good]
    params = form(a={"type": "string", "format": name})
    async with facing(STATELESS, elicitation=lambda _: {"a": answers[0]}) as to:
        said = await asked(to, STATELESS, "elicitation/create", params)
        assert said["result"] == {"action": "accept", "content": {"a": good}}
        if bad is not None:
            answers[0] = bad
            with pytest.raises(ValueError, match=f"is not a valid {name}"):
                await asked(to, STATELESS, "elicitation/create", params)


# -- sampling ------------------------------------------------------------------------------------

USE = {"type": "tool_use", "id": "1", "name": "t", "input": {}}
RESULT = {"type": "tool_result", "toolUseId": "1", "content": []}
TEXT = {"type": "text", "text": "x"}


def conversation(*messages: tuple[str, Any]) -> Message:
    said = [{"role": role, "content": content} for role, content in messages]
    return {"messages": said, "maxTokens": 5}


@pytest.mark.parametrize(
    ("messages", "is_good"),
    [
        ([("user", TEXT), ("assistant", USE), ("user", RESULT)], True),
        ([("user", USE), ("user", RESULT)], False),
        ([("assistant", USE), ("assistant", RESULT)], False),
        ([("user", USE), ("assistant", RESULT)], False),
        ([("assistant", [TEXT, USE]), ("user", [RESULT])], True),
        ([("user", [TEXT, USE]), ("user", [RESULT])], False),
    ],
)
@pytest.mark.parametrize("revision", ["2025-11-25", STATELESS])
async def test_the_roles_of_uses_and_results(
    revision: str, messages: Any, is_good: bool, autojump_clock: MockClock
) -> None:
    """SAMP-07: uses of tools are the assistant's, results are the user's."""
    async with facing(revision, sampling=lambda _: "hi", sampling_tools=True) as to:
        said = await asked(to, revision, "sampling/createMessage", conversation(*messages))
        assert ("result" in said) is is_good
        if not is_good:
            assert said["error"]["code"] == INVALID_PARAMS


@pytest.mark.parametrize(
    ("role", "block"),
    [
        ("assistant", ToolResultContent("1", [])),
        ("user", ToolResultContent("1", [])),
        ("user", ToolUseContent("1", "t", {})),
    ],
)
async def test_a_models_answer_in_the_wrong_role(
    role: Any, block: Any, autojump_clock: MockClock
) -> None:
    sampled = CreateMessageResult(role, (TextContent("x"), block), model="m")
    async with facing(STATELESS, sampling=lambda _: sampled, sampling_tools=True) as to:
        with pytest.raises(ValueError, match="tool"):
            await asked(to, STATELESS, "sampling/createMessage", conversation(("user", TEXT)))


# -- several questions at once ----------------------------------------------------------------


async def test_several_that_cannot_be_answered_are_one_failure(autojump_clock: MockClock) -> None:
    """The others are cancelled, and nobody gets a group of exceptions."""
    left = trio.Event()

    async def answer(_: Any) -> Any:
        try:
            await trio.sleep_forever()
        finally:
            left.set()

    sampling = {"messages": [], "maxTokens": 1}
    questions = {
        "form": {"method": "elicitation/create", "params": form(a={"type": "string"})},
        "url": {
            "method": "elicitation/create",
            "params": {"mode": "url", "message": "m", "url": "https://example.com/"},
        },
        "model": {"method": "sampling/createMessage", "params": sampling},
        "roots": {"method": "roots/list"},
    }
    async with facing(STATELESS, elicitation=answer) as to:
        later = to.start(to.client.call_tool, "x", timeout=50)
        call = await to.line.receive()
        more = {"resultType": "input_required", "inputRequests": questions, "requestState": "s"}
        await to.line.send(result(call, more))
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(later.failure, ProtocolViolation)
        assert "cannot be answered" in str(later.failure)
        assert left.is_set()
