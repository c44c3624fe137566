"""A client that listens at a protected server, for longer than its token lives."""

from __future__ import annotations

import functools
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

from trimcp import InvalidToken, Principal, ResourceUpdated, Server, open_client

from .world import World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Seconds that a token lives: at least one, since that is how authorization servers count.
LIFE = 1


class Issued:
    """Knows the tokens of the scripted authorization server, each for a second."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._since: dict[str, float] = {}

    async def verify(self, token: str) -> Principal:
        await trio.lowlevel.checkpoint()
        expires = self._since.setdefault(token, time.time()) + LIFE
        if token not in self._world.good or expires <= time.time():
            raise InvalidToken("it has expired")
        return Principal("alice", "app", expires=expires)


@asynccontextmanager
async def open_protected() -> AsyncIterator[tuple[World, Server[None], str]]:
    async with open_world(life=LIFE) as world, trio.open_nursery() as nursery:
        server: Server[None] = Server("x", auth=Issued(world), authorization_servers=[world.origin])

        @server.resource("test://a")
        def a() -> str:
            return "a"

        (url,) = await nursery.start(functools.partial(server.serve_http, port=0))
        yield world, server, f"http://{urlsplit(url).netloc}/mcp"
        nursery.cancel_scope.cancel()


async def test_listening_goes_on_after_the_token_has_expired() -> None:
    async with (
        open_protected() as (world, server, url),
        open_client(url, auth=world.oauth()) as client,
        client.listen(resources=["test://a"]) as changes,
    ):
        before = len(world.good)
        # The server ends the subscription, and what happened meanwhile may be lost; so when it is
        # there again, everything counts as changed.
        assert await anext(changes) == ResourceUpdated("test://a")
        assert len(world.good) > before
        await server.notify_resource_updated("test://a")
        assert await anext(changes) == ResourceUpdated("test://a")
        assert len(world.logins) == 1
