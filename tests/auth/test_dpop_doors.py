"""Bound tokens at our own server, through every door, and where requests go on to."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest
import trio

from trimcp import (
    AuthorizationFailed,
    HandshakeFailed,
    InvalidToken,
    MCPError,
    Principal,
    Server,
    open_client,
    open_http_client,
)
from trimcp.auth import DPoPVerifier
from trimcp.types import TextContent

from .bound import ISSUER, SERVER, BoundWorld, open_bound
from .world import Answer, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp import Client
    from trimcp.runtime import Presentation, Proven


class Issued:
    """Knows the tokens of the scripted authorization server."""

    def __init__(self, world: BoundWorld) -> None:
        self._world = world

    async def verify(self, token: str) -> Principal:
        await trio.lowlevel.checkpoint()
        if token not in self._world.good:
            raise InvalidToken
        bound = {"cnf": {"jkt": self._world.thumbprint_of(token)}}
        return Principal("alice", "app", scopes=self._world.good[token], claims=bound)


class Watched(DPoPVerifier):
    """Notes what was accepted."""

    accepted: list[tuple[str, str]]

    async def verify_presented(self, presented: Presentation) -> Proven:
        proven = await super().verify_presented(presented)
        self.accepted.append((presented.method, urlsplit(presented.url).path))
        return proven


@asynccontextmanager
async def open_protected(**options: Any) -> AsyncIterator[tuple[BoundWorld, Watched, str]]:
    """The authorization server, and what the server accepts; the origin of the latter."""
    async with open_bound() as world, trio.open_nursery() as nursery:
        watched = Watched(Issued(world), **options)
        watched.accepted = []
        server: Server[None] = Server(
            "x", auth=watched, authorization_servers=[world.origin], required_scopes={"a"}
        )

        @server.tool
        def x() -> str:
            return "done"

        @server.tool(scopes={"b"})
        def y() -> str:
            return "done, too"

        @server.resource("test://a")
        def a() -> str:
            return "a"

        (url,) = await nursery.start(functools.partial(server.serve_http, port=0))
        yield world, watched, f"http://{urlsplit(url).netloc}"
        nursery.cancel_scope.cancel()


async def text_of(client: Client, tool: str) -> str:
    (content,) = (await client.call_tool(tool)).content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("nonces", [False, True])
@pytest.mark.parametrize(
    ("path", "options", "accepted"),
    [
        ("/mcp", {"revision": "2026-07-28"}, {("POST", "/mcp")}),
        (
            "/mcp",
            {"revision": "2025-11-25"},
            {("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp")},
        ),
        ("/sse", {}, {("POST", "/sse"), ("GET", "/sse"), ("POST", "/messages")}),
    ],
)
async def test_every_door(
    path: str, options: Any, accepted: set[tuple[str, str]], nonces: bool
) -> None:
    async with open_protected(nonces=nonces) as (world, watched, origin):
        async with open_client(origin + path, auth=world.oauth(), **options) as client:
            assert await text_of(client, "x") == "done"
            assert len(world.logins) == 1
            assert await text_of(client, "y") == "done, too"
            async with client.listen(resources=["test://a"]):
                pass
            world.revoke()
            assert await text_of(client, "y") == "done, too"
            assert [each["scope"] for each in world.logins] == ["a", "a b"]
        assert set(watched.accepted) == accepted


@pytest.mark.parametrize("nonces", [False, True])
async def test_the_handshake_of_a_websocket(nonces: bool) -> None:
    async with open_protected(nonces=nonces) as (world, watched, origin):
        url = origin.replace("http", "ws") + "/ws"
        auth = world.oauth()
        for _ in range(2):
            async with open_client(url, auth=auth) as client:
                assert await text_of(client, "x") == "done"
        assert len(world.logins) == 1
        assert watched.accepted == [("GET", "/ws")] * 2


async def test_nonces_of_handshakes() -> None:
    """Of one that was refused, and of one that succeeded: it is used if there is another."""
    server: Server[None] = Server("x")
    async with open_bound() as world, trio.open_nursery() as nursery:
        serve = functools.partial(server.serve_websocket, "127.0.0.1", 0, path="/ws")
        world.websocket = (await nursery.start(serve))[0][1]
        world.more_resource = {"resource": f"{world.origin}/ws"}
        world.nonces[SERVER] = "s1"
        url = f"{world.origin.replace('http', 'ws')}/ws"
        async with open_client(url, auth=world.oauth()):
            pass
        assert [each.claims.get("nonce") for each in world.proofs[SERVER]] == ["s1"]
        world.told[SERVER] = ["", *(f"!n{number}" for number in range(9))]
        with pytest.raises(AuthorizationFailed, match="nonce"):
            async with open_client(url, auth=world.oauth()):
                pass
        world.told[SERVER] = []
        world.answer_with["/ws"] = Answer(403)
        with pytest.raises(HandshakeFailed):
            async with open_client(url, auth=world.oauth()):
                pass
        nursery.cancel_scope.cancel()


# -- where requests go on to --------------------------------------------------------------------


@pytest.mark.parametrize("own_client", [False, True])
async def test_a_redirect_within_the_origin_gets_a_proof_of_its_own(own_client: bool) -> None:
    async with (
        open_bound() as world,
        httpx2.AsyncClient(trust_env=False, follow_redirects=True) as given,
    ):

        async def move(request: Request) -> Answer:
            token = request.headers.get("authorization", "").partition(" ")[2]
            if token:
                world._proof(SERVER, request, token)
            return Answer(307, headers={"location": "/mcp?moved", "dpop-nonce": "on-the-way"})

        world.nonces[SERVER] = "on-the-way"
        world.before["/old"] = move
        world.more_resource = {"resource": world.origin}
        http_client = given if own_client else None
        url = f"{world.origin}/old?x=y"
        async with open_http_client(url, auth=world.oauth(), http_client=http_client) as client:
            await client.call_tool("x")
        targets = [urlsplit(each.claims["htu"]).path for each in world.proofs[SERVER]]
        assert targets == ["/old", "/mcp"] * (len(targets) // 2)
        nonces = {each.claims.get("nonce") for each in world.proofs[SERVER]}
        assert nonces == {"on-the-way"}
        assert not world.mistaken


@pytest.mark.parametrize("own_client", [False, True])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_carries_a_proof_to_another_origin(own_client: bool, status: int) -> None:
    async with (
        open_bound() as world,
        open_bound() as other,
        httpx2.AsyncClient(trust_env=False, follow_redirects=True) as given,
    ):
        http_client = given if own_client else None
        async with open_http_client(
            world.url, auth=world.oauth(), http_client=http_client
        ) as client:
            away = Answer(status, headers={"location": other.url})
            world.answer_with["/mcp"] = away
            with pytest.raises(MCPError):
                await client.call_tool("x")
        world.answer_with.clear()
        world.answer_with["/token"] = Answer(status, headers={"location": f"{other.origin}/token"})
        with pytest.raises(AuthorizationFailed):
            async with open_client(world.url, auth=world.oauth()):
                pass
        assert world.proofs[ISSUER]
        assert other.requests == []
