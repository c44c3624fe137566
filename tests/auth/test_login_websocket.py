"""A WebSocket client that logs in: the token goes with the handshake."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import (
    AuthorizationFailed,
    HandshakeFailed,
    OptionError,
    Server,
    open_client,
    open_websocket_client,
)
from trimcp.auth import OAuth

from .world import Answer, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def open_both() -> AsyncIterator[tuple[World, str]]:
    server = Server("x")

    @server.tool
    def x() -> str:
        return "done"

    async with open_world() as world, trio.open_nursery() as nursery:
        serve = functools.partial(server.serve_websocket, "127.0.0.1", 0, path="/ws")
        world.websocket = (await nursery.start(serve))[0][1]
        world.more_resource = {"resource": f"{world.origin}/ws"}
        yield world, f"{world.origin.replace('http', 'ws')}/ws"
        nursery.cancel_scope.cancel()


async def test_a_login() -> None:
    async with open_both() as (world, url):
        auth = world.oauth()
        for _ in range(2):
            async with open_client(url, auth=auth) as client:
                await client.call_tool("x")
        assert len(world.logins) == 1
        assert world.logins[0]["resource"] == f"{world.origin}/ws"
        assert [("authorization" in each.headers) for each in world.of("/ws")] == [
            False,
            True,
            True,
        ]


async def test_a_login_that_fails() -> None:
    async with open_both() as (world, url):
        world.answer_with["/register"] = Answer(403)
        with pytest.raises(AuthorizationFailed):
            async with open_client(url, auth=world.oauth()):
                pass


async def test_a_refusal_that_stands() -> None:
    async with open_both() as (world, url):
        world.answer_with["/ws"] = Answer(403, headers={"www-authenticate": "Bearer"})
        with pytest.raises(HandshakeFailed) as caught:
            async with open_client(url, auth=world.oauth()):
                pass
        assert caught.value.status == 403
        assert caught.value.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["Authorization", "DPoP"])
async def test_two_sources_of_one_header(name: str) -> None:
    with pytest.raises(OptionError, match=name):
        async with open_websocket_client(
            "ws://127.0.0.1:1/", headers={name.lower(): "Bearer x"}, auth=OAuth()
        ):
            pass
