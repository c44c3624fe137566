"""Values that people type, by schema."""

from __future__ import annotations

from typing import Any

import pytest

from trimcp.cli._values import describe, read_value

ROOT: dict[str, Any] = {
    "$defs": {
        "Point": {"type": "object", "properties": {"x": {"type": "integer"}}},
        "Loop": {"$ref": "#/$defs/Loop"},
        "Color": {"enum": ["red", "blue"], "type": "string"},
        "a/b": {"type": "integer"},
    }
}
OPTIONAL_STRING = {"anyOf": [{"type": "string"}, {"type": "null"}]}
MIXED = {"anyOf": [{"type": "integer"}, {"type": "string"}]}


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "12", 12),
        ({"type": "integer"}, "-3", -3),
        ({"type": "number"}, "2", 2),
        ({"type": "number"}, "2.5e3", 2500.0),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "False", False),
        ({"type": "boolean"}, "yes", True),
        ({"type": "boolean"}, "n", False),
        ({"type": "string"}, "12", "12"),
        ({"type": "string"}, '"quoted"', '"quoted"'),
        ({"type": "string"}, "", ""),
        ({"type": "string"}, "null", "null"),
        ({"type": "array"}, "[1, 2]", [1, 2]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"type": "null"}, "null", None),
        ({"type": ["integer", "null"]}, "null", None),
        (OPTIONAL_STRING, "null", None),
        (OPTIONAL_STRING, "nobody", "nobody"),
        (OPTIONAL_STRING, "12", "12"),
        (MIXED, "12", 12),
        (MIXED, "twelve", "twelve"),
        ({}, "12", 12),
        ({}, "twelve", "twelve"),
        (True, "[]", []),
        (None, "text", "text"),
        ({"$ref": "#/$defs/Point"}, '{"x": 1}', {"x": 1}),
        ({"$ref": "#/$defs/a~1b"}, "1", 1),
        ({"$ref": "#/$defs/Loop"}, "1", 1),
        ({"$ref": "#/$defs/Nowhere"}, "word", "word"),
        ({"$ref": "#/$defs/Color"}, "red", "red"),
        ({"enum": [1, 2]}, "2", 2),
        ({"const": "a"}, "a", "a"),
        ({"enum": ["a", None]}, "null", None),
        ({"enum": [[1], [2]]}, "[2]", [2]),
        ({"oneOf": [{"const": "r", "title": "Red"}, {"const": "b"}]}, "b", "b"),
        ({"type": "integer", "minimum": 1, "maximum": 3}, "3", 3),
    ],
)
def test_what_is_typed_becomes_what_the_schema_wants(schema: Any, text: str, value: Any) -> None:
    found = read_value(text, schema, ROOT)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("schema", "text", "complaint"),
    [
        ({"type": "integer"}, "x", "'x' is not an integer"),
        ({"type": "integer"}, "2.5", "'2.5' is not an integer"),
        ({"type": "integer"}, "true", "'true' is not an integer"),
        ({"type": "integer"}, "1_000", "'1_000' is not an integer"),
        ({"type": "integer"}, "", "'' is not an integer"),
        ({"type": "number"}, "NaN", "'NaN' is not a number"),
        ({"type": "number"}, "-Infinity", "'-Infinity' is not a number"),
        ({"type": "boolean"}, "1", "'1' is not a boolean"),
        ({"type": "array"}, "1, 2", "'1, 2' is not an array"),
        ({"type": "array", "items": {"type": "integer"}}, "x", "'x' is not an array of integer"),
        ({"type": "object"}, "[]", "'[]' is not an object"),
        ({"type": ["integer", "null"]}, "x", "'x' is not an integer or null"),
        ({"$ref": "#/$defs/Color"}, "green", "'green' is not one of red, blue"),
        ({"enum": [1, 2]}, "3", "'3' is not one of 1, 2"),
        ({"type": "integer", "minimum": 1}, "0", "0 is less than 1"),
        ({"type": "number", "maximum": 1}, "1.5", "1.5 is more than 1"),
    ],
)
def test_what_does_not_fit_is_explained(schema: Any, text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is compared below
        read_value(text, schema, ROOT)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["integer", "null"]}, "integer or null"),
        (OPTIONAL_STRING, "string or null"),
        ({"type": "array", "items": {"type": "string"}}, "array of string"),
        ({"type": "array", "items": {"$ref": "#/$defs/Point"}}, "array of object"),
        ({"$ref": "#/$defs/Color"}, "red | blue"),
        ({}, "any value"),
        ({"enum": ["", "a"]}, '"" | a'),
        ({"anyOf": [{"type": "object"}, {"$ref": "#/$defs/Point"}]}, "object"),
    ],
)
def test_schemas_are_described_in_few_words(schema: Any, words: str) -> None:
    assert describe(schema, ROOT) == words
