"""A result that is written at once is the same JSON as the object that it replaces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from trimcp import Context, Limits, Server
from trimcp.functions import compile_function
from trimcp.protocol import HANDSHAKE_REVISIONS, REVISIONS
from trimcp.testing import open_raw_peer, stateless

if TYPE_CHECKING:
    from trimcp import CallNext

#: Annotations of results: those whose values may be written at once, and others like them.
HINTS = [
    int, bool, str, float, None, Any, str | None, int | None, int | str, list[int], dict[str, int],
    Annotated[int, pydantic.Field(ge=0)], Annotated[str, pydantic.Field(max_length=3)],
    Annotated[int, pydantic.PlainSerializer(lambda value: -value)],
]  # fmt: skip

VALUES = st.one_of(
    st.integers(),
    st.booleans(),
    st.text(),
    st.floats(),
    st.none(),
    st.lists(st.integers(), max_size=2),
    st.sampled_from([{"a": 1}, 10**5000, "\ud800", "x" * 5000]),
)


def returning(hint: Any, value: Any) -> Any:
    """A tool that returns a value, with this annotation."""

    async def tool() -> Any:
        return value

    tool.__annotations__["return"] = hint
    return tool


async def pass_on(context: Context, call_next: CallNext) -> Any:
    """A middleware, which sees results as objects."""
    return await call_next()


async def answers_of(hint: Any, value: Any, *, as_objects: bool) -> list[str]:
    """The answers of a server to a call of a tool, one in each revision."""
    answers = []
    for revision in REVISIONS:
        server = Server[Any]("results", limits=Limits(message_bytes=4096))
        server.tool(returning(hint, value))
        if as_objects:
            server.middleware(pass_on)
        async with open_raw_peer(server) as peer:
            params: dict[str, Any] = {"name": "tool", "arguments": {}}
            if revision in HANDSHAKE_REVISIONS:
                await peer.initialize(revision.date)
            else:
                params = stateless(params, revision=revision.date)
            answers.append(json.dumps(await peer.request("tools/call", params)))
    return answers


@pytest.mark.parametrize("hint", HINTS, ids=str)
@given(value=VALUES)
@examples(20)
def test_both_ways_write_the_same(hint: Any, value: Any) -> None:
    """In every revision, whatever the tool returns, also if it does not fit or is too long."""
    at_once = trio.run(lambda: answers_of(hint, value, as_objects=False))
    assert at_once == trio.run(lambda: answers_of(hint, value, as_objects=True))


@pytest.mark.parametrize(("hint", "value"), [(int, 5), (bool, True), (str, "text"), (None, "text")])
def test_what_is_written_at_once(hint: Any, value: Any) -> None:
    function = compile_function(returning(hint, value), Context)
    assert function.wire_result(value, structured=True) is not None


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, True),
        (int, 5.0),
        (float, 1.0),
        (str, None),
        (HINTS[-1], 5),
        (list[int], [1]),
        (int | None, 5),
    ],
    ids=str,
)
def test_what_is_not(hint: Any, value: Any) -> None:
    """Another class than promised, a float, a container, what a user's serializer writes."""
    function = compile_function(returning(hint, value), Context)
    assert function.wire_result(value, structured=True) is None
