"""Types whose values need no check after they have been written as JSON.

A tool's result is validated, written as JSON, and the JSON is checked against the schema that the
tool lists. For some types the validation makes a new value, whose JSON always fits the schema, so
the check is left out. A value that pydantic wrongly accepts as a number (a member of an enumeration
of texts) is refused when it is written.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["always_fits", "scalar_class"]

_SCALARS: Final = {"int": int, "float": float, "bool": bool, "str": str}

#: A validated value has this type, or is refused when it is written, as a NaN is.
_PLAIN: Final = frozenset({"int", "float", "bool", "none"})

#: Keys of a core schema with which users change what is written or listed.
_CHANGES: Final = ("serialization", "metadata")


def always_fits(schema: Any) -> bool:
    """Whether a validated value, written strictly, always fits its type's serialization schema.

    Args:
        schema: pydantic's core schema of the type.

    Returns:
        True only if that is certain: for JSON's own types and containers of these. False for
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
    """The class of a core schema's values, if they are scalars.

    A value of exactly this class need not be written strictly, which costs pydantic 3 µs.
    """
    return _SCALARS.get(schema["type"])


_UNKNOWN: Final = {"type": "any"}


def _choice_fits(choice: Any) -> bool:
    """Whether values of a choice of a union, which may have a label, always fit."""
    return always_fits(choice[0] if isinstance(choice, tuple) else choice)
