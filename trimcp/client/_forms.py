"""Checking the forms that servers ask for: flat objects of primitive properties.

Specification: Elicitation, Requested Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from trimcp.functions import has_format

if TYPE_CHECKING:
    from trimcp.protocol import Revision

__all__ = ["flaw_of_form", "flaws_of_formats"]

_PRIMITIVE: Final = ("string", "number", "integer", "boolean")

#: Keywords that would make a property more than a value of one type.
_COMPOSING: Final = ("$ref", "properties", "allOf", "not", "if")


def flaw_of_form(schema: Mapping[str, Any], revision: Revision) -> str | None:
    """Why a form is not valid in this revision; None if it is valid.

    Args:
        schema: The requested schema.
        revision: The revision of the question.
    """
    if schema.get("type") != "object":
        return "its schema is not that of an object"
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return "it has no properties"
    for name, definition in properties.items():
        if not isinstance(definition, Mapping):
            return f"the property {name!r:.60} has no schema"
        if (flaw := _flaw_of_property(definition, revision)) is not None:
            return f"the property {name!r:.60} {flaw}"
    return None


def _flaw_of_property(definition: Mapping[str, Any], revision: Revision) -> str | None:
    kind = definition.get("type")
    if any(key in definition for key in _COMPOSING):
        return "is not a plain value"
    if kind in _PRIMITIVE:
        return None
    if kind == "array" and revision.choice_lists:
        return None if _is_choice(definition.get("items")) else "is a list of other than choices"
    return f"is of the type {kind!r:.60}, which forms of this revision do not have"


def _is_choice(items: Any) -> bool:
    """Whether it is one of several texts, with titles or without."""
    if not isinstance(items, Mapping):
        return False
    choices = items.get("anyOf")
    if isinstance(choices, list):
        return all(
            isinstance(each, Mapping) and isinstance(each.get("const"), str) for each in choices
        )
    return items.get("type") == "string" and isinstance(items.get("enum"), list)


def flaws_of_formats(schema: Mapping[str, Any], content: Mapping[str, Any]) -> str | None:
    """The texts of an answer that do not have the format of the form; None if all have it."""
    flaws = [
        f"$.{name}: {content[name]!r:.60} is not a valid {definition['format']}"
        for name, definition in schema["properties"].items()
        if isinstance(content.get(name), str)
        and not has_format(content[name], definition.get("format"))
    ]
    return "\n".join(flaws) or None
