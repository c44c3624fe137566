"""Listing what a server offers, by the capabilities that it declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from trimcp.errors import METHOD_NOT_FOUND, RequestError

from ._errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimcp.client import Client
    from trimcp.types import Prompt, ResourceTemplate, Tool

__all__ = ["Listed", "find", "listing", "prompts", "tools"]

#: By the wire names of the lists: `tools`, `resources`, `resourceTemplates`, `prompts`.
Listed: TypeAlias = dict[str, "Sequence[Any]"]

NamedT = TypeVar("NamedT", "Tool", "Prompt")


async def listing(client: Client) -> Listed:
    """All that the server declares."""
    offered = client.capabilities
    found: Listed = {}
    if offered.tools is not None:
        found["tools"] = await client.list_tools()
    if offered.resources is not None:
        found["resources"] = await client.list_resources()
        found["resourceTemplates"] = await _templates(client)
    if offered.prompts is not None:
        found["prompts"] = await client.list_prompts()
    return found


async def tools(client: Client) -> list[Tool]:
    """The tools; an empty list if the server declares none."""
    return [] if client.capabilities.tools is None else await client.list_tools()


async def prompts(client: Client) -> list[Prompt]:
    """The prompts; an empty list if the server declares none."""
    return [] if client.capabilities.prompts is None else await client.list_prompts()


async def _templates(client: Client) -> list[ResourceTemplate]:
    """The templates. They have no capability of their own, so a server may not know the method."""
    try:
        return await client.list_resource_templates()
    except RequestError as error:
        if error.code != METHOD_NOT_FOUND:
            raise
        return []


def find(offered: Sequence[NamedT], name: str, kind: str) -> NamedT:
    """The tool or prompt of this name. Raises CommandError."""
    for each in offered:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in offered) or f"no {kind}s at all"
    raise CommandError(f"no {kind} {name!r}; the server has {known}")
