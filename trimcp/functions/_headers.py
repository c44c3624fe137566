"""Parameters that are visible to HTTP intermediaries.

Specification: 2026-07-28, Tools, `x-mcp-header`.
"""

from __future__ import annotations

from typing import Any

from trimcp.errors import RegistrationError
from trimcp.protocol.http import HEADER_KEY, InvalidAnnotation, header_params

__all__ = ["Header", "check_headers"]


class Header:
    """Marks a tool's parameter to be mirrored into an HTTP header.

    Used as `Annotated[str, Header("Region")]`; clients over HTTP then send `Mcp-Param-Region`,
    which proxies can use for routing. Never mark secrets: intermediaries can read the header.

    Args:
        name: The part after `Mcp-Param-`: letters, digits and the other characters of an HTTP
            token.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), HEADER_KEY: self.name}


def check_headers(label: str, schema: dict[str, Any]) -> None:
    """Check the marked parameters of an input schema. Raises RegistrationError."""
    try:
        header_params(schema)
    except InvalidAnnotation as error:
        raise RegistrationError(f"{label}: {error}") from None
