"""A check of the messages of a conversation with a model in which tools are used.

Specification: Sampling, Message Content Constraints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trimcp.types import ToolResultContent, ToolUseContent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimcp.types import SamplingMessage

__all__ = ["flaw_of_conversation"]

#: The role of the messages that may contain a block, for blocks that are restricted.
_ROLES: Final = {ToolUseContent: "assistant", ToolResultContent: "user"}


def flaw_of_conversation(messages: Iterable[SamplingMessage]) -> str | None:
    """What is wrong with the messages; None if nothing.

    The assistant's messages contain uses of tools, the user's messages the results; the message
    after a use holds its result, and only results.
    """
    used: set[str] = set()
    for message in messages:
        for each in message.content:
            role = _ROLES.get(type(each), message.role)
            if role != message.role:
                return f"a {each.type} block stands in a message of the {role} only"
        results = [each for each in message.content if isinstance(each, ToolResultContent)]
        if results and len(results) < len(message.content):
            return "tool results are mixed with other content"
        if {each.tool_use_id for each in results} != used:
            return "tool uses and tool results do not match"
        used = {each.id for each in message.content if isinstance(each, ToolUseContent)}
    return "tool uses and tool results do not match" if used else None
