"""What checking a value against a JSON Schema may cost, found out before it is paid.

Schemas combine others (`allOf`, `$ref`, …), so a small one can ask for more work than there is
time: 32 definitions of which each refers twice to the next are two to the power of 32. The
library that checks cannot be stopped, and lets nothing else run meanwhile. So the work is
bounded by construction:

* `estimate` bounds, from the schema alone, how many schemas are applied to any one place in a
  value. Where that is little for the value's size, the value is simply checked.
* Elsewhere the schema is `metered`: every schema in it first asks a `Meter`, which says no once
  too many have asked.

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

#: Keywords that need to know what everything else in the schema has looked at.
_UNFOLDING: Final = frozenset({"unevaluatedItems", "unevaluatedProperties"})

#: Keywords that hold schemas by names, which are no schema together.
_BY_NAME: Final = (
    _HERE_BY_NAME | _ONE_BELOW_BY_NAME | _EACH_BELOW_BY_NAME | {"$defs", "definitions"}
)

#: Keywords that hold values, not schemas.
_VALUES: Final = frozenset({"const", "enum", "default", "examples", "required"})

#: Parts of a pattern that look around or back, or never give back, so that it is tried.
_NOT_IN_ONE_PASS: Final = re.compile(r"\\[1-9k]|\(\?(<?[=!]|>)|[*+?}]\+")

#: References whose target depends on more than the text of the schema.
_UNFORESEEABLE: Final = frozenset({"$dynamicRef", "$recursiveRef"})

#: Work that is as good as endless.
_ENDLESS: Final = 10.0**9

#: Steps of the estimate itself.
_MOST_STEPS: Final = 500_000

#: The deepest place in a value that is looked at.
_DEEPEST: Final = 256

#: Characters or items of a value that are looked at as quickly as a schema is applied.
_PARTS_AT_ONCE: Final = 64

#: The keyword that asks the meter.
STEP: Final = "x-trimcp-step"


@attrs.define
class _Node:
    """One schema.

    Attributes:
        own: Work of its own keywords.
        unfolds: Whether the library looks again, for the sake of a keyword in it, at all that it
            combines.
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
    """What a schema may cost; `inf` where the schema alone does not tell.

    Attributes:
        anywhere: At most so many schemas are applied to any one place in a value.
        together: At most so many are applied to one place by another that applies to it.
    """

    anywhere: float
    together: float


def estimate(schema: Mapping[str, Any]) -> Estimate:
    """Find out what a schema may cost, in bounded time."""
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
        work += 50 if _NOT_IN_ONE_PASS.search(pattern) else 2
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


def _work_here(nodes: list[_Node], order: list[int]) -> list[float]:
    """The work of each schema at the place to which it is applied."""
    work = [0.0] * len(nodes)
    for number in order:
        node = nodes[number]
        once = node.own + sum(work[each] for each in node.here)
        work[number] = min(_ENDLESS, once * (1 + once) if node.unfolds else once)
    return work


def _most_work(nodes: list[_Node], order: list[int], work: list[float]) -> float:
    """The most work at any one place, at whatever depth below the top of the value."""
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
        left: How much more may be done.
    """

    def __init__(self) -> None:
        self.left = 0.0

    @property
    def keyword(self) -> type:
        """The keyword's implementation, as jsonschema-rs wants it."""
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
    """A schema that means the same, in which every schema asks the meter before it goes on.

    The question stands in `allOf`, which the library looks at before other ways to combine.
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
