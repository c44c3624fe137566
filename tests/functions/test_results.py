"""What leaves as structured content fits the schema that the tool lists, or the call fails."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import json
import math
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
import jsonschema_rs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, PlainSerializer, computed_field
from typing_extensions import TypedDict

from tests.spec.harness import every_revision, talking
from trimcp import RegistrationError, Server, open_client
from trimcp.functions import Function, compile_function
from trimcp.protocol import REVISIONS, codec_for
from trimcp.types import (
    UNSET,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    TextContent,
    Tool,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


#: The codecs of the revisions that have structured content.
CODECS = [codec_for(revision) for revision in REVISIONS if revision.date >= "2025-06-18"]


class Context:
    """Stands for the server's."""


def returning(hint: Any, **options: Any) -> Function:
    def tool() -> Any: ...

    tool.__annotations__["return"] = hint
    return compile_function(tool, Context, **options)


def leaves(function: Function, value: Any) -> Any:
    """The structured content. Raises what makes the call fail."""
    result = function.result(value)
    return json.loads(bytes(result.structured_content))


def content(function: Function, value: Any) -> Any:
    return function.result(value).content


# -- generated types and values ---------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Model(BaseModel):
    number: int = Field(ge=0)
    name: Annotated[str, Field(max_length=5)] = "n"
    inner: Point | None = None


class Aliased(BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)
    first: int = Field(validation_alias="in", serialization_alias="out")
    kept: int = Field(default=1, exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return self.first * 2


class Dictionary(TypedDict, total=False):
    a: int
    b: list[str]


@attrs.define
class Defined:
    a: int
    b: list[float]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Number(enum.IntEnum):
    ONE = 1


class Size(enum.StrEnum):
    S = "small"


HINTS: list[Any] = [
    int, float, bool, Colour, Number, Size, Literal["a", "b"], Literal[1, "a"], datetime.date,
    uuid.UUID, Decimal, Point, Model, Aliased, Dictionary, Defined, datetime.timedelta,
    Annotated[int, Field(ge=0, le=9)], Annotated[str, Field(pattern="^a+$")],
    Annotated[int, PlainSerializer(str)], Annotated[int, Field(json_schema_extra={"maximum": 5})],
    Annotated[list[int], Field(max_length=2)],
]  # fmt: skip
LEAVES = st.sampled_from(HINTS)
TYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda each: list[each]),
        inner.map(lambda each: dict[str, each]),
        inner.map(lambda each: each | None),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
    ),
    max_leaves=3,
)


def mutated() -> Model:
    model = Model(number=1)
    model.number = "seven"  # type: ignore[assignment]
    return model


#: Right ones, and wrong ones that nothing but a check of the bytes finds.
ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 12), st.floats(), st.text(max_size=6),
    st.sampled_from([
        "a", "aaa", "red", "small", "2024-01-01", Colour.RED, Number.ONE, Size.S, 10**30,
        datetime.date(2024, 1, 1), uuid.UUID(int=1), Decimal("1.5"), Decimal("NaN"),
        datetime.timedelta(seconds=5), Point(1), Point("7"), Point(1, math.nan),
        Model(number=1), mutated(), Model.model_construct(number=-1), Model.model_construct(),
        Model(number=1, inner=Point("x")), Model.model_construct(number=1, inner={"x": 1}),
        Aliased(first=1), Aliased.model_construct(first="x"), Defined(1, [math.inf]),
        Defined("x", []), Defined(1, [1.0]), {"a": 1}, {"a": "x"}, {"number": 3}, {"in": 4},
        {"out": 4, "twice": 8}, {"a": 1, "b": [0.5]},
    ]),  # type: ignore[arg-type]
)  # fmt: skip
RETURNED = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.tuples(inner, inner),
    ),
    max_leaves=4,
)


@given(TYPES, RETURNED)
def test_what_leaves_fits_the_listed_schema(hint: Any, value: Any) -> None:
    function = returning(hint)
    assert function.output_schema is not None
    try:
        result = function.result(value)
    except (TypeError, ValueError):
        return
    wire = json.loads(bytes(result.structured_content), parse_constant=pytest.fail)
    validator = jsonschema_rs.validator_for(function.output_schema)
    assert validator.is_valid(wire), (function.output_schema, wire)
    for codec in CODECS:
        tool = codec.encode(Tool("t", {"type": "object"}, output_schema=function.output_schema))
        validator = jsonschema_rs.validator_for(tool["outputSchema"])
        assert validator.is_valid(codec.structured(wire, function.output_schema))


@given(TYPES, RETURNED)
def test_a_whole_result_fits_the_listed_schema(hint: Any, value: Any) -> None:
    function = returning(hint)
    assert function.output_schema is not None
    whole = CallToolResult((), structured_content=value)
    try:
        function.result(whole)
        wire = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return
    assert jsonschema_rs.validator_for(function.output_schema).is_valid(wire)


class Letter(enum.Enum):
    A = "a"


class Half(enum.Enum):
    HALF = 1.5
    ONE = 1


class Flags(enum.IntFlag):
    A = 1
    B = 2


class OddInteger(int):
    def __repr__(self) -> str:
        return "odd"

    __str__ = __repr__

    def __index__(self) -> int:
        return 99

    __int__ = __index__


class OddFloat(float):
    def __repr__(self) -> str:
        return "odd"

    def __float__(self) -> float:
        return math.nan


class OddText(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "odd"


class OddList(list[Any]):
    def __iter__(self) -> Any:
        return iter(["odd"])


class OddDict(dict[Any, Any]):
    def items(self) -> Any:
        return [("odd", "odd")]


#: Types whose written values are not checked, with the bounds that JSON Schema has.
SURE = st.recursive(
    st.sampled_from(
        [
            int, float, bool, str, type(None), Literal["a"], Literal[1], Literal["a", True, None],
            Annotated[int, Field(ge=1)], Annotated[int, Field(lt=2)],
            Annotated[int, Field(multiple_of=2)], Annotated[float, Field(gt=0, le=2)],
            Annotated[str, Field(min_length=2)], Annotated[str, Field(max_length=1)],
            pydantic.StrictInt, pydantic.StrictBool, pydantic.StrictStr, pydantic.FiniteFloat,
        ]
    ),
    lambda inner: st.one_of(
        inner.map(lambda each: list[each]),
        inner.map(lambda each: dict[str, each]),
        inner.map(lambda each: Annotated[list[each], Field(max_length=1)]),
        inner.map(lambda each: each | None),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
    ),
    max_leaves=3,
)  # fmt: skip
ODD = st.recursive(
    st.sampled_from([5000]).map(lambda digits: 10**digits)  # which has no repr
    | st.sampled_from(
        [
            UNSET, *Letter, *Half, *Number, *Size, *Flags, Flags.A | Flags.B, OddInteger(5),
            OddFloat(5), OddText("s"), OddList([1]), OddList(["a"]), OddDict({"a": 1}), True, 0, 1,
            2, 1.0, 1.5, -0.0, 2**63, 10**30, 1e308, math.nan, math.inf,
            "1", "a", "true", "NaN", "\ud800", b"a", b"\xff", Decimal(1), Decimal("NaN"),
            Decimal("1e400"), datetime.date(2020, 1, 1), datetime.timedelta(1), uuid.UUID(int=1),
            datetime.datetime(2020, 1, 1), None, (1, 2), {1, 2}, range(2),
        ]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["a", Size.S, Letter.A, OddText("k"), 1, b"a"]), inner, max_size=2
        ),
    ),
    max_leaves=3,
)  # fmt: skip


@given(SURE, ODD)
def test_odd_values_fit_the_types_that_are_not_checked(hint: Any, value: Any) -> None:
    function = returning(hint)
    if function.output_schema is None:
        return
    try:
        result = function.result(value)
    except (TypeError, ValueError):
        return
    wire = json.loads(bytes(result.structured_content), parse_constant=pytest.fail)
    assert jsonschema_rs.validator_for(function.output_schema).is_valid(wire)


@pytest.mark.parametrize("value", [Letter.A, Half.HALF, UNSET])
@pytest.mark.parametrize("hint", [int, int | None, list[int], dict[str, int]])
def test_what_pydantic_takes_for_an_integer_and_is_none(hint: Any, value: Any) -> None:
    wrapped = {list[int]: [value], dict[str, int]: {"a": value}}.get(hint, value)
    with pytest.raises(ValueError, match="int"):
        returning(hint).result(wrapped)
    assert leaves(returning(int), Half.ONE) == 1


@pytest.mark.parametrize("hint", [int, Any, dict[str, Any], dict[str, int], Decimal | int])
@pytest.mark.parametrize("sign", [1, -1])
def test_numbers_that_nobody_reads_do_not_leave(hint: Any, sign: int) -> None:
    value = sign * 10**4300
    with pytest.raises(ValueError, match="digits"):
        returning(hint).result(value if hint in (int, Decimal | int) else {"a": value})
    whole = CallToolResult((), structured_content={"a": value})
    with pytest.raises(ValueError, match=r"digits|range"):
        returning(dict[str, Any]).result(whole)


def test_many_digits_that_are_read() -> None:
    assert leaves(returning(int), 10**4299) == 10**4299
    assert leaves(returning(dict[str, str]), {"a": "1" * 5000}) == {"a": "1" * 5000}
    assert leaves(returning(list[float]), [1.5] * 5000) == [1.5] * 5000


# -- the kinds, one by one --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (float, math.nan),
        (float, math.inf),
        (list[float], [1.0, -math.inf]),
        (dict[str, Any], {"x": math.nan}),
        (dict[str, Any], {"x": [Point(1, math.nan)]}),
        (Point, Point(1, math.nan)),
        (Point, Point("7")),  # type: ignore[arg-type]
        (list[Point], [Point(None)]),  # type: ignore[arg-type]
        (Model, mutated()),
        (Model, Model.model_construct(number=-1)),
        (Model, Model.model_construct()),
        (Model, Model(number=1, inner=Point("x"))),  # type: ignore[arg-type]
        (Defined, Defined("x", [])),  # type: ignore[arg-type]
        (Annotated[int, Field(json_schema_extra={"maximum": 5})], 6),
        (Any, {"x": math.nan}),
        (Any, [math.inf]),
        (Any, math.nan),
    ],
    ids=repr,
)
def test_what_does_not_fit_is_the_handlers_failure(hint: Any, value: Any) -> None:
    function = returning(hint)
    with pytest.raises((TypeError, ValueError)):
        function.result(value)


def test_aliases_and_computed_fields_are_right_both_ways() -> None:
    function = returning(Aliased)
    expected = {"out": 3, "twice": 6}
    assert leaves(function, Aliased(first=3)) == expected
    assert leaves(function, {"in": 3}) == expected
    good = CallToolResult((), structured_content=expected)
    assert function.result(good) is good
    for bad in ({"in": 3}, {"first": 3}, {"out": 3}, {"out": "3", "twice": 6}):
        with pytest.raises(ValueError, match="structured content does not match its output schema"):
            function.result(CallToolResult((), structured_content=bad))


def test_whole_results_of_plain_types_are_checked_too() -> None:
    function = returning(list[int])
    good = CallToolResult((), structured_content=[1])
    assert function.result(good) is good
    for bad in (["x"], {"a": 1}, None, [1.5], [math.nan]):
        with pytest.raises(ValueError, match=r"structured content|JSON"):
            function.result(CallToolResult((), structured_content=bad))


def test_a_whole_result_may_hold_no_nan() -> None:
    function = returning(dict[str, Any])
    with pytest.raises(ValueError, match="JSON"):
        function.result(CallToolResult((), structured_content={"x": math.nan}))


def test_null_that_was_meant_stays() -> None:
    assert leaves(returning(dict[str, float | None]), {"a": None, "b": 1.0}) == {"a": None, "b": 1}
    assert leaves(returning(Model), Model(number=1))["inner"] is None


def test_a_schema_that_cannot_be_checked_is_refused() -> None:
    class Odd(BaseModel):
        a: Annotated[str, Field(json_schema_extra={"pattern": "("})]

    with pytest.raises(RegistrationError, match="cannot be checked"):
        returning(Odd)


# -- content ----------------------------------------------------------------------------------

BYTES = bytes(range(250, 256))


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (list[TextContent], [], ()),
        (tuple[TextContent | ImageContent, ...], (), ()),
        (list[TextContent] | None, [], ()),
        (list[TextContent] | None, None, ()),
        (list[TextContent], [TextContent("a")], (TextContent("a"),)),
        (bytes, b"text", (TextContent("text"),)),
        (bytes | None, None, ()),
        (Any, b"text", (TextContent("text"),)),
    ],
    ids=repr,
)
def test_content(hint: Any, value: Any, expected: Any) -> None:
    function = returning(hint)
    assert function.output_schema is None
    assert content(function, value) == expected
    assert function.result(value).structured_content is UNSET


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (str | None, "hello", "hello"),
        (str | int, "hello", "hello"),
        (str | int, 5, "5"),
        (Literal["a", "b"], "a", "a"),
        (Size, Size.S, "small"),
        (Any, Size.S, "small"),
        (str, Size.S, "small"),
    ],
    ids=repr,
)
def test_text_is_plain(hint: Any, value: Any, text: str) -> None:
    (block,) = content(returning(hint), value)
    assert block == TextContent(text)
    assert type(block.text) is str


def test_no_text_is_no_content() -> None:
    """Not the text "null", which could be meant."""
    result = returning(str | None).result(None)
    assert result.content == ()
    assert bytes(result.structured_content) == b"null"
    assert content(returning(int | None), None) == (TextContent("null"),)


@pytest.mark.parametrize("hint", [bytes, Any, bytes | None, bytes | str, bytearray], ids=repr)
def test_bytes_that_are_no_text_become_a_blob(hint: Any) -> None:
    (block,) = content(returning(hint), BYTES)
    assert isinstance(block, EmbeddedResource)
    assert base64.b64decode(block.resource.blob) == BYTES  # type: ignore[union-attr]
    assert block.resource.mime_type == "application/octet-stream"
    assert block.resource.uri.startswith("ni:///sha-256;")


# -- over the wire, in every revision ---------------------------------------------------------


def giving(value: Any, hint: Any) -> Any:
    async def run() -> Any:
        return value

    run.__annotations__["return"] = hint
    return run


def wired() -> Server[Any]:
    server = Server[Any]("results")
    results: dict[str, tuple[Any, Any]] = {
        "text": (str | None, "hello"),
        "choice": (Literal["a", "b"], "a"),
        "aliased": (Aliased, Aliased(first=2)),
        "mixed": (Model | int, 5),
        "modelled": (Model | int, Model(number=1)),
        "numbers": (list[float], [1.0]),
        "mapping": (dict[str, Any], {"a": [None]}),
        "nan": (float, math.nan),
        "hidden": (dict[str, Any], {"a": math.nan}),
        "mutated": (Model, mutated()),
        "dataclass": (Point, Point("7")),  # type: ignore[arg-type]
        "whole": (Any, CallToolResult((), structured_content={"a": math.inf})),
        "blob": (bytes, BYTES),
    }
    for name, (hint, value) in results.items():
        server.tool(name=name)(giving(value, hint))
    return server


@every_revision
async def test_results_on_the_wire_fit_what_is_listed(
    revision: str, autojump_clock: MockClock
) -> None:
    async with talking(wired(), revision) as script:
        tools = (await script.do("tools/list"))["result"]["tools"]
        schemas = {tool["name"]: tool.get("outputSchema") for tool in tools}
        failed = set()
        for name, schema in schemas.items():
            answer = await script.do("tools/call", {"name": name, "arguments": {}})
            result = answer.get("result", {"isError": True})
            if result.get("isError"):
                failed.add(name)
            elif schema is not None:
                validator = jsonschema_rs.validator_for(schema)
                assert validator.is_valid(result["structuredContent"]), name
        # Before 2025-06-18 no structured content leaves, so the one of a whole result is dropped.
        whole = {"whole"} if revision >= "2025-06-18" else set()
        assert failed == {"nan", "hidden", "mutated", "dataclass"} | whole


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
async def test_numbers_that_json_lacks_are_refused_everywhere(
    value: float, autojump_clock: MockClock
) -> None:
    """What is sent by a client too: a caller hears of it at once."""
    server = Server[Any]("numbers")

    @server.tool
    async def take(x: float | None) -> str:
        return str(x)

    async with open_client(server) as client:
        with pytest.raises(ValueError, match="JSON"):
            await client.call_tool("take", {"x": value})
        assert (await client.call_tool("take", {"x": None})).content[0].text == "None"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "hint", [list[bytes], tuple[bytes, ...], list[bytes | str], list[bytes] | None], ids=repr
)
def test_a_list_of_bytes_is_a_block_for_each(hint: Any) -> None:
    function = returning(hint)
    assert function.output_schema is None
    text, blob = function.result([b"text", BYTES]).content
    assert text == TextContent("text")
    assert isinstance(blob, EmbeddedResource)
    assert function.result([]).content == ()


class Plain(BaseModel):
    data: bytes


class Encoded(BaseModel):
    model_config = pydantic.ConfigDict(ser_json_bytes="base64")
    data: bytes


@pytest.mark.parametrize("hint", [dict[str, bytes], Plain, list[Plain], bytes | int], ids=repr)
def test_bytes_that_json_cannot_hold_are_refused(hint: Any) -> None:
    with pytest.raises(RegistrationError, match="ser_json_bytes"):
        returning(hint)


def test_bytes_as_base64() -> None:
    wire = leaves(returning(Encoded), Encoded(data=BYTES))
    assert base64.urlsafe_b64decode(wire["data"]) == BYTES
