"""`trimcp call`: call one tool."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp._similar import did_you_mean
from trimcp.types import Tool

from ._answers import connected_to_answer
from ._errors import CommandError
from ._listing import asking_for, find, not_listed, tools
from ._logins import is_url
from ._options import (
    QUESTIONS,
    TARGET,
    Answering,
    Argument,
    Connecting,
    argument,
    find_target,
    usage,
)
from ._output import chosen_output, encoded, write_json, write_texts
from ._results import failure_text, texts_of
from ._schemas import describe, properties
from ._screen import paint, printable
from ._terminal import Terminal
from ._values import read_json, read_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimcp.client import Client
    from trimcp.runtime import ProgressCallback
    from trimcp.types import CallToolResult


__all__ = ["Calling"]


#: How many chunks may wait to be written; one batch of a connection has far fewer.
_CHUNKS: Final = 10_000

#: Help about the arguments.
_ARGUMENTS: Final = """
KEY=VALUE is read by the type in the tool's input schema: integers, numbers and booleans as such, a
string unchanged, everything else as JSON. KEY:=JSON is always JSON. Both override --json.
"""


@attrs.frozen(kw_only=True)
class Calling(Answering):
    """`trimcp call`.

    Attributes:
        tool: The tool's name.
        arguments: As written on the command line.
        json: The value of `--json`.
    """

    tool: str
    arguments: list[Argument]
    json: dict[str, Any]

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = usage("call", "TOOL [KEY=VALUE | KEY:=JSON]...")
        parser.description = "Call a tool of a server and print its result."
        parser.epilog = TARGET + _ARGUMENTS + QUESTIONS
        parser.add_argument(
            "--json",
            type=_json_object,
            default={},
            metavar="OBJECT",
            help="arguments as one JSON object",
        )
        Answering.add_answers(parser)
        Connecting.add_common(parser, "text", "json")

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Calling:
        target, words = find_target(found.words, command)
        if not words:
            raise ValueError("name the TOOL to call")
        return cls(
            target=target,
            tool=words[0],
            arguments=[argument(word) for word in words[1:]],
            json=found.json,
            **cls.read_answers(found),
        )

    async def talk(self) -> int:
        """Call the tool. The status is 1 if the tool failed.

        Raises:
            CommandError: The server cannot be reached, or the tool does not take these arguments.
            MCPError: The server does not answer as it must, or answers with an error.
        """
        return 1 if (await _call(self)).is_error else 0


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value


async def _call(options: Calling) -> CallToolResult:
    terminal = Terminal(has_bar=not options.verbosity)
    async with connected_to_answer(options, terminal) as client:
        offered = await tools(client)
        listed = find(offered, options.tool, "tool", may_be_hidden=is_url(options.target))
        arguments = _arguments(listed or Tool(name=options.tool, input_schema={}), options)
        shown = Shown(terminal, options)
        with asking_for(offered, options.tool, "tool"):
            async with terminal.bar() as progress:
                if shown.has_chunks:
                    result = await _stream(client, options, arguments, progress, shown)
                else:
                    result = await client.call_tool(options.tool, arguments, progress=progress)
        shown.end(result, client)
        if result.is_error and listed is None:
            sys.stderr.write(f"trimcp: {printable(not_listed(offered, options.tool, 'tool'))}\n")
        return result


async def _stream(
    client: Client,
    options: Calling,
    arguments: dict[str, Any],
    progress: ProgressCallback | None,
    shown: Shown,
) -> CallToolResult:
    """Call the tool, and show the chunks as they come, if it streams."""
    async with client.stream_tool(
        options.tool, arguments, progress=progress, timeout=options.timeout, buffer=_CHUNKS
    ) as stream:
        async for chunk in stream:
            shown.add([chunk, *stream.arrived()])
    return stream.result


class Shown:
    """What is shown of a call: on a terminal each chunk as it comes, then the result.

    Args:
        terminal: Where the progress is shown.
        options: The command.

    Attributes:
        has_chunks: Whether people watch who see them.
    """

    def __init__(self, terminal: Terminal, options: Calling) -> None:
        self._terminal = terminal
        self._output = chosen_output(options.output)
        self.has_chunks = self._output == "text" and sys.stdout.isatty()
        self._last: Any = None

    def add(self, chunks: list[Any]) -> None:
        """Show chunks."""
        self._terminal.give_way()
        self._last = chunks[-1]
        write_texts(each if isinstance(each, str) else json.dumps(each) for each in chunks)

    def end(self, result: CallToolResult, client: Client) -> None:
        """Show the result. Where a stream has no other one it is the last chunk, shown already."""
        if self._output == "json":
            write_json(encoded(result, client))
        elif not result.is_error and not _is_text_of(texts := texts_of(result), self._last):
            write_texts(texts)
        if result.is_error:
            paint(sys.stderr, [(failure_text(result), "error"), ("\n", None)])


def _is_text_of(texts: list[str], chunk: Any) -> bool:
    """Whether a result is the text of a chunk, or its JSON."""
    if chunk is None or len(texts) != 1:
        return False
    try:
        return texts[0] == chunk or bool(json.loads(texts[0]) == chunk)
    except (ValueError, RecursionError):
        return False


# -- arguments --------------------------------------------------------------------------------


def _arguments(tool: Tool, options: Calling) -> dict[str, Any]:
    """The arguments of the command line, converted and checked by the tool's schema."""
    schema = tool.input_schema
    _refuse_unknown(tool, [*options.json, *(each.key for each in options.arguments)])
    given = {each.key: _read(each, schema) for each in options.arguments}
    arguments = {**options.json, **given}
    missing = [name for name, _, needed in properties(schema) if needed and name not in arguments]
    if missing:
        raise CommandError(f"missing: {', '.join(missing)}; {_takes(tool)}")
    return arguments


#: With one of these keywords in its schema, a tool may take arguments that are not in `properties`.
_OPEN: Final = ("additionalProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf")


def _refuse_unknown(tool: Tool, names: list[str]) -> None:
    schema = tool.input_schema
    known = [name for name, *_ in properties(schema)]
    if "properties" not in schema or any(schema.get(word) for word in _OPEN):
        # The tool may take arguments that its schema does not name.
        return
    unknown = [name for name in names if name not in known]
    if unknown:
        hint = did_you_mean(unknown[0], (name for name in known if name not in names))
        raise CommandError(f"unknown: {', '.join(unknown)}{hint or ';'} {_takes(tool)}")


def _read(argument: Argument, schema: Mapping[str, Any]) -> Any:
    try:
        if argument.is_json:
            return read_json(argument.text)
        expected = {name: each for name, each, _ in properties(schema)}.get(argument.key)
        return read_value(argument.text, expected, schema)
    except ValueError as error:
        raise CommandError(f"argument {argument.key}: {error}") from None


def _takes(tool: Tool) -> str:
    """The arguments of a tool, for error messages."""
    schema = tool.input_schema
    named = [
        f"{name} ({describe(each, schema)}{', required' if is_required else ''})"
        for name, each, is_required in properties(schema)
    ]
    return f"{tool.name} takes {', '.join(named) or 'no arguments'}"
