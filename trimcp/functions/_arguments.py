"""From raw JSON to keyword arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pydantic
from pydantic_core import to_json

from ._bounded import bounded_validator
from ._pydantic import explain, flaws_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._schemas import SchemaChecker

__all__ = ["Arguments", "BadArguments", "Binder", "GivenBinder", "ModelBinder"]


class BadArguments(ValueError):
    """The arguments do not fit; the message has one line for each flaw, with its JSON path."""


class Arguments(pydantic.BaseModel):
    """The base of the models made from signatures; unknown arguments are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())


class Binder(Protocol):
    """Converts what a client sent to keyword arguments. Both methods raise BadArguments."""

    def bind(self, raw: bytes) -> dict[str, Any]:
        """Convert JSON."""

    def bind_text(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Convert values that came as text."""


class ModelBinder:
    """Binds by a model made from the function's signature.

    Args:
        model: The model.
        names: The parameter of each of its fields.
    """

    def __init__(self, model: type[Arguments], names: dict[str, str]) -> None:
        self._validator = bounded_validator(model.__pydantic_core_schema__)
        self._names = tuple(names.items())
        self._known = tuple(names.values())

    def bind(self, raw: bytes) -> dict[str, Any]:
        try:
            fields = self._validator.validate_json(raw).__dict__
        except pydantic.ValidationError as error:
            raise BadArguments(explain(error, self._known)) from None
        return {name: fields[field] for field, name in self._names}

    def bind_text(self, values: Mapping[str, Any]) -> dict[str, Any]:
        try:
            fields = self._validator.validate_python(dict(values)).__dict__
        except pydantic.ValidationError as error:
            # Text for a list, such as `"[1, 2]"`; text for a number, such as `"5"`, was already
            # accepted.
            flawed = {flaw["loc"][0] for flaw in flaws_of(error) if flaw["loc"]}
            parsed = {
                name: _parsed(value) if name in flawed else value for name, value in values.items()
            }
            fields = self._from_parsed(parsed)
        return {name: fields[field] for field, name in self._names}

    def _from_parsed(self, values: dict[str, Any]) -> dict[str, Any]:
        try:
            # As JSON, since a strict model accepts a date as text only in JSON.
            found: dict[str, Any] = self._validator.validate_json(to_json(values)).__dict__
        except pydantic.ValidationError as error:
            raise BadArguments(explain(error, self._known)) from None
        return found


class GivenBinder:
    """Binds by a JSON Schema that the user gave: all arguments go into one parameter.

    Args:
        checker: The schema.
        parameter: The parameter that takes the arguments.
    """

    def __init__(self, checker: SchemaChecker, parameter: str) -> None:
        self._checker = checker
        self._parameter = parameter

    def bind(self, raw: bytes) -> dict[str, Any]:
        try:
            return self.bind_text(msgspec.json.decode(raw))
        except msgspec.DecodeError as error:
            raise BadArguments(f"$: {error}") from None

    def bind_text(self, values: Mapping[str, Any]) -> dict[str, Any]:
        flaws = self._checker.flaws(values)
        if flaws is not None:
            raise BadArguments(flaws)
        return {self._parameter: values}


def _parsed(text: Any) -> Any:
    """The JSON in a text, or the text itself."""
    try:
        return msgspec.json.decode(text) if isinstance(text, str) else text
    except (msgspec.DecodeError, RecursionError):
        return text
