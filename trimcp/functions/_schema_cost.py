"""How much work it may be to check a value against a JSON Schema, estimated before the check.

Schemas combine others (`allOf`, `$ref`, …), so a small schema can need an endless time: 32
definitions of which each refers twice to the next mean two to the power of 32 steps. The library
that checks cannot be interrupted, and no other thread runs meanwhile. So the work is bounded before
it starts:

* `estimate` computes, from the schema alone, a bound of how many schemas are applied to one place
  in a value. If this bound is low for the value's size, the value is simply checked.
* Otherwise the schema is `metered`: every schema in it first calls a `Meter`, which fails after too
  many calls.

Specification: 2026-07-28, Overview, JSON Schema Usage (bounds of composition).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["STEP", "Estimate", "Meter", "estimate", "metered"]

#: Keywords whose schemas apply to the same place in the value, by the form of their values.
_HERE: Final = frozenset({"not", "if", "then", "else", "allOf", "anyOf", "oneOf"})
_HERE_BY_NAME: Final = frozenset({"dependentSchemas", "dependencies"})

#: Keywords whose schemas apply to parts of the value: at most one, or each, to a part.
_ONE_BELOW: Final = frozenset({"items", "prefixItems", "additionalItems", "additionalProperties"})
_ONE_BELOW_BY_NAME: Final = frozenset({"properties"})
_EACH_BELOW: Final = frozenset(
    {"contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
)
_EACH_BELOW_BY_NAME: Final = frozenset({"patternProperties"})

#: Keywords that depend on what all other keywords of the schema have evaluated.
_UNFOLDING: Final = frozenset({"unevaluatedItems", "unevaluatedProperties"})

#: Keywords that hold schemas by names; the object of names is not a schema itself.
_BY_NAME: Final = (
    _HERE_BY_NAME | _ONE_BELOW_BY_NAME | _EACH_BELOW_BY_NAME | {"$defs", "definitions"}
)

#: Keywords that hold values, not schemas.
_VALUES: Final = frozenset({"const", "enum", "default", "examples", "required"})

#: Parts of a regular expression (look-around, back-references, possessive quantifiers) for which
#: the library uses backtracking.
_NOT_IN_ONE_PASS: Final = re.compile(r"\\[1-9k]|\(\?(<?[=!]|>)|[*+?}]\+")

#: References whose target cannot be found in the text of the schema alone.
_UNFORESEEABLE: Final = frozenset({"$dynamicRef", "$recursiveRef"})

#: Work that counts as endless.
_ENDLESS: Final = 10.0**9

#: The maximum number of steps of the estimate itself.
_MOST_STEPS: Final = 500_000

#: The deepest level in a value that is considered.
_DEEPEST: Final = 256

#: How many characters or items of a value are processed in the time of one schema.
_PARTS_AT_ONCE: Final = 64

#: The keyword that calls the meter.
STEP: Final = "x-trimcp-step"


@attrs.define
class _Node:
    """One schema.

    Attributes:
        own: Work of its own keywords.
        unfolds: Whether a keyword in it makes the library evaluate again all that it combines.
        here: Schemas that apply to the same place.
        one_below: Schemas of which at most one applies to a part.
        each_below: Schemas that may all apply to a part.
    """

    own: float
    unfolds: bool = False
    here: list[int] = attrs.field(factory=list)
    one_below: list[int] = attrs.field(factory=list)
    each_below: list[int] = attrs.field(factory=list)


class _Unforeseeable(Exception):
    """The estimate would need more than the text of the schema."""


@attrs.frozen
class Estimate:
    """The work that a schema may need; `inf` if the schema alone does not tell.

    Attributes:
        anywhere: The most schemas that are applied to any one place in a value.
        together: The most schemas that one schema applies to the place to which it is applied
            itself.
    """

    anywhere: float
    together: float


def estimate(schema: Mapping[str, Any]) -> Estimate:
    """Estimate the work of a schema, in bounded time."""
    together = math.inf
    try:
        nodes = _graph(schema)
        order = _innermost_first(nodes)
        work = _work_here(nodes, order)
        together = max(work)
        return Estimate(_most_work(nodes, order, work), together)
    except _Unforeseeable:
        return Estimate(math.inf, together)


def _graph(root: Mapping[str, Any]) -> list[_Node]:
    """All schemas that can be reached, the root first."""
    numbers = {id(root): 0}
    found: list[Any] = [root]
    nodes: list[_Node] = []

    def number(schema: Any) -> int:
        if id(schema) not in numbers:
            numbers[id(schema)] = len(found)
            found.append(schema)
        return numbers[id(schema)]

    while len(nodes) < len(found):
        schema = found[len(nodes)]
        node = _Node(_own_work(schema))
        nodes.append(node)
        if not isinstance(schema, dict):
            continue
        if _UNFORESEEABLE & schema.keys() or ("$id" in schema and schema is not root):
            raise _Unforeseeable
        node.unfolds = bool(_UNFOLDING & schema.keys())
        for keyword, value in schema.items():
            if keyword == "$ref":
                node.here.append(number(_target(root, value)))
            elif keyword in _HERE or keyword in _HERE_BY_NAME:
                node.here += map(number, _schemas(keyword, value))
            elif keyword in _ONE_BELOW or keyword in _ONE_BELOW_BY_NAME:
                node.one_below += map(number, _schemas(keyword, value))
            elif keyword in _EACH_BELOW or keyword in _EACH_BELOW_BY_NAME:
                node.each_below += map(number, _schemas(keyword, value))
    return nodes


def _schemas(keyword: str, value: Any) -> Iterator[Any]:
    """The schemas that a keyword holds."""
    if keyword in _BY_NAME:
        if isinstance(value, dict):
            yield from value.values()
    elif isinstance(value, list):
        yield from value
    else:
        yield value


def _target(root: Mapping[str, Any], reference: Any) -> Any:
    """The target of a reference within the schema, found by its JSON pointer."""
    if not isinstance(reference, str) or not reference.startswith("#") or "%" in reference:
        raise _Unforeseeable
    place: Any = root
    first, *steps = reference[1:].split("/")
    if first:
        raise _Unforeseeable  # an anchor, which may be anywhere
    for step in steps:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
            place = place[int(key)]
        elif isinstance(place, dict) and key in place:
            place = place[key]
        else:
            raise _Unforeseeable
    return place


def _own_work(schema: Any) -> float:
    if not isinstance(schema, dict):
        return 1.0
    work = 1.0
    for keyword in ("enum", "patternProperties"):
        held = schema.get(keyword)
        if isinstance(held, list | dict):
            work += len(held) / 16 if keyword == "enum" else 8 * len(held)
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        work += 50 if _NOT_IN_ONE_PASS.search(pattern) else 2
    return work


def _innermost_first(nodes: list[_Node]) -> list[int]:
    """The schemas in an order in which each comes after those that it applies to the same place."""
    waiting = [len(node.here) for node in nodes]
    users: list[list[int]] = [[] for _ in nodes]
    for user, node in enumerate(nodes):
        for used in node.here:
            users[used].append(user)
    order = [number for number, count in enumerate(waiting) if not count]
    for number in order:  # grows meanwhile
        for user in users[number]:
            waiting[user] -= 1
            if not waiting[user]:
                order.append(user)
    if len(order) < len(nodes):
        raise _Unforeseeable  # a cycle at one place
    return order


def _work_here(nodes: list[_Node], order: list[int]) -> list[float]:
    """The work of each schema at the place to which it is applied."""
    work = [0.0] * len(nodes)
    for number in order:
        node = nodes[number]
        once = node.own + sum(work[each] for each in node.here)
        work[number] = min(_ENDLESS, once * (1 + once) if node.unfolds else once)
    return work


def _most_work(nodes: list[_Node], order: list[int], work: list[float]) -> float:
    """The most work at any one place, at any depth of the value."""
    steps = len(nodes) + sum(
        len(node.here) + len(node.one_below) + len(node.each_below) for node in nodes
    )
    most = work[0]
    times = [1 + here if node.unfolds else 1.0 for node, here in zip(nodes, work, strict=True)]
    for depth in range(1, _DEEPEST):
        if steps * depth > _MOST_STEPS:
            raise _Unforeseeable
        above, work = work, [0.0] * len(nodes)
        for number in order:
            node = nodes[number]
            below = max((above[each] for each in node.one_below), default=0.0)
            below += sum(above[each] for each in node.each_below)
            once = below + sum(work[each] for each in node.here)
            work[number] = min(_ENDLESS, once * times[number])
        most = max(most, work[0])
        if work == above or most >= _ENDLESS or not any(work):
            break
    return math.inf if most >= _ENDLESS else most


class Meter:
    """Counts the work of one check.

    Attributes:
        left: How much more work is allowed.
    """

    def __init__(self) -> None:
        self.left = 0.0

    @property
    def keyword(self) -> type:
        """The keyword's implementation, in the form that jsonschema-rs requires."""
        meter = self

        class Step:
            def __init__(self, parent: object, work: float, path: object) -> None:
                self._work = work

            def validate(self, value: Any) -> None:
                size = len(value) if isinstance(value, str | list | dict) else 0
                meter.left -= self._work * (1 + size / _PARTS_AT_ONCE)
                if meter.left < 0:
                    raise ValueError("too much work")

        return Step


def metered(schema: Any) -> Any:
    """An equivalent schema in which every schema first calls the meter.

    The call is in `allOf`, which the library evaluates before other keywords that combine schemas.
    """
    if isinstance(schema, list):
        return [metered(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {keyword: _metered_in(keyword, value) for keyword, value in schema.items()}
    changed["allOf"] = [*changed.get("allOf", ()), {STEP: _own_work(schema)}]
    return changed


def _metered_in(keyword: str, value: Any) -> Any:
    if keyword in _VALUES:
        return value
    if keyword in _BY_NAME and isinstance(value, dict):
        return {name: metered(each) for name, each in value.items()}
    return metered(value)
