"""A result that is written at once is the same JSON as the object that it replaces."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from trimcp import Context, Limits, Server, open_client
from trimcp.functions import compile_function
from trimcp.protocol import HANDSHAKE_REVISIONS, REVISIONS
from trimcp.testing import open_raw_peer, stateless
from trimcp.types import CallToolResult

if TYPE_CHECKING:
    from trimcp import CallNext


class Colour(enum.StrEnum):
    """A text that is more than a text."""

    RED = "red"


@dataclasses.dataclass
class Point:
    """An object that may have been changed after it was made."""

    x: int
    label: str | None = None


class Hidden(pydantic.BaseModel):
    """A model whose serializer does not write what its schema lists."""

    number: int

    @pydantic.field_serializer("number")
    def _as_text(self, number: int) -> int:
        return "odd" if number % 2 else number  # type: ignore[return-value]


#: Annotations of results: those whose values need no check, and others like them.
HINTS = [
    int, bool, str, float, None, Any, str | None, int | None, int | str, list[int], dict[str, int],
    Annotated[int, pydantic.Field(ge=0)], Annotated[str, pydantic.Field(max_length=3)],
    Annotated[int, pydantic.PlainSerializer(lambda value: -value)],
    list[float], dict[str, Any], Literal["a", "red"], Colour, Point, Hidden, CallToolResult,
]  # fmt: skip

VALUES = st.one_of(
    st.integers(),
    st.booleans(),
    st.text(),
    st.text('"\\\n\x00\x7f\u2028/<\U0001f600', max_size=8),
    st.floats(),
    st.none(),
    st.lists(st.integers() | st.floats(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
    st.sampled_from([10**5000, "\ud800", {"\ud800": 1}, "x" * 5000, ["x" * 2100], "a", Colour.RED]),
    st.sampled_from([Point(1), Point(2, '"'), Point("x"), Hidden(number=1), Hidden(number=2)]),  # type: ignore[arg-type]
    st.sampled_from([CallToolResult(()), CallToolResult((), structured_content={"x": 1})]),
    st.integers(3700, 4000).map("y".__mul__),
    st.integers(0, 70).map(lambda depth: json.loads("[" * depth + "]" * depth or "0")),
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


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 5),
        (bool, True),
        (str, "text"),
        (None, "text"),
        (float, 1.0),
        (int | None, None),
        (list[int], [1]),
        (Point, Point(1)),
        (Colour, Colour.RED),
    ],
    ids=str,
)
def test_what_is_written_at_once(hint: Any, value: Any) -> None:
    function = compile_function(returning(hint, value), Context)
    assert function.wire_result(value, structured=True) is not None


@pytest.mark.parametrize(
    ("hint", "value"),
    [(str, None), (str, Colour.RED), (None, {"a": 1}), (Point, CallToolResult(()))],
    ids=str,
)
def test_what_is_not(hint: Any, value: Any) -> None:
    """What is made of a value that nothing is promised of, and what is a result already."""
    function = compile_function(returning(hint, value), Context)
    assert function.wire_result(value, structured=True) is None


def test_not_where_a_revision_may_wrap_it() -> None:
    function = compile_function(returning(int, 5), Context)
    assert function.wire_result(5, structured=False) is None


def test_what_does_not_fit_is_refused() -> None:
    """What is not sure is checked, and a changed instance or a user's serializer never is."""
    for hint, value in ((Hidden, Hidden(number=1)), (Point, Point("x"))):  # type: ignore[arg-type]
        function = compile_function(returning(hint, value), Context)
        with pytest.raises(ValueError, match=r"output schema|validation error") as caught:
            function.wire_result(value, structured=True)
        assert "'tool'" in caught.value.__notes__[0]


#: What a function may return that is written as something else.
REPLACED = [
    (pydantic.SecretStr, "swordfish", "**********"),
    (Annotated[str, pydantic.PlainSerializer(lambda value: "***")], "swordfish", "***"),
    (bool, "yes", "true"),
    (int, "5", "5"),
    (datetime.date, "2020-01-01T00:00:00", "2020-01-01"),
]


@pytest.mark.parametrize("revision", [REVISIONS[-1], HANDSHAKE_REVISIONS[-1]], ids=str)
@pytest.mark.parametrize(("hint", "value", "text"), REPLACED)
def test_the_text_is_what_is_written(hint: Any, value: Any, text: str, revision: Any) -> None:
    """A secret that is hidden in the structured content is hidden in its text too."""

    async def main() -> None:
        server: Server[Any] = Server("replaced")

        async def give() -> Any:
            return value

        give.__annotations__["return"] = hint
        server.tool(give)
        async with open_client(server, revision=revision.date) as client:
            result = await client.call_tool("give")
            assert not result.is_error
            assert result.text == text
            assert "swordfish" not in repr(result)

    trio.run(main)
