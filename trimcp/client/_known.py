"""What a client knows of a server's tools from listing them.

Specification: Tools (Output Schema; Tool Annotations).
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.errors import ProtocolViolation
from trimcp.functions import InvalidSchema, SchemaChecker
from trimcp.types import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trimcp.types import CallToolResult, Tool

__all__ = ["KnownTools"]

#: How many tools are remembered; those listed longest ago are dropped first.
MAX_TOOLS: Final = 10_000


@attrs.define
class _Known:
    """One tool.

    Attributes:
        output_schema: The schema of its structured results, if it has one.
        is_repeatable: Whether the server says that calling it twice does no more than once.
        checker: The schema, compiled when it was first needed.
    """

    output_schema: Mapping[str, Any] | None
    is_repeatable: bool
    checker: SchemaChecker | None = None


class KnownTools:
    """The tools of one server, as they were last listed."""

    def __init__(self) -> None:
        self._tools: collections.OrderedDict[str, _Known] = collections.OrderedDict()

    def learn(self, tools: Iterable[Tool]) -> None:
        """Remember tools that have been listed."""
        for tool in tools:
            hints = tool.annotations
            is_repeatable = hints is not None and bool(
                hints.read_only_hint or hints.idempotent_hint
            )
            self._tools[tool.name] = _Known(tool.output_schema, is_repeatable)
            self._tools.move_to_end(tool.name)
        while len(self._tools) > MAX_TOOLS:
            self._tools.popitem(last=False)

    def is_repeatable(self, name: str) -> bool:
        """Whether a call may be repeated if it is unknown whether it was carried out."""
        known = self._tools.get(name)
        return known is not None and known.is_repeatable

    def check(self, name: str, result: CallToolResult) -> None:
        """Check structured content against the schema of a tool that has been listed.

        Raises:
            ProtocolViolation: It does not fit, or the schema cannot be used.
        """
        known = self._tools.get(name)
        if known is None or known.output_schema is None or result.is_error:
            return
        if result.structured_content is UNSET:
            raise ProtocolViolation(f"tool {name!r} declares structured content and returned none")
        if known.checker is None:
            try:
                known.checker = SchemaChecker(known.output_schema)
            except InvalidSchema as error:
                # Treating it as satisfied would be wrong.
                raise ProtocolViolation(f"tool {name!r}: its output schema: {error}") from None
        flaws = known.checker.flaws(result.structured_content)
        if flaws is not None:
            raise ProtocolViolation(
                f"tool {name!r}: its result does not match its schema:\n{flaws}"
            )


def _is_repeatable(tool: Tool) -> bool:
    hints = tool.annotations
    return hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)
