"""`trimcp list`: the tools of a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import trio

from trimcp.protocol import LATEST, codec_for, find_revision

from ._connecting import connected
from ._logging import log_as_tool
from ._output import chosen_output, write, write_json
from ._table import table
from ._terminal import output_width, printable
from ._values import describe, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trimcp.types import Tool

    from ._arguments import Connecting

__all__ = ["list_tools"]


def list_tools(options: Connecting) -> int:
    """List the tools.

    Raises:
        CommandError: The server cannot be reached.
        MCPError: It does not answer as it must.
    """
    log_as_tool(options.verbosity)
    trio.run(_list_tools, options)
    return 0


async def _list_tools(options: Connecting) -> None:
    async with connected(options) as client:
        tools = await client.list_tools()
        if chosen_output(options.output) == "json":
            codec = codec_for(find_revision(client.revision) or LATEST)
            write_json({"tools": [codec.encode(tool) for tool in tools]})
        else:
            write(_as_text(tools))


def _as_text(tools: Sequence[Tool]) -> str:
    if not tools:
        return "The server has no tools."
    rows = [("TOOL", "ARGUMENTS", "DESCRIPTION")]
    rows += [(printable(each.name), _arguments(each), _description(each)) for each in tools]
    return table(rows, output_width())


def _description(tool: Tool) -> str:
    """The title and the first line of the description, as far as there are such."""
    title = tool.title or (tool.annotations and tool.annotations.title)
    first, *_ = (tool.description or "").strip().splitlines() or [""]
    return printable(": ".join(each for each in (title, first) if each))


def _arguments(tool: Tool) -> str:
    return "\n".join(map(printable, _describe_arguments(tool.input_schema)))


def _describe_arguments(schema: Mapping[str, Any]) -> Iterator[str]:
    """Each argument with a mark if it is required, its type, and its default."""
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        mark = "*" if name in required else ""
        default = resolve(each, schema).get("default")
        standard = "" if default is None else f" = {json.dumps(default, ensure_ascii=False)}"
        yield f"{name}{mark}: {describe(each, schema)}{standard}"
