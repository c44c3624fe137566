"""Listing what a server offers, by the capabilities that it declares."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from trimcp._similar import did_you_mean
from trimcp.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RequestError

from ._errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimcp.client import Client
    from trimcp.types import Prompt, ResourceTemplate, Tool

__all__ = ["Listed", "asking_for", "find", "listing", "not_listed", "prompts", "tools"]

#: By the wire names of the lists: `tools`, `resources`, `resourceTemplates`, `prompts`.
Listed: TypeAlias = dict[str, "Sequence[Any]"]

NamedT = TypeVar("NamedT", "Tool", "Prompt")

#: How servers answer a name that they do not know.
_UNKNOWN: Final = frozenset({INVALID_PARAMS, METHOD_NOT_FOUND})


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


def find(offered: Sequence[NamedT], name: str, kind: str, *, may_be_hidden: bool) -> NamedT | None:
    """The tool or prompt of this name.

    Args:
        offered: What the server lists.
        name: The name.
        kind: `tool` or `prompt`.
        may_be_hidden: Whether the server may leave out what needs other scopes than the caller
            has. Then only its answer to the request itself says whether there is one.

    Returns:
        None if it is not listed, but may be hidden.

    Raises:
        CommandError: There is none.
    """
    found = next((each for each in offered if each.name == name), None)
    if found is None and not may_be_hidden:
        raise CommandError(not_listed(offered, name, kind))
    return found


@contextmanager
def asking_for(offered: Sequence[NamedT], name: str, kind: str) -> Iterator[None]:
    """Explain the server's refusal of a tool or prompt that it does not list.

    Raises:
        CommandError: In place of an error that says that the name is not known.
    """
    try:
        yield
    except RequestError as error:
        if error.code not in _UNKNOWN or any(each.name == name for each in offered):
            raise
        words = not_listed(offered, name, kind)
        raise CommandError(f"{words}; it answers: {error}") from error


def not_listed(offered: Sequence[NamedT], name: str, kind: str) -> str:
    """That there is no tool or prompt of this name, and which there are."""
    known = ", ".join(each.name for each in offered) or f"no {kind}s at all"
    hint = did_you_mean(name, (each.name for each in offered))
    there = f"{hint} The" if hint else "; the"
    return f"no {kind} {name!r}{there} server has {known}"
