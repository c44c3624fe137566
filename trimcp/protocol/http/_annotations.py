"""Which parameters of a tool are mirrored into headers.

Specification: 2026-07-28, Streamable HTTP, Schema Extension; Tools, `x-mcp-header`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

__all__ = ["HEADER_KEY", "HeaderParam", "InvalidAnnotation", "header_params"]

HEADER_KEY: Final = "x-mcp-header"

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TYPES: Final = ("string", "integer", "boolean")

#: Keywords that hold subschemas, by the form of the keyword's value. All others hold data.
_SCHEMAS: Final = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_LISTS: Final = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_MAPS: Final = frozenset(
    {"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties"}
)

Path: TypeAlias = tuple[str, ...]


class InvalidAnnotation(ValueError):
    """An `x-mcp-header` that makes the whole tool definition invalid; the message says why."""


@attrs.frozen
class HeaderParam:
    """A parameter that is mirrored.

    Attributes:
        header: The header's full name; the tool's author chose the part after `Mcp-Param-`.
        path: The keys that lead to the value in the arguments.
    """

    header: str
    path: Path

    def find(self, arguments: Mapping[str, Any]) -> Any:
        """The value in a call's arguments; None if there is none."""
        value: Any = arguments
        for key in self.path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def header_params(schema: Any) -> tuple[HeaderParam, ...]:
    """The mirrored parameters of an input schema, in its order.

    Raises:
        InvalidAnnotation: An `x-mcp-header` is malformed, marks something other than a string,
            integer or boolean, is not reached from the root by `properties` alone, or names the
            same header as another.
    """
    found: dict[str, HeaderParam] = {}
    for path, position in _positions(schema, ()):
        if HEADER_KEY not in position:
            continue
        if not path:
            raise InvalidAnnotation(f"{HEADER_KEY} stands elsewhere than on a plain property")
        where = ".".join(path)
        name = position[HEADER_KEY]
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            flaw = f"{name!r} cannot be part of a header's name"
        elif position.get("type") not in _TYPES:
            flaw = "only a string, integer or boolean is mirrored"
        elif name.lower() in found:
            flaw = f"the header {name!r} is that of {'.'.join(found[name.lower()].path)!r} too"
        else:
            found[name.lower()] = HeaderParam(f"Mcp-Param-{name}", path)
            continue
        raise InvalidAnnotation(f"parameter {where!r}: {flaw}")
    return tuple(found.values())


def _positions(schema: Any, path: Path | None) -> Iterator[tuple[Path | None, Mapping[str, Any]]]:
    """Every schema inside a schema, and the properties that lead to it.

    The path is None if any other keyword than `properties` leads there.
    """
    if not isinstance(schema, Mapping):
        return
    yield path, schema
    for keyword, value in schema.items():
        if keyword == "properties" and isinstance(value, Mapping):
            for name, each in value.items():
                yield from _positions(each, None if path is None else (*path, name))
        elif keyword in _MAPS and isinstance(value, Mapping):
            for each in value.values():
                yield from _positions(each, None)
        elif keyword in _LISTS and isinstance(value, list | tuple):
            for each in value:
                yield from _positions(each, None)
        elif keyword in _SCHEMAS:
            yield from _positions(value, None)
