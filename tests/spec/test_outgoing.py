"""What leaves a server is valid in the revision of its exchange, whatever a handler says.

Handlers here return payloads of the declared classes in which one member, at any depth, was
replaced by something else. The answer is a valid result or a valid error, and the connection
serves the next request.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.test_schemas import check, definitions
from tests.spec.harness import REVISIONS, STATELESS, talking
from tests.strategies import examples, payloads
from trimcp import Server
from trimcp import types as t
from trimcp.protocol import find_revision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import SearchStrategy

#: What somebody may put where something else belongs.
ODD: Final = st.sampled_from(
    [
        *(None, True, -1, 5, 7.5, 10**400, math.nan, math.inf, "", "text", "\ud800", b"\xff"),
        *((), [], [[]], ["text"], {}, {"a": 1}, {1: 2}, {"a": math.nan}, object()),
        ValueError("no"),
    ]
)

PROBE: Final = "probe://1"


# -- spoiling a payload ------------------------------------------------------------------------


def places(value: Any) -> Iterator[tuple[int | str, ...]]:
    """The way to each member of a payload."""
    if attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield (field.name,)
            yield from ((field.name, *rest) for rest in places(getattr(value, field.name)))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield (index,)
            yield from ((index, *rest) for rest in places(item))


def put(value: Any, way: tuple[int | str, ...], odd: Any) -> Any:
    """The payload with another member at the end of the way."""
    if not way:
        return odd
    first, *rest = way
    if isinstance(first, int):
        items = list(value)
        items[first] = put(items[first], tuple(rest), odd)
        return tuple(items)
    return attrs.evolve(value, **{first: put(getattr(value, first), tuple(rest), odd)})


@st.composite
def spoiled(draw: st.DrawFn, shape: type) -> Any:
    """A payload of the newest vocabulary with at most one odd member.

    Where the class itself refuses the member, the refusal, which the handler will raise.
    """
    payload = draw(payloads(shape))
    way = draw(st.none() | st.sampled_from(list(places(payload))))
    if way is None:
        return payload
    try:
        return put(payload, way, draw(ODD))
    except Exception as refusal:
        return refusal


def handled(shape: type) -> SearchStrategy[Any]:
    return spoiled(shape) | ODD


# -- the server --------------------------------------------------------------------------------


@attrs.define
class Saying:
    """What the handlers return, or raise."""

    value: Any = None

    def say(self) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def serving(saying: Saying) -> Server[Any]:
    server: Server[Any] = Server("odd", version="1")

    @server.tool
    async def tool() -> t.CallToolResult:
        return saying.say()  # type: ignore[no-any-return]

    @server.tool
    async def anything() -> Any:
        return saying.say()

    @server.resource(PROBE)
    async def resource() -> t.ReadResourceResult:
        return saying.say()  # type: ignore[no-any-return]

    @server.prompt
    async def prompt(given: str = "") -> t.GetPromptResult:
        return saying.say()  # type: ignore[no-any-return]

    @server.completion("given", prompt="prompt")
    async def complete(given: str) -> t.Completion:
        return saying.say()  # type: ignore[no-any-return]

    return server


CASES: Final = {
    "tool": (t.CallToolResult, "tools/call", {"name": "tool", "arguments": {}}),
    "anything": (t.CallToolResult, "tools/call", {"name": "anything", "arguments": {}}),
    "resource": (t.ReadResourceResult, "resources/read", {"uri": PROBE}),
    "prompt": (t.GetPromptResult, "prompts/get", {"name": "prompt"}),
    "completion": (
        t.Completion,
        "completion/complete",
        {
            "ref": {"type": "ref/prompt", "name": "prompt"},
            "argument": {"name": "given", "value": "a"},
        },
    ),
}
_RESULTS: Final = {
    "tools/call": "CallToolResult",
    "resources/read": "ReadResourceResult",
    "prompts/get": "GetPromptResult",
    "completion/complete": "CompleteResult",
}


def judge(revision: str, method: str, answer: dict[str, Any]) -> None:
    row = find_revision(revision)
    assert row is not None
    if "error" in answer:
        named = [
            each for each in ("JSONRPCErrorResponse", "JSONRPCError") if each in definitions(row)
        ]
        check(row, named[0], answer)
        code = answer["error"]["code"]
        assert code == -32603 or not -32768 <= code <= -32000, answer
    else:
        check(row, "JSONRPCResponse", answer)
        check(row, _RESULTS[method], answer["result"])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("revision", REVISIONS)
@examples(40)
@given(data=st.data())
def test_whatever_a_handler_says(name: str, revision: str, data: st.DataObject) -> None:
    """BASE-01: one valid answer, and the connection lives."""
    shape, method, params = CASES[name]
    saying = Saying(data.draw(handled(shape)))

    async def converse() -> None:
        async with talking(serving(saying), revision) as script:
            judge(revision, method, await script.do(method, params))
            await script.do("server/discover" if revision == STATELESS else "ping")

    logging.disable(logging.CRITICAL)
    try:
        trio.run(converse, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logging.disable(logging.NOTSET)
