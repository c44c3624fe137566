"""`trimcp listen`: print changes as they happen."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Final

import attrs

from trimcp.protocol import PromptsListChanged, ResourceUpdated, ToolsListChanged

from ._connecting import connected
from ._errors import CommandError
from ._options import TARGET, Connecting, find_target, usage
from ._output import chosen_output, write
from ._screen import printable
from ._terminal import Terminal

if TYPE_CHECKING:
    from trimcp.client import Changes
    from trimcp.protocol import Change
    from trimcp.types import SubscriptionFilter


__all__ = ["Listening"]


#: Help about the output.
_CHANGES: Final = """
A resource that changes again before it was printed is printed once. Changes that the server does
not agree to report are named on standard error. --output json prints one JSON object on each line.
"""


@attrs.frozen(kw_only=True)
class Listening(Connecting):
    """`trimcp listen`.

    Attributes:
        uris: The resources to subscribe to.
        lists: Whether to subscribe to the lists of tools, prompts and resources.
        count: After how many changes to stop; None for never.
    """

    uris: list[str]
    lists: bool
    count: int | None

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = usage("listen", "[URI]...")
        parser.description = (
            "Print a line for each change at a server, until Ctrl-C or the server ends: of "
            "the resources that are named, or else of the lists of tools, prompts and resources."
        )
        parser.epilog = TARGET + _CHANGES
        parser.add_argument(
            "--lists", action="store_true", help="the lists too, if resources are named"
        )
        parser.add_argument(
            "--count", type=_number, metavar="N", help="stop after so many changes (default: never)"
        )
        Connecting.add_common(parser, "text", "json")

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Listening:
        target, uris = find_target(found.words, command)
        return cls(
            target=target,
            uris=uris,
            lists=found.lists or not uris,
            count=found.count,
            **cls.read_common(found),
        )

    async def talk(self) -> int:
        """Print changes until there are `count` of them, or the server ends the subscription.

        Raises:
            CommandError: The server cannot be reached, or reports none of the requested changes.
            MCPError: It refuses, or the connection is lost.
        """
        await _listen(self)
        return 0


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"not a number above zero: {text!r}")
    return int(text)


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
    """The granted changes, by the names of the command."""
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
