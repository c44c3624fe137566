"""What a conversation with a model must look like when tools are part of it.

Specification: Sampling, Message Content Constraints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.types import ToolResultContent, ToolUseContent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimcp.types import SamplingMessage

__all__ = ["flaw_of_conversation"]


def flaw_of_conversation(messages: Iterable[SamplingMessage]) -> str | None:
    """What is wrong; None if nothing.

    Each use of a tool is answered by the next message, which holds nothing but results.
    """
    used: set[str] = set()
    for message in messages:
        results = [each for each in message.content if isinstance(each, ToolResultContent)]
        if results and len(results) < len(message.content):
            return "tool results are mixed with other content"
        if {each.tool_use_id for each in results} != used:
            return "tool uses and tool results do not match"
        used = {each.id for each in message.content if isinstance(each, ToolUseContent)}
    return "tool uses and tool results do not match" if used else None
