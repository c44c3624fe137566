"""`trimcp inspect`: show everything that a server says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ._connecting import connected
from ._listing import listing
from ._options import TARGET, Connecting, find_target, refuse_more, usage
from ._output import chosen_output, encoded, write_json, write_pieces
from ._screen import printable
from ._table import table
from ._terminal import output_width

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from trimcp.client import Client

    from ._listing import Listed

__all__ = ["Inspecting"]


@attrs.frozen(kw_only=True)
class Inspecting(Connecting):
    """`trimcp inspect`."""

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = usage("inspect")
        parser.description = (
            "Show everything that a server says about itself; with --output json also all schemas."
        )
        parser.epilog = TARGET
        Connecting.add_common(parser, "text", "json")

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Inspecting:
        target, words = find_target(found.words, command)
        refuse_more(words, "inspect takes nothing more than the server")
        return cls(target=target, **cls.read_common(found))

    async def talk(self) -> int:
        """Show everything about the server.

        Raises:
            CommandError: The server cannot be reached.
            MCPError: It does not answer as it must.
        """
        await _inspect(self)
        return 0


async def _inspect(options: Inspecting) -> None:
    async with connected(options) as client:
        found = await listing(client)
        if chosen_output(options.output) == "json":
            write_json(_document(client, found))
        else:
            rows = [row for row in _rows(client, found) if row[1]]
            write_pieces(table(rows, output_width(), headings="column"))


def _document(client: Client, found: Listed) -> dict[str, Any]:
    """All that is known of the server, with wire names."""
    known = {
        "serverInfo": encoded(client.server_info, client),
        "protocolVersion": client.revision,
        "capabilities": encoded(client.capabilities, client),
        "instructions": client.instructions,
        **{key: encoded(items, client) for key, items in found.items()},
    }
    return {key: value for key, value in known.items() if value is not None}


def _rows(client: Client, found: Listed) -> Iterator[tuple[str, str]]:
    """Each fact with its name."""
    server = client.server_info
    if server is not None:
        yield "name", printable(server.name)
        yield "title", printable(server.title or "")
        yield "version", printable(server.version)
        yield "website", printable(server.website_url or "")
        yield "description", _lines(server.description)
    yield "revision", client.revision
    yield "capabilities", _capabilities(encoded(client.capabilities, client))
    for key, items in found.items():
        yield _NAMES[key], _counted(items)
    yield "instructions", _lines(client.instructions)


_NAMES: Mapping[str, str] = {
    "tools": "tools",
    "resources": "resources",
    "resourceTemplates": "templates",
    "prompts": "prompts",
}


def _capabilities(declared: Mapping[str, Any]) -> str:
    """Each capability, with what it includes: `tools (listChanged)`."""
    return ", ".join(
        f"{printable(name)} ({', '.join(map(printable, parts))})" if parts else printable(name)
        for name, detail in declared.items()
        for parts in [_parts(detail)]
    )


def _parts(detail: Any) -> list[str]:
    if not isinstance(detail, dict):
        return []
    return [part for part, value in detail.items() if value is not False]


def _counted(items: Sequence[Any]) -> str:
    """The number of items, and their names."""
    return ": ".join(filter(None, (str(len(items)), ", ".join(printable(i.name) for i in items))))


def _lines(text: str | None) -> str:
    return "\n".join(map(printable, (text or "").splitlines()))
