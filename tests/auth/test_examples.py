"""The programs of the page about authorization, over every transport that brings tokens."""

from __future__ import annotations

import functools
import importlib.util
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import (
    Forbidden,
    HandshakeFailed,
    RequestError,
    open_http_client,
    open_websocket_client,
)
from trimcp.types import TextContent, TextResourceContents

from .guarded import parameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import ModuleType

    from trimcp import Client

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def load(name: str) -> ModuleType:
    """A fresh copy of an example."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def secure() -> ModuleType:
    return load("auth")


@asynccontextmanager
async def connected(
    secure: ModuleType, transport: str, headers: dict[str, str]
) -> AsyncIterator[Client]:
    """A client of the example, over one of its transports."""
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(secure.server.serve_http, "127.0.0.1", 0)
        opening: Any
        if transport == "websocket":
            opening = open_websocket_client(f"{url.replace('http', 'ws')}/ws", headers=headers)
        elif transport == "sse":
            opening = open_http_client(f"{url}/sse", revision="2024-11-05", headers=headers)
        else:
            opening = open_http_client(f"{url}/mcp", revision=transport, headers=headers)
        async with opening as client:
            yield client
        nursery.cancel_scope.cancel()


TRANSPORTS = ["2026-07-28", "2025-11-25", "sse", "websocket"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("subject", "scope", "allowed"),
    [("alice", "mcp", True), ("bob", "mcp", False), ("carol", "mcp admin", True)],
    ids=["owner", "another", "administrator"],
)
async def test_a_user_is_shown_to_themselves_and_to_administrators(
    secure: ModuleType, transport: str, subject: str, scope: str, allowed: bool
) -> None:
    headers = secure.bearer(secure.token(subject, scope))
    async with connected(secure, transport, headers) as client:
        if not allowed:
            with pytest.raises(Forbidden, match="not yours"):
                await client.read_resource("user://alice")
            return
        (content,) = (await client.read_resource("user://alice")).contents
        assert isinstance(content, TextResourceContents)
        assert content.text == '{"id":"alice","name":"User alice"}'


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", ["none", "forged", "expired", "elsewhere", "unscoped"])
async def test_nobody_else_comes_in(secure: ModuleType, transport: str, kind: str) -> None:
    given = {
        "forged": secure.token("alice")[:-4] + "AAAA",
        "expired": secure.token("alice", exp=1),
        "elsewhere": secure.token("alice", aud="https://other.example.com"),
        "unscoped": secure.token("alice", "other"),
    }
    headers = {} if kind == "none" else secure.bearer(given[kind])
    status = 403 if kind == "unscoped" else 401
    with pytest.raises((RequestError, HandshakeFailed, Exception)) as caught:
        async with connected(secure, transport, headers):
            raise AssertionError("it was let in")
    (error,) = leaves(caught.value)
    told = getattr(error, "http_status", None) or getattr(error, "status", None)
    assert told == status, error


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in leaves(each)]
    return [error]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_tools_by_scope_and_by_argument(secure: ModuleType, transport: str) -> None:
    async with connected(secure, transport, secure.bearer(secure.token("alice"))) as client:
        assert [tool.name for tool in await client.list_tools()] == ["share_file"]
        mine = await client.call_tool("share_file", {"name": "a", "user": "alice"})
        assert mine.content == (TextContent("alice may read a"),)
        for name, arguments in (
            ("share_file", {"name": "a", "user": "bob"}),
            ("delete_file", {"name": "a"}),
        ):
            with pytest.raises(Forbidden) as caught:
                await client.call_tool(name, arguments)
            needed = "files:share" if name == "share_file" else "files:write"
            assert caught.value.data == {"scope": f"{needed} mcp"}
    headers = secure.bearer(secure.token("carol", "mcp admin"))
    async with connected(secure, transport, headers) as client:
        assert len(await client.list_tools()) == 2
        gone = await client.call_tool("delete_file", {"name": "a"})
        assert gone.content == (TextContent("a is gone"),)


async def test_the_challenge_of_the_example(secure: ModuleType) -> None:
    import httpx2

    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(secure.server.serve_http, "127.0.0.1", 0)
        async with httpx2.AsyncClient(trust_env=False) as http:
            reply = await http.post(f"{url}/mcp", headers=secure.bearer("nonsense"))
            assert reply.status_code == 401
            told = parameters(reply.headers["www-authenticate"])
            assert told["resource_metadata"] == (
                "https://mcp.example.com/.well-known/oauth-protected-resource"
            )
            assert told["error"] == "invalid_token"
            document = (await http.get(f"{url}/.well-known/oauth-protected-resource")).json()
            assert document["resource"] == "https://mcp.example.com"
            assert document["authorization_servers"] == ["https://auth.example.com"]
        nursery.cancel_scope.cancel()


PRINTED = {
    "auth": ["the owner: {", "another user: refused: not yours", "nobody: an access token"],
    "auth_starlette": ["key-of-bob: not yours", "no such key: not yours"],
    "auth_dpop": ["with proofs: alice", "another key: refused: ", "again: refused: "],
    "auth_api_keys": ["'bob'", "['who']", "['who', 'delete_all']"],
}


@pytest.mark.parametrize("name", PRINTED)
async def test_the_programs_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with trio.fail_after(30):
        await load(name).main()
    told = capsys.readouterr().out
    assert [each for each in PRINTED[name] if each not in told] == []


async def test_members_of_a_site_by_its_own_middleware() -> None:
    members = load("auth_starlette")
    async with trio.open_nursery() as nursery:
        serve = functools.partial(members.server.serve_http, "127.0.0.1", 0, app=members.site)
        [url] = await nursery.start(serve)
        for key, allowed in (("key-of-alice", True), ("key-of-bob", False), ("none", False)):
            async with open_http_client(f"{url}/mcp", headers={"x-member-key": key}) as client:
                if allowed:
                    assert (await client.read_resource("user://alice")).contents
                else:
                    with pytest.raises(Forbidden):
                        await client.read_resource("user://alice")
        nursery.cancel_scope.cancel()
