"""A client that logs in at our own protected server, through every door."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trio

from trimcp import InvalidToken, Principal, RequestError, Server, open_client

from .world import World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Issued:
    """Knows the tokens of the scripted authorization server."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def verify(self, token: str) -> Principal:
        await trio.lowlevel.checkpoint()
        if token not in self._world.good:
            raise InvalidToken
        return Principal("alice", "app", scopes=self._world.good[token])


@asynccontextmanager
async def open_protected() -> AsyncIterator[tuple[World, str]]:
    """Both servers; yields the origin of the protected one."""
    async with open_world() as world, trio.open_nursery() as nursery:
        server: Server[None] = Server(
            "x", auth=Issued(world), authorization_servers=[world.origin], required_scopes={"a"}
        )

        @server.tool
        def x() -> str:
            return "done"

        @server.tool(scopes={"b"})
        def y() -> str:
            return "done, too"

        serve = functools.partial(server.serve_http, port=0)
        (url,) = await nursery.start(serve)
        yield world, f"http://{urlsplit(url).netloc}"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/mcp", {"revision": "2026-07-28"}),
        ("/mcp", {"revision": "2025-11-25"}),
        ("/mcp", {}),
        ("/sse", {}),
    ],
)
async def test_more_scopes_are_got_when_they_are_needed(path: str, options: Any) -> None:
    async with (
        open_protected() as (world, origin),
        open_client(origin + path, auth=world.oauth(), **options) as client,
    ):
        assert (await client.call_tool("x")).content[0].text == "done"  # type: ignore[union-attr]
        assert len(world.logins) == 1
        assert (await client.call_tool("y")).content[0].text == "done, too"  # type: ignore[union-attr]
        assert [each["scope"] for each in world.logins] == ["a", "a b"]
        world.revoke()
        assert (await client.call_tool("y")).content[0].text == "done, too"  # type: ignore[union-attr]
        assert len(world.logins) == 2


async def test_over_a_websocket_the_token_of_the_handshake_counts() -> None:
    async with open_protected() as (world, origin):
        url = origin.replace("http", "ws") + "/ws"
        async with open_client(url, auth=world.oauth()) as client:
            assert (await client.call_tool("x")).content[0].text == "done"  # type: ignore[union-attr]
            with pytest.raises(RequestError):
                await client.call_tool("y")
        async with open_client(url, auth=world.oauth(scopes=["b"])) as client:
            await client.call_tool("y")
