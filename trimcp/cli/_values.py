"""Converting typed values by a JSON Schema.

Both the arguments of a tool and the fields of a form are read here. Only the parts of the schema
that help to read and to explain a value are used. The server checks the rest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ._schemas import brief, choices, describe, kind_of, kinds, resolve

if TYPE_CHECKING:
    from ._schemas import Schema

__all__ = ["read_json", "read_value"]

_WORDS: Final = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}


def read_value(text: str, schema: Any, root: Schema) -> Any:
    """Convert typed text to the type of the schema.

    A string is taken unchanged; anything else is JSON, with `yes` and `no` for booleans. If both
    are allowed, valid JSON has precedence. If the schema allows any value, it is JSON, or else the
    text.

    Args:
        text: As typed.
        schema: The value's schema.
        root: The whole schema, for references.

    Raises:
        ValueError: It is not what the schema requires; the message says what is required.
    """
    value = _typed(text, kinds(schema, root))
    if value is _UNREADABLE:
        raise ValueError(f"{text!r} is not {_article(describe(schema, root))}")
    allowed = choices(schema, root)
    if allowed and all(value != each for each, _ in allowed):
        named = ", ".join(each if isinstance(each, str) else brief(each) for each, _ in allowed)
        raise ValueError(f"{text!r} is not one of {named}")
    _check_bounds(value, resolve(schema, root))
    return value


_UNREADABLE: Final = object()


def _typed(text: str, wanted: set[str]) -> Any:
    if wanted == {"string"}:
        return text
    try:
        value = read_json(text)
    except (ValueError, RecursionError):
        return _word(text, wanted)
    kind = kind_of(value)
    if not wanted or kind in wanted or (kind == "integer" and "number" in wanted):
        return value
    return _word(text, wanted)


def _word(text: str, wanted: set[str]) -> Any:
    """The value of a text that is not JSON of a wanted type."""
    if "boolean" in wanted and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return text if not wanted or "string" in wanted else _UNREADABLE


def read_json(text: str) -> Any:
    """Read strict JSON, without Python's extensions such as NaN. Raises ValueError."""
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_bounds(value: Any, schema: Schema) -> None:
    if not _is_number(value):
        return
    low, high = schema.get("minimum"), schema.get("maximum")
    if _is_number(low) and value < low:
        raise ValueError(f"{value} is less than {low}")
    if _is_number(high) and value > high:
        raise ValueError(f"{value} is more than {high}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeio" else f"a {words}"
