"""What several modules of this package need of pydantic."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any, Final

import pydantic
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaError

from trimcp._similar import did_you_mean
from trimcp.errors import RegistrationError
from trimcp.protocol import refuse_non_finite
from trimcp.types import Payload

from ._attrs import adapted
from ._bounded import bounded_validator

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "PlainSchema",
    "adapter_for",
    "convert",
    "dump",
    "explain",
    "first_line",
    "flaws_of",
    "to_json",
]

#: How many flaws one message names.
_MAX_FLAWS: Final = 20

#: If there are more flaws, none is named, since pydantic can only describe all of them.
_MOST_DESCRIBED: Final = 1000

#: The most digits of an integer that Python's own `json` reads by default.
_MOST_DIGITS: Final = 4300
#: A longer row of digits, which may also be part of a text; tried only at its first digit.
_LONG_NUMBER: Final = re.compile(rb"(?<![0-9])[0-9]{4301}")

#: What pydantic says of a class that it does not know; its advice is for pydantic's own models.
_NO_SCHEMA: Final = re.compile(r"Unable to generate pydantic-core schema for (.+?)\. Set ")


class PlainSchema(GenerateJsonSchema):
    """JSON Schema without titles that only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def is_subclass_schema(self, schema: Any) -> Any:
        # For a class pydantic lists a schema of any value, but can neither write nor read it.
        raise pydantic.errors.PydanticInvalidForJsonSchema(
            "a class cannot be JSON; use its name, a string"
        )


def adapter_for(hint: Any, label: str) -> pydantic.TypeAdapter[Any]:
    """The adapter of an annotation, which must have a JSON Schema.

    Raises:
        RegistrationError: It has no JSON Schema; the message begins with the label.
    """
    try:
        adapter = pydantic.TypeAdapter(adapted(hint))
        adapter.json_schema()
        adapter.json_schema(mode="serialization", schema_generator=PlainSchema)
    except (pydantic.errors.PydanticUserError, SchemaError, RecursionError, NameError) as error:
        raise RegistrationError(f"{label}: {first_line(error)}") from error
    return adapter


def dump(adapter: pydantic.TypeAdapter[Any], value: Any, *, strict: bool = False) -> bytes:
    """A value as JSON.

    Args:
        adapter: The adapter of its type.
        value: The value.
        strict: Whether a value of another type is refused. Otherwise it is written as it is, and
            the caller checks the JSON if it has promised a schema.

    Raises:
        TypeError, ValueError: It cannot be written, or holds a NaN, an infinity, or a number with
            so many digits that readers refuse it.
    """
    raw = adapter.serializer.to_json(value, by_alias=True, warnings="error" if strict else False)
    if len(raw) > _MOST_DIGITS and _LONG_NUMBER.search(raw):
        json.loads(raw, parse_int=_refuse_long)
    if b"null" in raw:
        # pydantic writes NaN and infinities as null.
        refuse_non_finite(adapter.dump_python(value, warnings=False))
    return raw


def _refuse_long(digits: str) -> None:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"a number of more than {_MOST_DIGITS} digits: JSON parsers refuse it")


def to_json(value: Any) -> bytes:
    """Any value that pydantic knows how to write. Raises TypeError or ValueError.

    The protocol's own payloads are refused: allowed payloads have been handled before, so this one
    is the result of another method, and its JSON would not have the wire names.
    """
    if isinstance(value, Payload):
        raise TypeError(
            f"{type(value).__name__} is not a result here; it belongs to another method"
        )
    cls: Any = type(value)
    return dump(_adapter_of(cls), value)


@functools.lru_cache(maxsize=256)
def _adapter_of(cls: type) -> pydantic.TypeAdapter[Any]:
    try:
        return pydantic.TypeAdapter(adapted(cls))
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(first_line(error)) from error


def convert(value: Any, cls: Any) -> Any:
    """Convert a JSON value to any type that pydantic knows. Raises ValueError."""
    return bounded_validator(pydantic.TypeAdapter(adapted(cls)).core_schema).validate_python(value)


def explain(error: pydantic.ValidationError, known: Iterable[str] = ()) -> str:
    """One line for each flaw: JSON path and what was expected. Inputs are not repeated.

    Args:
        error: What pydantic found.
        known: The names that are allowed at the top, for suggestions.
    """
    flaws = flaws_of(error)
    if not flaws:
        return f"$: more than {_MOST_DESCRIBED} flaws"
    lines = []
    for flaw in flaws[:_MAX_FLAWS]:
        path = "$" + "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in flaw["loc"]
        )
        is_unknown = flaw["type"] == "extra_forbidden" and len(flaw["loc"]) == 1
        hint = did_you_mean(str(flaw["loc"][0]), known) if is_unknown else ""
        lines.append(f"{path}: {flaw['msg']}{hint}")
    return "\n".join(lines)


def flaws_of(error: pydantic.ValidationError) -> list[Any]:
    """The flaws that pydantic found; an empty list if there are too many to describe."""
    if error.error_count() > _MOST_DESCRIBED:
        return []
    return error.errors(include_url=False, include_context=False, include_input=False)


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, with advice that fits here."""
    line = str(error).strip().splitlines()[0]
    if found := _NO_SCHEMA.match(line):
        return (
            f"{found[1]} has no JSON Schema; use a dataclass, a TypedDict, an attrs class or a "
            "pydantic model"
        )
    return line
