"""Forms: what a question asks the user for.

Specification: Elicitation, Requested Schema.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import attrs
import pydantic

from trimcp.errors import RegistrationError

from ._arguments import BadArguments
from ._pydantic import PlainSchema, adapter_for, explain

__all__ = ["Form", "compile_form"]


@attrs.frozen(eq=False)
class Form:
    """What a form question asks for.

    Attributes:
        schema: The requested schema: a flat object of primitive properties.
    """

    schema: dict[str, Any]
    _adapter: pydantic.TypeAdapter[Any]

    def read(self, content: Any) -> Any:
        """The user's input as the asked type. Raises BadArguments."""
        try:
            return self._adapter.validate_python(content)
        except pydantic.ValidationError as error:
            raise BadArguments(explain(error)) from None


_PRIMITIVES: Final = frozenset({"string", "number", "integer", "boolean"})


@functools.lru_cache(maxsize=256)
def compile_form(asked: Any) -> Form:
    """The form for a pydantic model, a dataclass, an attrs class or a TypedDict.

    Raises:
        RegistrationError: It is no object type, or a property is not a string, number, integer,
            boolean, enumeration of strings or list of such.

    Specification: Elicitation, Requested Schema.
    """
    adapter = adapter_for(asked, f"a question for {asked!r}")
    schema = adapter.json_schema(schema_generator=PlainSchema)
    if schema.get("type") != "object" or "properties" not in schema:
        raise RegistrationError(
            f"a question asks for a model, a dataclass or a TypedDict, not {asked!r}"
        )
    definitions = schema.get("$defs", {})
    properties = {
        name: _property(asked, name, each, definitions)
        for name, each in schema["properties"].items()
    }
    form: dict[str, Any] = {"type": "object", "properties": properties}
    if schema.get("required"):
        form["required"] = schema["required"]
    return Form(form, adapter)


def _property(asked: Any, name: str, schema: dict[str, Any], definitions: Any) -> dict[str, Any]:
    """One property, with a reference to an enumeration resolved."""
    reference = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
    if reference is not None:
        schema = {**definitions[reference.rpartition("/")[2]], **schema}
        schema.pop("$ref", None)
        schema.pop("allOf", None)
    if "const" in schema and "enum" not in schema:
        schema["enum"] = [schema.pop("const")]
    if schema.get("type") == "array" and "$ref" in schema.get("items", {}):
        schema["items"] = dict(definitions[schema["items"]["$ref"].rpartition("/")[2]])
    items = schema.get("items", {})
    is_choice = schema.get("type") == "array" and ("enum" in items or "anyOf" in items)
    if schema.get("type") not in _PRIMITIVES and not is_choice:
        raise RegistrationError(
            f"a question for {getattr(asked, '__name__', asked)!r}, property {name!r}: forms "
            "know only strings, numbers, integers, booleans and choices"
        )
    return schema
