"""What is stored of a login outlasts logins that fail, and does not come back after a logout."""

from __future__ import annotations

import json
import webbrowser
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from trimcp import AuthorizationFailed, OptionError, open_client
from trimcp.auth import MemoryTokenStorage, OAuth

from .world import Answer, Request, World, open_world

if TYPE_CHECKING:
    from trimcp.auth import TokenStorage


async def logged_in(world: World, storage: TokenStorage) -> None:
    """Log in with a redirect URI that the next login will not have."""
    auth = world.oauth(storage, redirect_uri="http://127.0.0.1:4567/callback")
    async with open_client(world.url, auth=auth):
        pass
    assert len(world.of("/register")) == 1


async def is_kept(world: World, storage: TokenStorage) -> None:
    """The login that is stored still brings a token by a refresh."""
    del world.answer_with["/token"]
    world.scopes = set()
    world.revoke()
    async with open_client(world.url, auth=OAuth(storage=storage, no_login="nobody")) as client:
        await client.call_tool("x")


def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(using: str | None = None) -> None:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", fail)


@pytest.mark.parametrize("has_reason", [True, False])
async def test_where_nobody_can_log_in_no_client_is_registered(
    has_reason: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_browser(monkeypatch)
    storage = MemoryTokenStorage()
    auth = OAuth(storage=storage, no_login="nobody here" if has_reason else None)
    words = "nobody here" if has_reason else "no browser"
    async with open_world() as world:
        with pytest.raises(AuthorizationFailed, match=words):
            async with open_client(world.url, auth=auth):
                pass
        assert world.of("/register") == []
        await logged_in(world, storage)
        world.answer_with["/token"] = Answer(503)
        world.revoke()
        with pytest.raises(AuthorizationFailed, match=words):
            async with open_client(world.url, auth=auth):
                pass
        assert len(world.of("/register")) == 1
        await is_kept(world, storage)


async def test_a_scope_that_nobody_can_ask_for_leaves_the_login() -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        await logged_in(world, storage)
        world.answer_with["/token"] = Answer(503)
        world.scopes = {"a"}
        async with open_client(world.url, auth=OAuth(storage=storage, no_login="nobody")) as client:
            with pytest.raises(AuthorizationFailed, match="nobody"):
                await client.call_tool("x")
        assert len(world.of("/register")) == 1
        await is_kept(world, storage)


@pytest.mark.parametrize("path", ["/authorize", "/token"])
@pytest.mark.parametrize("error", ["access_denied", "invalid_scope", "invalid_client"])
async def test_a_login_that_fails_leaves_the_one_that_is_stored(path: str, error: str) -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        await logged_in(world, storage)

        async def refuse(request: Request) -> Answer | None:
            if path == "/token":
                is_login = request.form["grant_type"] == "authorization_code"
                return Answer(400, {"error": error}) if is_login else None
            back = {"error": error, "state": request.query["state"], "iss": world.origin}
            return Answer(
                302, headers={"location": f"{request.query['redirect_uri']}?{urlencode(back)}"}
            )

        world.before[path] = refuse
        world.answer_with["/token"] = Answer(503)
        world.scopes = {"a"}
        async with open_client(world.url, auth=world.oauth(storage)) as client:
            with pytest.raises(AuthorizationFailed, match=error):
                await client.call_tool("x")
        assert len(world.of("/register")) > 1
        await is_kept(world, storage)


async def test_a_login_that_succeeds_replaces_the_client() -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        await logged_in(world, storage)
        world.scopes = {"a"}
        async with open_client(world.url, auth=world.oauth(storage)) as client:
            await client.call_tool("x")
        stored = json.loads(await storage.load(f"client {world.origin}") or "")
        assert stored["client_id"] == "client2"
        world.answer_with["/token"] = Answer(503)
        await is_kept(world, storage)


@pytest.mark.parametrize("option", ["redirect", "browser"])
def test_nobody_logs_in_in_no_way(option: str) -> None:
    with pytest.raises(OptionError, match="no_login="):
        OAuth(no_login="nobody", **{option: str})  # type: ignore[arg-type]
