"""What a check may cost is known before, or counted."""

from __future__ import annotations

import math
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.functions import InvalidSchema, SchemaChecker
from trimcp.functions import _schemas as schemas
from trimcp.functions._schema_cost import STEP, Meter, estimate, metered

LEVELS = 32


def chained(link: Any, leaf: Any, levels: int = LEVELS) -> dict[str, Any]:
    """Definitions of which each combines references to the next; `link` says how."""
    named = {f"d{n}": link({"$ref": f"#/$defs/d{n + 1}"}) for n in range(levels)}
    return {"$defs": {**named, f"d{levels}": leaf}, "$ref": "#/$defs/d0"}


DOUBLING = {
    "allOf": lambda ref: {"allOf": [ref, ref]},
    "anyOf": lambda ref: {"anyOf": [ref, ref]},
    "oneOf": lambda ref: {"oneOf": [ref, ref]},
    "if": lambda ref: {"if": ref, "then": ref, "else": ref},
    "not": lambda ref: {"not": {"anyOf": [ref, ref]}},
    "mixed": lambda ref: {"allOf": [ref], "anyOf": [ref], "$ref": ref["$ref"]},
    "by name": lambda ref: {"dependentSchemas": {"a": ref}, "allOf": [ref]},
}
VALUES: list[Any] = [1, "x", None, {}, {"a": 1}, [1], [[1], {"a": [{}]}]]


@pytest.mark.parametrize("word", DOUBLING)
def test_schemas_that_double(word: str) -> None:
    """JSON-09: an answer for every value, after a bounded number of steps."""
    refused = 0
    for leaf in ({"type": "integer"}, {"not": {"type": "integer"}}):
        schema = chained(DOUBLING[word], leaf)
        assert estimate(schema).anywhere == math.inf
        checker = SchemaChecker(schema)
        for value in VALUES:
            flaws = checker.flaws(value)
            refused += "cannot be checked" in (flaws or "")
            assert checker._meter.left > -1000, "it goes on for a few steps at most"
    assert refused


@pytest.mark.parametrize("place", ["$defs", "definitions", "elsewhere"])
@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07"])
def test_wherever_the_definitions_stand(place: str, draft: str) -> None:
    """Older drafts ignore what stands beside a reference, and any place may be referred to."""
    named = {f"d{n}": {"anyOf": [{"$ref": f"#/{place}/d{n + 1}"}] * 2} for n in range(LEVELS)}
    schema = {
        "$schema": f"http://json-schema.org/{draft}/schema#",
        place: {**named, f"d{LEVELS}": {"type": "integer"}},
        "allOf": [{"$ref": f"#/{place}/d0"}],
    }
    assert "cannot be checked" in (SchemaChecker(schema).flaws("x") or "")


BELOW = {
    "items": lambda ref: {"items": ref},
    "properties": lambda ref: {"properties": {"a": ref}},
    "additionalProperties": lambda ref: {"additionalProperties": ref},
    "patternProperties": lambda ref: {"patternProperties": {"a": ref}},
    "contains": lambda ref: {"contains": ref},
    "prefixItems": lambda ref: {"prefixItems": [ref]},
}


@pytest.mark.parametrize("combine", ["allOf", "anyOf", "oneOf"])
@pytest.mark.parametrize("below", BELOW)
def test_schemas_that_double_with_the_depth_of_the_value(combine: str, below: str) -> None:
    """A schema that refers to itself from two sides, and a value that is deep."""
    part = BELOW[below]({"$ref": "#/$defs/A"})
    top = {"type": ["array", "object"]}
    schema = {"$defs": {"A": {combine: [part, part | {"minItems": 9}], **top}}, "$ref": "#/$defs/A"}
    value: Any = {"a": 5} if below.endswith("roperties") else [5]
    for _ in range(100):
        value = {"a": value} if below.endswith("roperties") else [value]
    checker = SchemaChecker(schema)
    checker.flaws(value)
    assert checker._meter.left > -1000


def test_many_patterns_for_one_part() -> None:
    patterns = {"a" + "a?" * n: {"$ref": "#"} for n in range(20)}
    value: Any = {"a": 5}
    for _ in range(60):
        value = {"a": value}
    checker = SchemaChecker({"patternProperties": patterns, "type": "object"})
    checker.flaws(value)
    assert checker._meter.left > -1000


@pytest.mark.parametrize("keyword", ["unevaluatedProperties", "unevaluatedItems"])
def test_what_the_library_would_unfold(keyword: str) -> None:
    """It does so when it compiles, so such a schema is refused before."""
    schema = chained(lambda ref: {"anyOf": [ref, ref]}, {"type": "object"}) | {keyword: False}
    with pytest.raises(InvalidSchema, match=keyword):
        SchemaChecker(schema)
    each = chained(lambda ref: {"anyOf": [ref, ref], keyword: False}, {"type": "object"}, 12)
    with pytest.raises(InvalidSchema, match=keyword):
        SchemaChecker(each)


def test_what_combines_a_little_may_be_strict() -> None:
    parts = [{"properties": {f"p{n}": {"type": "string"}}} for n in range(40)]
    checker = SchemaChecker({"allOf": parts, "unevaluatedProperties": False})
    assert checker.flaws({"p0": "x", "p39": "y"}) is None
    assert checker.flaws({"p0": 1}) is not None
    assert checker.flaws({"q": "x"}) is not None


# -- what people write ------------------------------------------------------------------------

TREE = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "children": {"items": {"$ref": "#"}}},
    "required": ["label"],
}
UNION = {
    "$defs": {
        "node": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {
                        "kind": {"const": f"k{n}"},
                        "inside": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                    },
                    "required": ["kind"],
                }
                for n in range(20)
            ]
        }
    },
    "$ref": "#/$defs/node",
}


def document(depth: int) -> dict[str, Any]:
    inside = [document(depth - 1) for _ in range(3)] if depth else []
    return {"kind": f"k{depth}", "inside": inside}


def test_trees_are_checked() -> None:
    checker = SchemaChecker(TREE)
    value: dict[str, Any] = {"label": "leaf"}
    for _ in range(100):
        value = {"label": "x", "children": [value]}
    assert checker.flaws(value) is None
    assert estimate(TREE).anywhere == 2
    assert checker.flaws({"label": "x", "children": [{}]}) == (
        '$.children[0]: "label" is a required property'
    )


def test_unions_that_contain_themselves_are_checked() -> None:
    """How much work that is nobody can foresee; it is little."""
    checker = SchemaChecker(UNION)
    assert estimate(UNION).anywhere == math.inf
    assert checker.flaws(document(4)) is None
    assert checker.flaws(document(3) | {"kind": "other"}) == "$: it does not fit"


def test_large_values_are_checked() -> None:
    row = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"pattern": r"^\d+$"}}}
    checker = SchemaChecker({"type": "array", "items": row})
    assert checker.flaws([{"n": n, "s": str(n)} for n in range(50_000)]) is None


def test_messages_stay_short() -> None:
    """Whatever the value holds, and however much of it is wrong."""
    checker = SchemaChecker({"items": {"type": "integer"}})
    for value in (["x" * 100_000], ["x"] * 100_000, [{"k" * 50_000: 1}]):
        flaws = checker.flaws(value)
        assert flaws is not None
        assert "$[0]" in flaws
        assert len(flaws) < 25_000
    properties = SchemaChecker({"additionalProperties": {"type": "integer"}})
    flaws = properties.flaws({"k" * 100_000: "x"})
    assert flaws is not None
    assert len(flaws) < 3000


def test_several_flaws_are_named() -> None:
    flaws = SchemaChecker({"items": {"type": "integer"}}).flaws(["a"] * 20)
    assert flaws is not None
    assert flaws.splitlines() == [f'$[{n}]: "a" is not of type "integer"' for n in range(10)]


@pytest.mark.parametrize("pattern", [r"^(a+)+$(?!x)", r"^(a|a)*\1$", "(?=.*b)(a*)*c"])
def test_patterns_are_given_up(pattern: str) -> None:
    assert SchemaChecker({"pattern": pattern}).flaws("a" * 5000 + "b") is not None


# -- properties -------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b"])


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "allOf": several,
        "anyOf": several,
        "oneOf": several,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "items": inner,
        "prefixItems": several,
        "contains": inner,
        "properties": st.dictionaries(NAMES, inner, max_size=2),
        "patternProperties": st.dictionaries(st.sampled_from(["a", "^"]), inner, max_size=2),
        "additionalProperties": inner,
        "propertyNames": inner,
        "dependentSchemas": st.dictionaries(NAMES, inner, max_size=2),
        "$ref": st.sampled_from(["#/$defs/x", "#/$defs/y"]),
        "enum": st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True),
        "const": st.just({"allOf": [1]}),
    }
    return st.fixed_dictionaries({}, optional=keywords)


LEAVES = st.sampled_from(
    [True, False, {"type": "integer"}, {"type": ["object", "array"]}, {"minimum": 1}, {}]
)
SCHEMAS = st.recursive(LEAVES, combined, max_leaves=8)
WHOLE = st.builds(
    lambda own, x, y: {**(own if isinstance(own, dict) else {}), "$defs": {"x": x, "y": y}},
    *[SCHEMAS] * 3,
)
INSTANCES = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["a", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=8,
)


def places(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + places(each) for each in value.values())  # names are checked, too
    return 1 + sum(map(places, value)) if isinstance(value, list) else 1


@given(schema=WHOLE, value=INSTANCES)
def test_counting_changes_no_verdict_and_no_more_is_done_than_foreseen(
    schema: dict[str, Any], value: Any
) -> None:
    plain = jsonschema_rs.validator_for(schema)
    meter = Meter()
    counted = jsonschema_rs.validator_for(metered(schema), keywords={STEP: meter.keyword})
    meter.left = 1_000_000.0
    assert counted.is_valid(value) == plain.is_valid(value)
    done = 1_000_000.0 - meter.left
    assert done <= estimate(schema).anywhere * places(value) * (1 + 2 / 64) + 1e-6
    fits = SchemaChecker(schema).flaws(value) is None
    assert fits == plain.is_valid(value)


@given(schema=WHOLE, value=INSTANCES)
def test_a_small_bound_is_kept(schema: dict[str, Any], value: Any) -> None:
    checker = SchemaChecker(schema)
    checker._work = math.inf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schemas, "MAX_STEPS", 5)
        checker.flaws(value)
    assert checker._meter.left > -1000
