"""Validators whose work is linear in what a client sends, whatever that holds.

A pydantic validator collects every flaw, and makes sets and dictionaries of whatever numbers come.
Both let a small message cost much:

* Flaws: here a list, set, tuple or dictionary ends at its first flawed item, before further flaws
  are made.
* Equal hashes: Python's hash of a number is its remainder by 2**61 - 1, so a client can choose any
  number of numbers with one hash, and a set of these takes quadratic time. In a set, and as keys
  of a dictionary, an integer has therefore 64 bits and a decimal 18 digits, which leaves a few
  dozen of one hash. Of types whose hashes a client could choose as well (UUIDs, tuples, models),
  there are at most 1000 items; a `max_length` in the annotation replaces that.

The listed JSON Schema stays as it is.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import SchemaValidator

__all__ = ["MOST_HASHED", "bounded_validator"]

#: Items of a set, and keys of a dictionary, whose hashes a client could choose.
MOST_HASHED: Final = 1000

#: Keys of a core schema under which others stand, alone, in a list or in a dictionary.
_INNER: Final = frozenset(
    {
        "schema", "items_schema", "keys_schema", "values_schema", "extras_schema",
        "extras_keys_schema", "choices", "fields", "definitions", "steps", "lax_schema",
        "strict_schema", "json_schema", "python_schema", "arguments_schema", "var_args_schema",
        "var_kwargs_schema",
    }
)  # fmt: skip

_CONTAINERS: Final = frozenset({"list", "set", "frozenset", "tuple", "dict"})

#: Where a container has the schema of what it hashes.
_HASHED: Final = {"set": "items_schema", "frozenset": "items_schema", "dict": "keys_schema"}

#: Types whose hashes Python salts, or of which few values have one hash.
_SALTED: Final = frozenset(
    {
        "str", "bytes", "bool", "none", "float", "date", "time", "datetime", "timedelta",
        "literal", "enum",
    }
)  # fmt: skip

_ANY: Final = {"type": "any"}
_MOST_INTEGER: Final = 2**63 - 1
_MOST_DIGITS: Final = 18


def bounded_validator(schema: Any) -> SchemaValidator:
    """The validator of a core schema, its work bounded."""
    # Validators that models made for themselves would not be bounded.
    return SchemaValidator(_bounded(schema), _use_prebuilt=False)


def _bounded(part: Any) -> Any:
    """Copy a core schema, or what holds some, and put the bounds in."""
    if isinstance(part, (list, tuple)):
        return type(part)(map(_bounded, part))
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if not isinstance(kind, str):
        return {key: _bounded(inner) for key, inner in part.items()}
    schema = {key: _bounded(inner) if key in _INNER else inner for key, inner in part.items()}
    if kind in _CONTAINERS:
        schema["fail_fast"] = True
    if kind in _HASHED:
        _bound_hashed(schema, _HASHED[kind])
    return schema


def _bound_hashed(schema: dict[str, Any], key: str) -> None:
    """Bound the items of a set, or the keys of a dictionary."""
    hashed = schema.get(key, _ANY)
    if hashed["type"] == "any" and schema["type"] == "dict":
        return  # names in JSON are texts
    narrowed = _narrowed(hashed)
    if narrowed is None:
        schema.setdefault("max_length", MOST_HASHED)
    else:
        schema[key] = narrowed


def _narrowed(schema: Any) -> Any:
    """A schema of which few values have one hash; None if there is no simple one."""
    kind = schema["type"]
    if kind == "int":
        least = max(schema.get("ge", -_MOST_INTEGER), -_MOST_INTEGER)
        most = min(schema.get("le", _MOST_INTEGER), _MOST_INTEGER)
        return {**schema, "ge": least, "le": most}
    if kind == "decimal":
        return {**schema, "max_digits": min(schema.get("max_digits", _MOST_DIGITS), _MOST_DIGITS)}
    if kind == "nullable":
        inner = _narrowed(schema["schema"])
        return None if inner is None else {**schema, "schema": inner}
    if kind == "union":
        choices = [_narrowed_choice(each) for each in schema["choices"]]
        return None if None in choices else {**schema, "choices": choices}
    return schema if kind in _SALTED else None


def _narrowed_choice(choice: Any) -> Any:
    """A choice may stand beside its label."""
    if isinstance(choice, tuple):
        inner = _narrowed(choice[0])
        return None if inner is None else (inner, *choice[1:])
    return _narrowed(choice)
