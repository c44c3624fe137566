"""Validators whose work is linear in the size of what a client sends, for any content.

A pydantic validator collects every flaw, and makes sets and dictionaries of any numbers. Because of
both, a small message can cause much work:

* Flaws: here the validation of a list, set, tuple or dictionary ends at its first flawed item.
* Equal hashes: Python's hash of a number is its remainder by 2**61 - 1, so a client can choose many
  numbers with the same hash, and a set of them takes quadratic time. Therefore integers in a set,
  or as keys of a dictionary, have at most 64 bits, and decimals 18 digits, so that only a few dozen
  have the same hash. Of other types whose hashes a client could choose (UUIDs, tuples, models)
  there are at most 1000 items, unless the annotation has a `max_length`.

The listed JSON Schema does not change.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import SchemaValidator

__all__ = ["MOST_HASHED", "bounded_validator"]

#: The maximum number of items of a set, or keys of a dictionary, whose hashes a client can choose.
MOST_HASHED: Final = 1000

#: Keys of a core schema that hold other schemas: one, a list or a dictionary of them.
_INNER: Final = frozenset(
    {
        "schema", "items_schema", "keys_schema", "values_schema", "extras_schema",
        "extras_keys_schema", "choices", "fields", "definitions", "steps", "lax_schema",
        "strict_schema", "json_schema", "python_schema", "arguments_schema", "var_args_schema",
        "var_kwargs_schema",
    }
)  # fmt: skip

_CONTAINERS: Final = frozenset({"list", "set", "frozenset", "tuple", "dict"})

#: The key for the schema of what a container hashes.
_HASHED: Final = {"set": "items_schema", "frozenset": "items_schema", "dict": "keys_schema"}

#: Types whose hashes Python salts, or of which only a few values have the same hash.
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
    """A validator of a core schema, with bounded work."""
    # The validators that models have made for themselves would not be bounded.
    return SchemaValidator(_bounded(schema), _use_prebuilt=False)


def _bounded(part: Any) -> Any:
    """Copy a core schema, or a container of schemas, and add the bounds."""
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
        return  # keys in JSON are texts
    narrowed = _narrowed(hashed)
    if narrowed is None:
        schema.setdefault("max_length", MOST_HASHED)
    else:
        schema[key] = narrowed


def _narrowed(schema: Any) -> Any:
    """A schema of which only a few values have the same hash; None if there is no simple one."""
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
    """Narrow a choice of a union, which may have a label."""
    if isinstance(choice, tuple):
        inner = _narrowed(choice[0])
        return None if inner is None else (inner, *choice[1:])
    return _narrowed(choice)
