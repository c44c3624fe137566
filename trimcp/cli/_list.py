"""`trimcp list`: list what a server offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ._connecting import connected
from ._listing import listing
from ._options import TARGET, Connecting, find_target, refuse_more, usage
from ._output import chosen_output, encoded, write_json, write_pieces
from ._schemas import brief, describe, properties, resolve
from ._screen import printable
from ._table import table
from ._terminal import output_width

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trimcp.types import Prompt, Resource, ResourceTemplate, Tool

    from ._colours import Piece
    from ._listing import Listed

__all__ = ["Listing"]


@attrs.frozen(kw_only=True)
class Listing(Connecting):
    """`trimcp list`."""

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = usage("list")
        parser.description = (
            "List the tools, resources, resource templates and prompts of a server; "
            "* marks required arguments."
        )
        parser.epilog = TARGET
        Connecting.add_common(parser, "text", "json")

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Listing:
        target, words = find_target(found.words, command)
        refuse_more(words, "list takes nothing more than the server")
        return cls(target=target, **cls.read_common(found))

    async def talk(self) -> int:
        """List all that the server declares.

        Raises:
            CommandError: The server cannot be reached.
            MCPError: It does not answer as it must.
        """
        await _list_all(self)
        return 0


async def _list_all(options: Listing) -> None:
    async with connected(options) as client:
        found = await listing(client)
        if chosen_output(options.output) == "json":
            write_json({key: encoded(items, client) for key, items in found.items()})
        else:
            write_pieces(_in_sections(found))


def _in_sections(found: Listed) -> Iterator[Piece]:
    if not found:
        yield "The server declares nothing that could be listed.", None
    for number, (key, items) in enumerate(found.items()):
        if number:
            yield "\n", None
        yield from _SECTIONS[key](items)


# -- sections ---------------------------------------------------------------------------------


def _tools(tools: Sequence[Tool]) -> Iterator[Piece]:
    rows = [(printable(each.name), _arguments(each), _of_tool(each)) for each in tools]
    return _section("tools", ("TOOL", "ARGUMENTS", "DESCRIPTION"), rows)


def _resources(resources: Sequence[Resource]) -> Iterator[Piece]:
    rows = [(printable(each.uri), _type(each), _of_resource(each)) for each in resources]
    return _section("resources", ("RESOURCE", "TYPE", "DESCRIPTION"), rows)


def _templates(templates: Sequence[ResourceTemplate]) -> Iterator[Piece]:
    rows = [(printable(each.uri_template), _type(each), _of_resource(each)) for each in templates]
    return _section("resource templates", ("RESOURCE TEMPLATE", "TYPE", "DESCRIPTION"), rows)


def _prompts(prompts: Sequence[Prompt]) -> Iterator[Piece]:
    rows = [
        (printable(each.name), _prompt_arguments(each), _about(each.title, each.description))
        for each in prompts
    ]
    return _section("prompts", ("PROMPT", "ARGUMENTS", "DESCRIPTION"), rows)


_SECTIONS: Mapping[str, Callable[[Sequence[Any]], Iterator[Piece]]] = {
    "tools": _tools,
    "resources": _resources,
    "resourceTemplates": _templates,
    "prompts": _prompts,
}


def _section(
    name: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> Iterator[Piece]:
    if not rows:
        return iter([(f"The server has no {name}.\n", None)])
    return table([headings, *rows], output_width(), headings="row")


# -- cells ------------------------------------------------------------------------------------


def _about(title: str | None, description: str | None) -> str:
    """The title and the first line of the description, if there are any."""
    first, *_ = (description or "").strip().splitlines() or [""]
    return printable(": ".join(each for each in (title, first) if each))


def _of_tool(tool: Tool) -> str:
    older = None if tool.annotations is None else tool.annotations.title
    return _about(tool.title or older, tool.description)


def _of_resource(resource: Resource | ResourceTemplate) -> str:
    return _about(resource.title or resource.name, resource.description)


def _type(resource: Resource | ResourceTemplate) -> str:
    return printable(resource.mime_type or "")


def _arguments(tool: Tool) -> str:
    return "\n".join(map(printable, _describe_arguments(tool.input_schema)))


def _describe_arguments(schema: Mapping[str, Any]) -> Iterator[str]:
    """Each argument with a mark if it is required, its type, and its default."""
    for name, each, is_required in properties(schema):
        mark = "*" if is_required else ""
        default = resolve(each, schema).get("default")
        standard = "" if default is None else f" = {brief(default)}"
        yield f"{name}{mark}: {describe(each, schema)}{standard}"


def _prompt_arguments(prompt: Prompt) -> str:
    return "\n".join(
        printable(f"{each.name}{'*' if each.required else ''}") for each in prompt.arguments or ()
    )
