"""Values that people type, read as a JSON Schema says.

Both the arguments of a tool and the fields of a form are read here. Only what helps to read and to
explain is understood of the schema: types, choices, references and bounds. The server checks the
rest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["choices", "describe", "kinds", "read_json", "read_value", "resolve"]

#: References to references end somewhere, unless somebody is playing.
_DEPTH: Final = 20

_WORDS: Final = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}

_NAMES: Final = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def read_value(text: str, schema: Any, root: Mapping[str, Any]) -> Any:
    """What somebody typed, as the schema wants it.

    A string is taken as it is; anything else is JSON, with `yes` and `no` for booleans. Where
    both are allowed, JSON wins. A schema that allows anything takes JSON, or else the text.

    Args:
        text: As typed.
        schema: The value's schema.
        root: The whole schema, for references.

    Raises:
        ValueError: It is not what the schema wants; the text says what that is.
    """
    value = _typed(text, kinds(schema, root))
    if value is _UNREADABLE:
        raise ValueError(f"{text!r} is not {_article(describe(schema, root))}")
    allowed = choices(schema, root)
    if allowed and all(value != each for each, _ in allowed):
        raise ValueError(f"{text!r} is not one of {', '.join(str(each) for each, _ in allowed)}")
    _check_bounds(value, resolve(schema, root))
    return value


_UNREADABLE: Final = object()


def _typed(text: str, wanted: set[str]) -> Any:
    if wanted == {"string"}:
        return text
    try:
        value = read_json(text)
    except ValueError:
        return _word(text, wanted)
    kind = _NAMES[type(value)]
    if not wanted or kind in wanted or (kind == "integer" and "number" in wanted):
        return value
    return _word(text, wanted)


def _word(text: str, wanted: set[str]) -> Any:
    """A text that is no JSON of a wanted type."""
    if "boolean" in wanted and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return text if not wanted or "string" in wanted else _UNREADABLE


def read_json(text: str) -> Any:
    """JSON, and nothing that Python adds to it. Raises ValueError."""
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_bounds(value: Any, schema: Mapping[str, Any]) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and value < low:
        raise ValueError(f"{value} is less than {low}")
    if high is not None and value > high:
        raise ValueError(f"{value} is more than {high}")


# -- what a schema says -----------------------------------------------------------------------


def resolve(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference leads to; one without limits if it leads nowhere."""
    for _ in range(_DEPTH):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = _follow(reference, root)
    return {}


def _follow(reference: str, root: Mapping[str, Any]) -> Any:
    place: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        place = place.get(step.replace("~1", "/").replace("~0", "~"), {})
        if not isinstance(place, dict):
            return {}
    return place


def kinds(schema: Any, root: Mapping[str, Any]) -> set[str]:
    """The names of the JSON types that a schema allows; none if it does not say."""
    return {kind for each in _alternatives(schema, root) for kind in _own_kinds(each)}


def _own_kinds(schema: Mapping[str, Any]) -> list[str]:
    named = schema.get("type")
    if isinstance(named, str):
        return [named]
    if isinstance(named, list):
        return named
    return [_NAMES[type(value)] for value in _own_choices(schema)]


def choices(schema: Any, root: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """The only values allowed, each with its title; none if there are no such limits."""
    alternatives = list(_alternatives(schema, root))
    if not all(_own_choices(each) for each in alternatives):
        return []
    return [
        (value, str(each.get("title", "")) if "const" in each else "")
        for each in alternatives
        for value in _own_choices(each)
    ]


def _own_choices(schema: Mapping[str, Any]) -> list[Any]:
    if "const" in schema:
        return [schema["const"]]
    listed = schema.get("enum")
    return listed if isinstance(listed, list) else []


def _alternatives(
    schema: Any, root: Mapping[str, Any], depth: int = 0
) -> Iterator[Mapping[str, Any]]:
    """The schema itself, or what it says the value is one of."""
    schema = resolve(schema, root)
    for word in ("anyOf", "oneOf", "allOf"):
        inner = schema.get(word)
        if isinstance(inner, list) and depth < _DEPTH:
            for each in inner:
                yield from _alternatives(each, root, depth + 1)
            return
    yield schema


def describe(schema: Any, root: Mapping[str, Any]) -> str:
    """A few words for people: `integer`, `array of string`, `red | green`, `string or null`."""
    words = [_describe_one(each, root) for each in _alternatives(schema, root)]
    return " or ".join(dict.fromkeys(words))


def _describe_one(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if allowed := _own_choices(schema):
        return " | ".join(map(str, allowed))
    named = _own_kinds(schema)
    if named == ["array"] and schema.get("items"):
        return f"array of {describe(schema['items'], root)}"
    return " or ".join(named) or "any value"


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeio" else f"a {words}"
