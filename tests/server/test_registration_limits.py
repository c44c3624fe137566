"""What registers can be listed: nothing that the server says of itself is too long or too deep."""

from __future__ import annotations

from typing import Any

import pytest

from trimcp import Limits, RegistrationError, Server, open_client
from trimcp.types import Icon

REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def register(server: Server, kind: str, **options: Any) -> None:
    def nothing() -> str:
        return ""

    def one(a: str) -> str:
        return a

    if kind == "tool":
        server.tool(**options)(nothing)
    elif kind == "prompt":
        server.prompt(**options)(nothing)
    elif kind == "resource":
        server.resource("x://a", **options)(nothing)
    else:
        server.resource("x://{a}", **options)(one)


KINDS = ("tool", "prompt", "resource", "template")


@pytest.mark.parametrize("kind", KINDS)
def test_meta_that_is_too_deep_for_a_list_is_refused(kind: str) -> None:
    with pytest.raises(RegistrationError, match="nested deeper"):
        register(Server("x"), kind, meta=nested(300))


@pytest.mark.parametrize("field", ["title", "description"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_no_list_can_hold_is_refused(kind: str, field: str) -> None:
    with pytest.raises(RegistrationError, match="message_bytes"):
        register(Server("x", limits=Limits(message_bytes=9000)), kind, **{field: "x" * 9000})


def test_instructions_that_no_answer_can_hold_are_refused() -> None:
    with pytest.raises(RegistrationError, match="server"):
        Server("x", instructions="x" * 9000, limits=Limits(message_bytes=9000))


def test_an_identity_that_no_answer_can_hold_is_refused() -> None:
    with pytest.raises(RegistrationError, match="server"):
        Server("x", title="x" * 9000, limits=Limits(message_bytes=9000))


@pytest.mark.parametrize("revision", REVISIONS)
async def test_what_just_fits_is_listed(revision: str) -> None:
    limits = Limits(message_bytes=9000, nesting=20)
    icons = [Icon("https://example.com/" + "i" * 1000)]
    server = Server("x", title="t" * 1000, instructions="i" * 5000, icons=icons, limits=limits)
    for kind in KINDS:
        for size in range(9000, 0, -10):
            try:
                register(server, kind, description="x" * size)
                break
            except RegistrationError:
                pass
    for kind in KINDS:
        for depth in range(30, 0, -1):
            another = Server("x", limits=limits)
            try:
                register(another, kind, name="deep", meta=nested(depth))
                break
            except RegistrationError:
                pass
        async with open_client(another, revision=revision) as client:
            assert await listed(client, kind)
    async with open_client(server, revision=revision) as client:
        for kind in KINDS:
            assert await listed(client, kind)


async def listed(client: Any, kind: str) -> Any:
    if kind == "tool":
        return await client.list_tools()
    if kind == "prompt":
        return await client.list_prompts()
    if kind == "resource":
        return await client.list_resources()
    return await client.list_resource_templates()


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_list_that_is_longer_than_an_answer_comes_in_pages(revision: str) -> None:
    server = Server("x", limits=Limits(message_bytes=5000))
    for number in range(20):
        register(server, "tool", name=f"t{number}", description="x" * 900)
    async with open_client(server, revision=revision) as client:
        assert [each.name for each in await client.list_tools()] == [f"t{n}" for n in range(20)]
