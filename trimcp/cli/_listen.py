"""`trimcp listen`: tell of changes as they come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import trio

from trimcp.protocol import PromptsListChanged, ResourceUpdated, ToolsListChanged

from ._connecting import connected
from ._errors import CommandError
from ._logging import log_as_tool
from ._output import chosen_output, write
from ._screen import printable
from ._terminal import Terminal

if TYPE_CHECKING:
    from trimcp.client import Changes
    from trimcp.protocol import Change
    from trimcp.types import SubscriptionFilter

    from ._options import Listening

__all__ = ["listen"]


def listen(options: Listening) -> int:
    """Tell of changes until there are enough of them, or the server ends the subscription.

    Raises:
        CommandError: The server cannot be reached, or tells of nothing that was asked for.
        MCPError: It refuses, or the connection is lost.
    """
    log_as_tool(options.verbosity)
    trio.run(_listen, options)
    return 0


async def _listen(options: Listening) -> None:
    terminal = Terminal()
    async with (
        connected(options) as client,
        client.listen(
            resources=options.uris,
            tools_list_changed=options.lists,
            prompts_list_changed=options.lists,
            resources_list_changed=options.lists,
        ) as changes,
    ):
        _say_what_is_told(options, changes, terminal)
        is_json = chosen_output(options.output) == "json"
        count = 0
        async for change in changes:
            write(_as_json(change) if is_json else _as_text(change))
            count += 1
            if count == options.count:
                return
        terminal.say("the server has ended the subscription")


def _say_what_is_told(options: Listening, changes: Changes, terminal: Terminal) -> None:
    asked = [*options.uris, *(_LISTS if options.lists else ())]
    told = _names(changes.granted)
    if refused := [each for each in dict.fromkeys(asked) if each not in told]:
        named = printable(", ".join(refused))
        if not told:
            raise CommandError(f"the server does not tell of changes of {named}")
        terminal.say(f"trimcp: the server does not tell of changes of {named}")
    terminal.say(printable(f"listening for changes of {', '.join(told)}"))


_LISTS = ("tools", "prompts", "resources")


def _names(granted: SubscriptionFilter) -> list[str]:
    """What there is to hear of, as the command names it."""
    agreed = (
        granted.tools_list_changed,
        granted.prompts_list_changed,
        granted.resources_list_changed,
    )
    lists = [name for name, is_told in zip(_LISTS, agreed, strict=True) if is_told]
    return [*(granted.resource_subscriptions or ()), *lists]


def _as_text(change: Change) -> str:
    if isinstance(change, ResourceUpdated):
        return printable(f"updated {change.uri}")
    return f"{_list(change)} changed"


def _as_json(change: Change) -> str:
    if isinstance(change, ResourceUpdated):
        return json.dumps({"changed": "resource", "uri": change.uri})
    return json.dumps({"changed": _list(change)})


def _list(change: Change) -> str:
    if isinstance(change, ToolsListChanged):
        return "tools"
    return "prompts" if isinstance(change, PromptsListChanged) else "resources"
