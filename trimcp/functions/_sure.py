"""Types whose values need no check after they were written.

A tool's result is validated, written as JSON, and the JSON is checked against the schema that the
tool lists. For some types validating makes a fresh value and writing it cannot leave the schema;
the check would cost more than it could find. What pydantic takes for a number and is none (a member
of an enumeration of texts) is refused when it is written.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["always_fits", "scalar_class"]

_SCALARS: Final = {"int": int, "float": float, "bool": bool, "str": str}

#: Of this type once validated, or refused by whoever writes the value, as a NaN is.
_PLAIN: Final = frozenset({"int", "float", "bool", "none"})

#: Keys of a core schema by which users change what is written or listed.
_CHANGES: Final = ("serialization", "metadata")


def always_fits(schema: Any) -> bool:
    """Whether a validated value, written strictly, always fits its type's serialization schema.

    Args:
        schema: pydantic's core schema of the type.

    Returns:
        True only where that is certain: JSON's own types and containers of these. False for
        models, dataclasses and the like, whose instances are not validated again.
    """
    if any(schema.get(key) for key in _CHANGES):
        return False
    kind = schema["type"]
    if kind in _PLAIN:
        return True
    if kind == "str":
        # Regular expressions differ between validators.
        return "pattern" not in schema
    if kind == "literal":
        return all(type(each) in (str, int, bool, type(None)) for each in schema["expected"])
    if kind == "nullable":
        return always_fits(schema["schema"])
    if kind == "list":
        return always_fits(schema.get("items_schema", _UNKNOWN))
    if kind == "dict":
        keys = schema.get("keys_schema", _UNKNOWN)
        return keys == {"type": "str"} and always_fits(schema.get("values_schema", _UNKNOWN))
    return kind == "union" and all(_choice_fits(choice) for choice in schema["choices"])


def scalar_class(schema: Any) -> type | None:
    """The class of which a core schema's values are, where it is a scalar's.

    A value of exactly this class need not be written strictly, which costs pydantic 3 µs.
    """
    return _SCALARS.get(schema["type"])


_UNKNOWN: Final = {"type": "any"}


def _choice_fits(choice: Any) -> bool:
    """A choice may stand beside its label."""
    return always_fits(choice[0] if isinstance(choice, tuple) else choice)
