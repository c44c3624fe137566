"""What is used of pydantic everywhere in this room."""

from __future__ import annotations

from typing import Any, Final

import pydantic
from pydantic.json_schema import GenerateJsonSchema

from trimcp.errors import RegistrationError

from ._attrs import adapted

__all__ = ["PlainSchema", "adapter_for", "convert", "explain", "first_line", "to_json"]

#: Flaws named in one message.
_MAX_FLAWS: Final = 20


class PlainSchema(GenerateJsonSchema):
    """JSON Schema without the titles that only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def adapter_for(hint: Any, label: str) -> pydantic.TypeAdapter[Any]:
    """The adapter of an annotation that has a JSON Schema.

    Raises:
        RegistrationError: It has none; the message begins with the label.
    """
    try:
        adapter = pydantic.TypeAdapter(adapted(hint))
        adapter.json_schema()
        adapter.json_schema(mode="serialization")
    except (pydantic.errors.PydanticUserError, RecursionError, NameError) as error:
        raise RegistrationError(f"{label}: {first_line(error)}") from error
    return adapter


def to_json(value: Any) -> bytes:
    """Any value that pydantic knows how to write. Raises TypeError or ValueError."""
    try:
        adapter = pydantic.TypeAdapter(adapted(type(value)))
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(first_line(error)) from error
    return adapter.dump_json(value, by_alias=True)


def convert(value: Any, cls: Any) -> Any:
    """A value of JSON as any type that pydantic knows. Raises ValueError."""
    return pydantic.TypeAdapter(adapted(cls)).validate_python(value)


def explain(error: pydantic.ValidationError) -> str:
    """One line for each flaw: JSON path and what was expected. Inputs are not repeated."""
    flaws = error.errors(include_url=False, include_context=False, include_input=False)
    lines = []
    for flaw in flaws[:_MAX_FLAWS]:
        path = "$" + "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in flaw["loc"]
        )
        lines.append(f"{path}: {flaw['msg']}")
    return "\n".join(lines)


def first_line(error: BaseException) -> str:
    """The first line of an exception's text."""
    return str(error).strip().splitlines()[0]
