"""What checking a value against a JSON Schema may cost, found out before it is paid.

Schemas combine others (`allOf`, `$ref`, …), so a small one can ask for more work than there is
time: 32 definitions of which each refers twice to the next are two to the power of 32. The
library that checks cannot be stopped, and lets nothing else run meanwhile. So the work is
bounded by construction:

* `work_per_location` bounds, from the schema alone, how many schemas are applied to any one place
  in a value. Where that is little for the value's size, the value is simply checked.
* Elsewhere the schema is `metered`: every schema in it first asks a `Meter`, which says no once
  too many have asked.

Specification: 2026-07-28, Overview, JSON Schema Usage (bounds of composition).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Meter", "metered", "work_per_location"]

#: Keywords whose schemas apply to the same place in the value, by the shape of what they hold.
_HERE: Final = frozenset({"not", "if", "then", "else", "allOf", "anyOf", "oneOf"})
_HERE_BY_NAME: Final = frozenset({"dependentSchemas", "dependencies"})

#: Keywords of whose schemas at most one applies to a part of the value, and others.
_ONE_BELOW: Final = frozenset({"items", "prefixItems", "additionalItems", "additionalProperties"})
_ONE_BELOW_BY_NAME: Final = frozenset({"properties"})
_EACH_BELOW: Final = frozenset(
    {"contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
)
_EACH_BELOW_BY_NAME: Final = frozenset({"patternProperties"})

#: Keywords that hold schemas by names, which are no schema together.
_BY_NAME: Final = (
    _HERE_BY_NAME | _ONE_BELOW_BY_NAME | _EACH_BELOW_BY_NAME | {"$defs", "definitions"}
)

#: Keywords that hold values, not schemas.
_VALUES: Final = frozenset({"const", "enum", "default", "examples", "required"})

#: References whose target depends on more than the text of the schema.
_UNFORESEEABLE: Final = frozenset({"$dynamicRef", "$recursiveRef"})

#: Work that is as good as endless.
_ENDLESS: Final = 10.0**9

#: Steps of the estimate itself.
_MOST_STEPS: Final = 500_000

#: The deepest place in a value that is looked at.
_DEEPEST: Final = 256

#: The keyword that asks the meter.
STEP: Final = "x-trimcp-step"


@attrs.define
class _Node:
    """One schema.

    Attributes:
        own: Work of its own keywords.
        here: Schemas that apply to the same place.
        one_below: Schemas of which at most one applies to a part.
        each_below: Schemas that may all apply to a part.
    """

    own: float
    here: list[int] = attrs.field(factory=list)
    one_below: list[int] = attrs.field(factory=list)
    each_below: list[int] = attrs.field(factory=list)


class _Unforeseeable(Exception):
    """The estimate would need more than the text of the schema."""


def work_per_location(schema: Mapping[str, Any]) -> float:
    """At most so many schemas are applied to any one place in a value; `inf` if unknown."""
    try:
        nodes = _graph(schema)
        order = _innermost_first(nodes)
        return _most_work(nodes, order)
    except _Unforeseeable:
        return math.inf


def _graph(root: Mapping[str, Any]) -> list[_Node]:
    """All schemas that can be reached, the whole one first."""
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
    """What a reference within the schema refers to, by its pointer."""
    if not isinstance(reference, str) or not reference.startswith("#") or "%" in reference:
        raise _Unforeseeable
    place: Any = root
    first, *steps = reference[1:].split("/")
    if first:
        raise _Unforeseeable  # a name, which may stand anywhere
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
        # What looks around or back is not matched in one pass.
        work += 50 if "(?" in pattern or "\\" in pattern.replace("\\\\", "") else 2
    return work


def _innermost_first(nodes: list[_Node]) -> list[int]:
    """The schemas in an order in which those come first that others apply to the same place."""
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
        raise _Unforeseeable  # a circle within one place
    return order


def _most_work(nodes: list[_Node], order: list[int]) -> float:
    """The most work at any one place, at whatever depth below the top of the value."""
    steps = len(nodes) + sum(
        len(node.here) + len(node.one_below) + len(node.each_below) for node in nodes
    )
    work = [0.0] * len(nodes)
    for number in order:
        node = nodes[number]
        work[number] = min(_ENDLESS, node.own + sum(work[each] for each in node.here))
    most = work[0]
    for depth in range(1, _DEEPEST):
        if steps * depth > _MOST_STEPS:
            raise _Unforeseeable
        above, work = work, [0.0] * len(nodes)
        for number in order:
            node = nodes[number]
            below = max((above[each] for each in node.one_below), default=0.0)
            below += sum(above[each] for each in node.each_below)
            work[number] = min(_ENDLESS, below + sum(work[each] for each in node.here))
        most = max(most, work[0])
        if work == above or most >= _ENDLESS or not any(work):
            break
    return math.inf if most >= _ENDLESS else most


class Meter:
    """Counts the schemas that have been applied in one check.

    Attributes:
        left: How many more may be.
    """

    def __init__(self) -> None:
        self.left = 0

    @property
    def keyword(self) -> type:
        """The keyword's implementation, as jsonschema-rs wants it."""
        meter = self

        class Step:
            def __init__(self, *_: object) -> None:
                pass

            def validate(self, _: object) -> None:
                meter.left -= 1
                if meter.left < 0:
                    raise ValueError("too many schemas")

        return Step


def metered(schema: Any) -> Any:
    """A schema that means the same, in which every schema asks the meter before it goes on.

    The question stands in `allOf`, which the library looks at before other ways to combine.
    """
    if isinstance(schema, list):
        return [metered(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {keyword: _metered_in(keyword, value) for keyword, value in schema.items()}
    changed["allOf"] = [*changed.get("allOf", ()), {STEP: True}]
    return changed


def _metered_in(keyword: str, value: Any) -> Any:
    if keyword in _VALUES:
        return value
    if keyword in _BY_NAME and isinstance(value, dict):
        return {name: metered(each) for name, each in value.items()}
    return metered(value)
