"""What a server's JSON Schema says about a value, as far as users need it.

That is types, choices, references and defaults. Reading any schema raises nothing and takes a
bounded number of steps for each value. Parts that are not understood allow any value, since the
server checks it again.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from json import JSONEncoder
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Schema", "brief", "choices", "describe", "kind_of", "kinds", "properties", "resolve"]

Schema: TypeAlias = Mapping[str, Any]

#: How many schemas are read for one value, including those behind references.
_STEPS: Final = 50

#: Longer references are not followed, and longer lists of choices are not used.
_LONGEST_REFERENCE: Final = 500
_MOST_CHOICES: Final = 200

#: How many choices are shown, and how many characters of each.
_NAMED: Final = 20
_BRIEF: Final = 60

_ANYTHING: Final[Schema] = {}

_KINDS: Final = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def kind_of(value: Any) -> str:
    """The name of a value's JSON type."""
    return _KINDS[type(value)]


def properties(schema: Any) -> Iterator[tuple[str, Any, bool]]:
    """The name of each property that an object has, its schema, and whether it is required."""
    if not isinstance(schema, Mapping):
        return
    named, required = schema.get("properties"), schema.get("required")
    if isinstance(named, Mapping):
        needed = {each for each in _listed(required) if isinstance(each, str)}
        for name, each in named.items():
            yield name, each, name in needed


def resolve(schema: Any, root: Schema) -> Schema:
    """The target of a reference, with the other keywords beside the reference.

    If there is no target, a schema that allows any value.
    """
    try:
        return _Walk(root).resolve(schema)
    except _TooMuch:
        return _ANYTHING


def kinds(schema: Any, root: Schema) -> set[str]:
    """The names of the JSON types that a schema allows; empty if it does not restrict them."""
    try:
        found = [_own_kinds(each) for each in _Walk(root).alternatives(schema)]
    except _TooMuch:
        return set()
    return {kind for each in found for kind in each} if all(found) else set()


def choices(schema: Any, root: Schema) -> list[tuple[Any, str]]:
    """The allowed values, each with its title; empty if the schema does not restrict them."""
    try:
        alternatives = _Walk(root).alternatives(schema)
    except _TooMuch:
        return []
    if not all(0 < len(_own_choices(each)) <= _MOST_CHOICES for each in alternatives):
        return []
    return [
        (value, str(each.get("title", "")) if "const" in each else "")
        for each in alternatives
        for value in _own_choices(each)
    ]


def describe(schema: Any, root: Schema) -> str:
    """A few words for people: `integer`, `array of string`, `red | green`, `string or null`."""
    try:
        return _Walk(root).describe(schema)
    except _TooMuch:
        return "any value"


def brief(value: Any, most: int = _BRIEF) -> str:
    """A value as JSON, shortened if it is long, without encoding the part that is not shown."""
    text = ""
    for piece in JSONEncoder(ensure_ascii=False).iterencode(value):
        text += piece
        if len(text) > most:
            return f"{text[: most - 1]}…"
    return text


class _TooMuch(Exception):
    """Raised when describing a value's schema would take too many steps."""


@attrs.define
class _Walk:
    """Reads one value's schema, in a bounded number of steps.

    Attributes:
        root: The whole schema, for references.
        left: How many more steps are allowed.
    """

    root: Schema
    left: int = _STEPS

    def resolve(self, schema: Any) -> Schema:
        beside: list[Schema] = []
        while True:
            self._step()
            if not isinstance(schema, Mapping):
                schema = _ANYTHING
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return ChainMap(*beside, schema) if beside else schema  # type: ignore[arg-type]
            beside.append(schema)
            schema = self._follow(reference)

    def _step(self) -> None:
        if self.left == 0:
            raise _TooMuch
        self.left -= 1

    def _follow(self, reference: str) -> Any:
        if len(reference) > _LONGEST_REFERENCE:
            return _ANYTHING
        place: Any = self.root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            elif isinstance(place, Mapping):
                place = place.get(name)
            else:
                return _ANYTHING
        return place

    def alternatives(self, schema: Any) -> list[Schema]:
        """The schema itself, or its alternatives (`anyOf` and the like)."""
        found: list[Schema] = []
        waiting = [schema]
        while waiting:
            each = self.resolve(waiting.pop())
            inner = _combined(each)
            if len(inner) > self.left:
                raise _TooMuch
            waiting += reversed(inner)
            if not inner:
                found.append(each)
        return found

    def describe(self, schema: Any) -> str:
        words = [self._describe_one(each) for each in self.alternatives(schema)]
        return " or ".join(dict.fromkeys(words))

    def _describe_one(self, schema: Schema) -> str:
        if allowed := _own_choices(schema):
            more = " | …" if len(allowed) > _NAMED else ""
            return " | ".join(map(_name, allowed[:_NAMED])) + more
        named = _own_kinds(schema)
        if named == ["array"] and schema.get("items"):
            return f"array of {self.describe(schema['items'])}"
        return " or ".join(named) or "any value"


def _combined(schema: Schema) -> list[Any]:
    for word in ("anyOf", "oneOf", "allOf"):
        if inner := _listed(schema.get(word)):
            return inner
    return []


def _own_kinds(schema: Schema) -> list[str]:
    named = schema.get("type")
    if isinstance(named, str):
        named = [named]
    if kinds := [each for each in _listed(named)[:_NAMED] if isinstance(each, str) and each]:
        return kinds
    allowed = _own_choices(schema)
    return [] if len(allowed) > _MOST_CHOICES else [kind_of(value) for value in allowed]


def _own_choices(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else _listed(schema.get("enum"))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _name(value: Any) -> str:
    """A choice in the form in which it is typed."""
    return brief(value) if not isinstance(value, str) else value[:_BRIEF]
