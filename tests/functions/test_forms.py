"""Forms: each type becomes what the specification has, or is refused when it is compiled."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import jsonschema_rs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from trimcp import RegistrationError
from trimcp.functions import BadArguments, compile_form, flaw_of_form, has_choice_lists

SCHEMAS = Path(__file__).parent.parent / "schemas"


def validator(date: str) -> jsonschema_rs.Validator:
    """Judges requested schemas by the published schema of a revision."""
    schema = json.loads((SCHEMAS / f"{date}.json").read_text())
    if date == "2025-06-18":
        params = schema["definitions"]["ElicitRequest"]["properties"]["params"]
    else:
        params = schema["$defs"]["ElicitRequestFormParams"]
    return jsonschema_rs.validator_for(
        {**params["properties"]["requestedSchema"], **{
            key: schema[key] for key in ("$defs", "definitions", "$schema") if key in schema
        }}
    )  # fmt: skip


VALIDATORS = {date: validator(date) for date in ("2025-06-18", "2025-11-25", "2026-07-28")}


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.StrEnum):
    S = "small"


class Number(enum.IntEnum):
    ONE = 1


def asking(hint: Any, default: Any = ...) -> Any:
    return pydantic.create_model("Asked", x=(hint, default))


def strictly(hint: Any, default: Any = ...) -> Any:
    return pydantic.create_model(
        "Asked", __config__=pydantic.ConfigDict(strict=True), x=(hint, default)
    )


def shape(hint: Any, default: Any = ...) -> Any:
    form = compile_form(asking(hint, default))
    check(form.schema)
    return form.schema["properties"]["x"]


def check(schema: dict[str, Any]) -> None:
    """In every revision that has it, and by the letter of the specification."""
    for date, each in VALIDATORS.items():
        if date != "2025-06-18" or not has_choice_lists(schema):
            assert each.is_valid(schema), (date, schema)
    for each in schema["properties"].values():
        assert each.get("format", "uri") in ("email", "uri", "date", "date-time")
        assert each["type"] in ("string", "number", "integer", "boolean", "array")
        assert each["type"] == "string" or "enum" not in each
        assert "$ref" not in json.dumps(each)
        assert "default" not in each or each["default"] is not None
    assert flaw_of_form(schema) is None


DAY = datetime.date(2024, 2, 29)
MOMENT = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)

#: A type, the text that a user gives, and what the handler gets.
TEXTS: list[tuple[Any, Any, Any]] = [
    (str, "a", "a"),
    (uuid.UUID, str(uuid.UUID(int=1)), uuid.UUID(int=1)),
    (datetime.time, "12:30:00", datetime.time(12, 30)),
    (datetime.timedelta, "PT5M", datetime.timedelta(minutes=5)),
    (datetime.date, "2024-02-29", DAY),
    (datetime.datetime, "2024-02-29T12:00:00Z", MOMENT),
    (Path, "/tmp/x", Path("/tmp/x")),
    (bytes, "abc", b"abc"),
    (pydantic.AnyUrl, "https://example.com/", pydantic.AnyUrl("https://example.com/")),
    (Colour, "red", Colour.RED),
    (Size, "small", Size.S),
    (Literal["a", "b"], "b", "b"),
    (Literal["a"], "a", "a"),
    (Annotated[str, Field(pattern="^a+$", max_length=3)], "aa", "aa"),
    (int, 5.0, 5),
    (float, 1, 1.0),
    (bool, True, True),
    (list[Literal["a", "b"]], ["a"], ["a"]),
    (list[Colour], ["red"], [Colour.RED]),
    (set[Size], ["small"], {Size.S}),
]


@pytest.mark.parametrize(("hint", "given", "value"), TEXTS, ids=lambda each: str(each)[:40])
@pytest.mark.parametrize("make", [asking, strictly])
def test_each_type_becomes_a_form_and_is_read_back(
    make: Any, hint: Any, given: Any, value: Any
) -> None:
    form = compile_form(make(hint))
    check(form.schema)
    assert form.read({"x": given}).x == value
    with pytest.raises(BadArguments):
        form.read({})


@pytest.mark.parametrize("hint", [each[0] for each in TEXTS], ids=str)
def test_what_may_be_left_out(hint: Any) -> None:
    """`x: str = None` as many write it, and `x: str | None = None`."""
    for optional in (hint, hint | None):
        form = compile_form(asking(optional, None))
        check(form.schema)
        assert "required" not in form.schema
        assert "default" not in form.schema["properties"]["x"]
        assert form.read({}).x is None


@pytest.mark.parametrize(
    ("hint", "default", "shown"),
    [
        (str, "a", "a"),
        (datetime.date, DAY, "2024-02-29"),
        (Colour, Colour.RED, "red"),
        (list[Literal["a", "b"]], ["a"], ["a"]),
        (int, 5, 5),
        (float, 0.5, 0.5),
        (bool, False, False),
        (str, 5, None),
        (bool, 1, None),
        (int, True, None),
    ],
    ids=repr,
)
def test_defaults_are_of_the_type_or_not_shown(hint: Any, default: Any, shown: Any) -> None:
    assert shape(hint, default).get("default") == shown


@pytest.mark.parametrize(
    "hint",
    [
        pydantic.SecretStr,
        pydantic.SecretBytes,
        Literal[1, 2],
        Literal["a", 1],
        Literal[True],
        Number,
        list[Number],
        list[str],
        list[int],
        list[Literal[1, 2]],
        dict[str, str],
        tuple[str, str],
        str | int,
        str | None,
        Decimal,
        Any,
        None,
        list[list[Literal["a"]]],
    ],
    ids=str,
)
def test_what_no_form_has_is_refused(hint: Any) -> None:
    with pytest.raises(RegistrationError, match="property 'x': "):
        compile_form(asking(hint))


def test_secrets_go_elsewhere() -> None:
    with pytest.raises(RegistrationError, match="elicit_url"):
        compile_form(asking(pydantic.SecretStr, None))


def test_other_kinds_of_classes() -> None:
    @dataclasses.dataclass
    class Data:
        day: datetime.date
        note: str | None = None

    class Typed(TypedDict, total=False):
        day: datetime.date

    @attrs.frozen
    class Defined:
        day: datetime.date

    for cls, value in ((Data, Data(DAY)), (Typed, {"day": DAY}), (Defined, Defined(DAY))):
        form = compile_form(cls)
        check(form.schema)
        assert form.read({"day": "2024-02-29"}) == value


def test_a_model_that_refers_to_itself() -> None:
    class Node(BaseModel):
        name: str
        child: Node | None = None

    with pytest.raises(RegistrationError, match="child"):
        compile_form(Node)


LEAVES = st.sampled_from([
    str, int, float, bool, bytes, uuid.UUID, datetime.date, datetime.time, Path, Decimal, Colour,
    Size, Number, Literal["a", "b"], Literal[1], Literal["a", None], pydantic.SecretStr,
    pydantic.AnyUrl, Annotated[int, Field(ge=0, lt=9)], Annotated[str, Field(min_length=1)],
    Annotated[float, Field(multiple_of=0.5)], pydantic.Json, pydantic.IPvAnyAddress, complex,
    Annotated[str, Field(json_schema_extra={"format": "color"})],
    Annotated[str, Field(description="d", title="t", examples=["e"])],
])  # fmt: skip
HINTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda each: list[each]),  # type: ignore[valid-type]
        inner.map(lambda each: set[each]),  # type: ignore[valid-type]
        inner.map(lambda each: each | None),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
    ),
    max_leaves=3,
)
GIVEN = st.sampled_from([..., None, "a", 5, 0.5, True, ["a"], Colour.RED, DAY, float("nan")])


@given(HINTS, GIVEN)
def test_whatever_compiles_is_a_form_of_the_specification(hint: Any, default: Any) -> None:
    try:
        form = compile_form(asking(hint, default))
    except RegistrationError:
        return
    check(form.schema)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": "string"}},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}},
        {"type": "object", "properties": {"a": {"type": "string", "format": "uuid"}}},
        {"type": "object", "properties": {"a": {"type": "string", "default": None}}},
        {"type": "object", "properties": {"a": {"type": "integer", "enum": [1]}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
    ],
    ids=str,
)
def test_what_is_written_by_hand_is_checked_too(schema: dict[str, Any]) -> None:
    assert flaw_of_form(schema) is not None


def test_titled_choices_written_by_hand() -> None:
    titled = [{"const": "a", "title": "A"}]
    schema = {
        "type": "object",
        "properties": {
            "one": {"type": "string", "oneOf": titled},
            "many": {"type": "array", "items": {"anyOf": titled}},
            "old": {"type": "string", "enum": ["a"], "enumNames": ["A"]},
        },
    }
    assert flaw_of_form(schema) is None
    check(schema)
