"""Which parameters are mirrored, and what makes a tool definition invalid."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import JSON_VALUES, TEXT
from trimcp.protocol.http import (
    HeaderParam,
    InvalidAnnotation,
    InvalidValue,
    argument_headers,
    header_params,
)

STRING = {"type": "string"}


def marked(name: Any, type: Any = "string") -> dict[str, Any]:
    return {"type": type, "x-mcp-header": name}


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_found_in_order_and_in_nested_objects() -> None:
    found = header_params(
        schema(
            region=marked("Region"),
            plain=STRING,
            where=schema(zone=marked("Zone", "integer"), deep=schema(on=marked("on", "boolean"))),
        )
    )
    assert found == (
        HeaderParam("Mcp-Param-Region", ("region",)),
        HeaderParam("Mcp-Param-Zone", ("where", "zone")),
        HeaderParam("Mcp-Param-on", ("where", "deep", "on")),
    )


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "caf\u00e9", "a\tb", "a\r\nb", "\x7f", 5, None, True, ["a"]]
)
def test_names_that_no_header_can_have(name: Any) -> None:
    with pytest.raises(InvalidAnnotation, match="'x'"):
        header_params(schema(x=marked(name)))


@pytest.mark.parametrize("type", ["object", "array", "null", "number", None, ["string", "null"]])
def test_only_primitive_types(type: Any) -> None:
    with pytest.raises(InvalidAnnotation, match="string, integer or boolean"):
        header_params(schema(x=marked("X", type)))


def test_a_header_belongs_to_one_parameter() -> None:
    with pytest.raises(InvalidAnnotation, match="that of 'a' too"):
        header_params(schema(a=marked("Same"), b=marked("Same")))
    with pytest.raises(InvalidAnnotation, match=r"'b\.c'.*that of 'a' too"):
        header_params(schema(a=marked("Same"), b=schema(c=marked("sAME"))))


@pytest.mark.parametrize(
    "rest",
    [
        {"items": marked("X")},
        {"items": [marked("X")]},
        {"prefixItems": [STRING, marked("X")]},
        {"additionalProperties": marked("X")},
        {"patternProperties": {"a": marked("X")}},
        {"anyOf": [{"properties": {"x": marked("X")}}]},
        {"oneOf": [marked("X")]},
        {"allOf": [{"not": marked("X")}]},
        {"if": {"properties": {"x": marked("X")}}},
        {"then": marked("X")},
        {"else": marked("X")},
        {"$defs": {"x": schema(x=marked("X"))}},
        {"definitions": {"x": marked("X")}},
        {"dependentSchemas": {"x": marked("X")}},
        {"contains": marked("X")},
        {"propertyNames": marked("X")},
        {"x-mcp-header": "X"},
    ],
)
def test_only_what_is_reached_by_properties_alone(rest: dict[str, Any]) -> None:
    with pytest.raises(InvalidAnnotation, match="elsewhere"):
        header_params({"type": "object", **rest})
    if "x-mcp-header" not in rest:
        with pytest.raises(InvalidAnnotation, match="elsewhere"):
            header_params(schema(inner={"type": "object", **rest}))


@pytest.mark.parametrize("keyword", ["default", "const", "examples", "enum", "x-other"])
def test_data_is_no_schema(keyword: str) -> None:
    assert header_params(schema(x={**STRING, keyword: [{"x-mcp-header": "X"}]})) == ()
    assert header_params(schema(x={**STRING, keyword: {"x-mcp-header": "X"}})) == ()


def test_a_parameter_may_have_any_name() -> None:
    found = header_params(schema(**{"x-mcp-header": STRING, "properties": marked("P")}))
    assert found == (HeaderParam("Mcp-Param-P", ("properties",)),)


@given(JSON_VALUES)
def test_anything_may_come_as_a_schema(value: Any) -> None:
    try:
        header_params(value)
        header_params({"properties": value, "anyOf": value, "$defs": value, "items": value})
    except InvalidAnnotation:
        pass


# -- the headers of a call --------------------------------------------------------------------

PARAMS = header_params(
    schema(
        region=marked("Region"),
        count=marked("Count", "integer"),
        on=marked("On", "boolean"),
        where=schema(zone=marked("Zone")),
    )
)


def test_headers_of_a_call() -> None:
    assert argument_headers(
        PARAMS, {"region": "Zürich", "count": -7, "on": False, "where": {"zone": ""}, "other": 1}
    ) == {
        "Mcp-Param-Region": "=?base64?WsO8cmljaA==?=",
        "Mcp-Param-Count": "-7",
        "Mcp-Param-On": "false",
        "Mcp-Param-Zone": "",
    }


@pytest.mark.parametrize(
    "arguments", [{}, {"region": None, "where": None}, {"where": "x"}, {"where": {}, "count": []}]
)
def test_no_value_no_header(arguments: dict[str, Any]) -> None:
    assert argument_headers(PARAMS, arguments) == {}


def test_an_argument_that_cannot_be_mirrored_is_named() -> None:
    with pytest.raises(InvalidValue, match=r"argument 'count'.*2\^53"):
        argument_headers(PARAMS, {"count": 2**60})


@given(st.dictionaries(st.sampled_from(["region", "count", "on", "where"]) | TEXT, JSON_VALUES))
def test_any_arguments_give_clean_headers(arguments: dict[str, Any]) -> None:
    try:
        headers = argument_headers(PARAMS, arguments)
    except InvalidValue:
        return
    for value in headers.values():
        assert value.isascii()
        assert value.isprintable() or not value
