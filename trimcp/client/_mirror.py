"""The HTTP headers that repeat parts of a request (stateless era).

Specification: 2026-07-28, Streamable HTTP, Request Metadata; Tools, `x-mcp-header`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trimcp.protocol.http import (
    InvalidAnnotation,
    argument_headers,
    header_params,
    mirror_headers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimcp.protocol import Call
    from trimcp.protocol.http import HeaderParam
    from trimcp.types import Tool

__all__ = ["HeaderMirror"]

logger = logging.getLogger("trimcp.client")


class HeaderMirror:
    """Knows which arguments of which tools are repeated in headers."""

    def __init__(self) -> None:
        self._params: dict[str, tuple[HeaderParam, ...]] = {}
        self._flaws: dict[str, str] = {}

    def screen(self, tools: Iterable[Tool]) -> tuple[Tool, ...]:
        """Take the marked parameters of tools; leave invalid tools out, with a warning."""
        kept: list[Tool] = []
        for tool in tools:
            try:
                params = header_params(tool.input_schema)
            except InvalidAnnotation as error:
                self._warn(tool.name, str(error))
                continue
            kept.append(tool)
            self._params[tool.name] = params
        return tuple(kept)

    def _warn(self, name: str, flaw: str) -> None:
        """Log a warning, once for each flaw, even if the tools are listed again."""
        if self._flaws.get(name) != flaw:
            self._flaws[name] = flaw
            logger.warning("tool %r is left out, its definition is invalid: %s", name, flaw)

    def headers(self, call: Call) -> dict[str, str]:
        """The headers of a request.

        Raises:
            ValueError: An argument cannot be mirrored.
        """
        params = call.params or {}
        headers = mirror_headers(call.terms.revision.date, call.method, params)
        if call.method == "tools/call":
            marked = self._params.get(params["name"], ())
            headers |= argument_headers(marked, params.get("arguments") or {})
        return headers
