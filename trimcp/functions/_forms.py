"""Forms, which a question asks the user to fill in.

Specification: Elicitation, Requested Schema.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
import pydantic

from trimcp.errors import RegistrationError

from ._arguments import BadArguments
from ._bounded import bounded_validator
from ._pydantic import PlainSchema, adapter_for, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import SchemaValidator

__all__ = ["Form", "compile_form", "flaw_of_form", "has_choice_lists"]

#: The formats that the specification knows; clients need not understand others.
_FORMATS: Final = frozenset({"date", "date-time", "email", "uri"})

#: How JSON Schema marks values that are never shown again.
_SECRET: Final = frozenset({"writeOnly"})

_DESCRIBING: Final = frozenset({"type", "title", "description", "default"})
#: The keywords for a property of each type. Further limits of numbers and texts are kept, since the
#: schema allows them, and a client that checks them avoids a second question.
_KEPT: Final = {
    "string": _DESCRIBING
    | {"enum", "enumNames", "oneOf", "format", "minLength", "maxLength", "pattern"},
    "number": _DESCRIBING
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": _DESCRIBING,
    "array": _DESCRIBING | {"items", "minItems", "maxItems", "uniqueItems"},
}
_KEPT["integer"] = _KEPT["number"]


@attrs.frozen(eq=False)
class Form:
    """The form of a question, and how its answer is read.

    Attributes:
        schema: The requested schema: a flat object of primitive properties.
    """

    schema: dict[str, Any]
    _validator: SchemaValidator

    def read(self, content: Any) -> Any:
        """The user's input as the asked type. Raises BadArguments."""
        try:
            # As JSON: a strict model takes a date as text from there only.
            return self._validator.validate_json(msgspec.json.encode(self._plain(content)))
        except pydantic.ValidationError as error:
            raise BadArguments(explain(error)) from None

    def _plain(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The input with whole numbers as integers, since JSON has one kind of number."""
        properties = self.schema["properties"]
        return {
            name: int(value)
            if type(value) is float
            and value.is_integer()
            and properties.get(name, {}).get("type") == "integer"
            else value
            for name, value in content.items()
        }


class _Unfit(ValueError):
    """A property that no form can have; the message says what to ask for instead."""


@functools.lru_cache(maxsize=256)
def compile_form(asked: Any) -> Form:
    """The form for a pydantic model, a dataclass, an attrs class or a TypedDict.

    Types that are written as text (UUID, time, Path and the like) become texts. A property that may
    be None, and has None as its default, may be left out.

    Raises:
        RegistrationError: It is not an object type, or a property is not a text, number, boolean,
            choice of texts or list of such choices; or a property is a secret.

    Specification: Elicitation, Requested Schema.
    """
    adapter = adapter_for(asked, f"a question for {asked!r}")
    schema = adapter.json_schema(schema_generator=PlainSchema)
    if "$ref" in schema:
        schema = {**_definition(schema["$ref"], schema.get("$defs", {})), **schema}
    if schema.get("type") != "object" or "properties" not in schema:
        raise RegistrationError(
            f"a question asks for a model, a dataclass or a TypedDict, not {asked!r}"
        )
    required = schema.get("required", [])
    properties = {}
    for name, each in schema["properties"].items():
        try:
            is_required = name in required
            properties[name] = _property(each, schema.get("$defs", {}), is_required=is_required)
        except _Unfit as error:
            called = getattr(asked, "__name__", asked)
            raise RegistrationError(
                f"a question for {called!r}, property {name!r}: {error}"
            ) from None
    form: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        form["required"] = required
    return Form(form, bounded_validator(adapter.core_schema))


def has_choice_lists(schema: Mapping[str, Any]) -> bool:
    """Whether a form has properties that are lists, which came with revision 2025-11-25."""
    return any(_kind(each) == "array" for each in schema.get("properties", {}).values())


def flaw_of_form(schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a form that was written by hand; None if nothing."""
    properties = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(properties, dict):
        return 'a form is {"type": "object", "properties": {…}}'
    for name, each in properties.items():
        try:
            checked = _property(each, {}, is_required=False)
        except _Unfit as error:
            return f"property {name!r}: {error}"
        for key in ("format", "default"):
            if key in each and key not in checked:
                return f"property {name!r}: its {key} {each[key]!r} is none of a form"
    return None


# -- one property -----------------------------------------------------------------------------


def _property(schema: Any, definitions: Mapping[str, Any], *, is_required: bool) -> dict[str, Any]:
    """One property in the form that the specification allows. Raises _Unfit."""
    schema = _resolved(schema, definitions)
    choices = schema.get("anyOf")
    if choices is not None:
        schema = _without_null(schema, choices, definitions, is_required=is_required)
    if "const" in schema and "enum" not in schema:
        schema = {**schema, "enum": [schema["const"]]}
    kind = _kind(schema)
    if kind is None:
        raise _Unfit("forms know only texts, numbers, booleans and choices of texts")
    if schema.get("format") == "password" or any(schema.get(key) for key in _SECRET):
        raise _Unfit("a form must not ask for secrets; send the user to a page with elicit_url")
    kept = {key: value for key, value in schema.items() if key in _KEPT[kind]}
    if kept.get("format") not in _FORMATS:
        kept.pop("format", None)
    if "enum" in schema and not _are_texts(schema["enum"], kind):
        raise _Unfit("choices are texts, as in Literal['1', '2'] or an Enum of texts")
    if kind == "array":
        kept["items"] = _choices(_resolved(schema.get("items"), definitions))
    if "default" in kept and not _DEFAULTS[kind](kept["default"]):
        del kept["default"]
    return kept


def _kind(schema: Any) -> str | None:
    kind = schema.get("type") if isinstance(schema, dict) else None
    return kind if isinstance(kind, str) and kind in _KEPT else None


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A property in which the definition replaces the reference to it."""
    if not isinstance(schema, dict):
        return {}
    whole = schema.get("allOf") or [{}]
    reference = schema.get("$ref") or whole[0].get("$ref")
    if reference is None:
        return schema
    beside = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
    return {**_definition(reference, definitions), **beside}


def _definition(reference: str, definitions: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definitions.get(reference.rpartition("/")[2], {})
    return found


def _without_null(
    schema: dict[str, Any], choices: Any, definitions: Mapping[str, Any], *, is_required: bool
) -> dict[str, Any]:
    """The type of an optional property without null: in a form, null means leaving it out."""
    others = [each for each in choices if each != {"type": "null"}]
    if len(others) != 1 or len(others) == len(choices):
        return schema
    if is_required:
        raise _Unfit("it may be None, so give it a default: = None")
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**_resolved(others[0], definitions), **beside}


def _are_texts(values: Any, kind: str) -> bool:
    return kind == "string" and all(isinstance(each, str) for each in values)


def _choices(items: dict[str, Any]) -> dict[str, Any]:
    """The items of a list: one of several texts. Raises _Unfit."""
    if "const" in items:
        items = {**items, "enum": [items["const"]]}
    if "enum" in items and _are_texts(items["enum"], items.get("type", "")):
        return {key: items[key] for key in ("type", "enum")}
    titled = items.get("anyOf")
    if isinstance(titled, list) and all(isinstance(each.get("const"), str) for each in titled):
        return {"anyOf": titled}
    raise _Unfit("a list of a form is one of choices, as in list[Literal['a', 'b']]")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


#: Whether a value may be the default of a property of each type.
_DEFAULTS: Final[dict[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list) and _are_texts(value, "string"),
}
