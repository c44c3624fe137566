"""`trimcp prompt`: get one prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from trimcp._similar import did_you_mean

from ._answers import connected_to_answer
from ._errors import CommandError
from ._listing import asking_for, find, prompts
from ._logins import is_url
from ._options import QUESTIONS, TARGET, Answering, Connecting, argument, find_target, usage
from ._output import chosen_output, encoded, write, write_json
from ._results import describe, speech
from ._terminal import Terminal

if TYPE_CHECKING:
    import argparse

    from trimcp.types import GetPromptResult, Prompt


__all__ = ["Prompting"]


@attrs.frozen(kw_only=True)
class Prompting(Answering):
    """`trimcp prompt`.

    Attributes:
        prompt: The prompt's name.
        arguments: The arguments, as text.
    """

    prompt: str
    arguments: dict[str, str]

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = usage("prompt", "NAME [KEY=VALUE]...")
        parser.description = "Get a prompt of a server and print its messages, each after its role."
        parser.epilog = TARGET + QUESTIONS
        Answering.add_answers(parser)
        Connecting.add_common(parser, "text", "json")

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Prompting:
        target, words = find_target(found.words, command)
        if not words:
            raise ValueError("give the NAME of the prompt")
        arguments = [argument(word) for word in words[1:]]
        if any(each.is_json for each in arguments):
            raise ValueError("the arguments of a prompt are text: KEY=VALUE, not KEY:=JSON")
        return cls(
            target=target,
            prompt=words[0],
            arguments={each.key: each.text for each in arguments},
            **cls.read_answers(found),
        )

    async def talk(self) -> int:
        """Get the prompt.

        Raises:
            CommandError: The server cannot be reached, or the prompt does not take these arguments.
            MCPError: The server does not answer as it must, or answers with an error.
        """
        await _prompt(self)
        return 0


async def _prompt(options: Prompting) -> None:
    terminal = Terminal(has_bar=not options.verbosity)
    async with connected_to_answer(options, terminal) as client:
        offered = await prompts(client)
        listed = find(offered, options.prompt, "prompt", may_be_hidden=is_url(options.target))
        if listed is not None:
            _check(listed, options.arguments)
        with asking_for(offered, options.prompt, "prompt"):
            async with terminal.bar() as progress:
                result = await client.get_prompt(
                    options.prompt, options.arguments, progress=progress
                )
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
        hint = did_you_mean(unknown[0], (name for name in taken if name not in given))
        raise CommandError(f"unknown: {', '.join(unknown)}{hint or ';'} {_takes(prompt)}")
    if missing := [name for name, each in taken.items() if each.required and name not in given]:
        raise CommandError(f"missing: {', '.join(missing)}; {_takes(prompt)}")


def _takes(prompt: Prompt) -> str:
    """The arguments of a prompt, for error messages."""
    named = [
        f"{each.name} (required)" if each.required else each.name for each in prompt.arguments or ()
    ]
    return f"{prompt.name} takes {', '.join(named) or 'no arguments'}"
