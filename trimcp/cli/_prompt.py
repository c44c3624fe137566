"""`trimcp prompt`: get one prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ._answers import connected_to_answer
from ._errors import CommandError
from ._listing import find, prompts
from ._logging import log_as_tool
from ._output import chosen_output, encoded, write, write_json
from ._results import describe, speech
from ._terminal import Terminal

if TYPE_CHECKING:
    from trimcp.types import GetPromptResult, Prompt

    from ._options import Prompting

__all__ = ["prompt"]


def prompt(options: Prompting) -> int:
    """Get the prompt.

    Raises:
        CommandError: The server cannot be reached, or the prompt does not take these arguments.
        MCPError: The server does not answer as it must, or answers with an error.
    """
    log_as_tool(options.verbosity)
    trio.run(_prompt, options)
    return 0


async def _prompt(options: Prompting) -> None:
    terminal = Terminal(has_bar=not options.verbosity)
    async with connected_to_answer(options, terminal) as client:
        wanted = find(await prompts(client), options.prompt, "prompt")
        _check(wanted, options.arguments)
        with terminal.bar() as progress:
            result = await client.get_prompt(wanted.name, options.arguments, progress=progress)
        if chosen_output(options.output) == "json":
            write_json(encoded(result, client))
        else:
            write(_as_text(result))


def _as_text(result: GetPromptResult) -> str:
    return "\n".join(speech(each.role, describe(each.content)) for each in result.messages)


def _check(prompt: Prompt, given: dict[str, str]) -> None:
    """Refuse arguments that the prompt does not take, and missing ones."""
    taken = {each.name: each for each in prompt.arguments or ()}
    if unknown := [name for name in given if name not in taken]:
        raise CommandError(f"unknown: {', '.join(unknown)}; {_takes(prompt)}")
    if missing := [name for name, each in taken.items() if each.required and name not in given]:
        raise CommandError(f"missing: {', '.join(missing)}; {_takes(prompt)}")


def _takes(prompt: Prompt) -> str:
    """The arguments of a prompt, for somebody who got them wrong."""
    named = [
        f"{each.name} (required)" if each.required else each.name for each in prompt.arguments or ()
    ]
    return f"{prompt.name} takes {', '.join(named) or 'no arguments'}"
