"""Parameters that HTTP intermediaries may see.

Specification: 2026-07-28, Tools, `x-mcp-header`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from trimcp.errors import RegistrationError

__all__ = ["Header", "check_headers"]

_KEY: Final = "x-mcp-header"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TYPES: Final = ("string", "integer", "boolean")


class Header:
    """Marks a tool's parameter to be mirrored into an HTTP header.

    Used as `Annotated[str, Header("Region")]`; clients on HTTP then send `Mcp-Param-Region`, for
    proxies to route by. Never mark secrets: the header is visible on the way.

    Args:
        name: The part after `Mcp-Param-`: letters, digits and the other characters of an HTTP
            token.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), _KEY: self.name}


def check_headers(label: str, schema: dict[str, Any]) -> None:
    """Check the marked parameters of an input schema. Raises RegistrationError."""
    seen: dict[str, str] = {}
    for name, each in schema["properties"].items():
        header = each.get(_KEY) if isinstance(each, dict) else None
        if header is None:
            continue
        where = f"{label}, parameter {name!r}"
        if not isinstance(header, str) or not _TOKEN.fullmatch(header):
            raise RegistrationError(f"{where}: {header!r} cannot be part of a header's name")
        if each.get("type") not in _TYPES:
            raise RegistrationError(f"{where}: only a str, int or bool goes into a header")
        if header.lower() in seen:
            other = seen[header.lower()]
            raise RegistrationError(f"{where}: the header {header!r} is that of {other!r} too")
        seen[header.lower()] = name
