"""What is stored of a login outlasts logins that fail, and does not come back after a logout."""

from __future__ import annotations

import json
import logging
import webbrowser
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
import trio
import trio.testing

from trimcp import AuthorizationFailed, OptionError, open_client
from trimcp.auth import MemoryTokenStorage, OAuth

from .world import Answer, Request, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
        world.answer_with["/token"] = Answer(400, {"error": "invalid_request"})
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
            with pytest.raises(AuthorizationFailed, match=r"nobody.*needed: a"):
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


# -- logouts ------------------------------------------------------------------------------------


def revoking(world: World, status: int = 200) -> None:
    world.more_metadata["revocation_endpoint"] = f"{world.origin}/revoke"
    world.answer_with["/revoke"] = Answer(status)


def revoked(world: World) -> list[str]:
    return [each.form["token"] for each in world.of("/revoke")]


@asynccontextmanager
async def refreshing(
    world: World, auth: OAuth, storage: TokenStorage
) -> AsyncIterator[tuple[trio.Nursery, str, trio.Event]]:
    """While a refresh is under way: gives the old refresh token, and what lets it go on."""
    await once(world, auth)
    revoking(world)
    (old,) = world.refresh
    stored = json.loads(await storage.load(f"tokens {world.url}") or "")
    await storage.save(f"tokens {world.url}", json.dumps({**stored, "stale": 0}))
    asked, go = trio.Event(), trio.Event()

    async def hold(request: Request) -> None:
        asked.set()
        await go.wait()

    world.before["/token"] = hold
    async with trio.open_nursery() as nursery:
        nursery.start_soon(once, world, auth)
        await asked.wait()
        yield nursery, old, go


async def once(world: World, auth: OAuth) -> None:
    async with open_client(world.url, auth=auth) as client:
        await client.call_tool("x")


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_a_refresh_does_not_undo_the_logout_of_another_program(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    storage = MemoryTokenStorage()
    async with open_world() as world:
        auth = world.oauth(storage)
        async with refreshing(world, auth, storage) as (_, old, go):
            assert await world.oauth(storage).log_out(world.url)
            revoking(world, status)
            go.set()
        (new,) = world.refresh
        assert revoked(world) == [old, new]
        assert not await auth.is_logged_in(world.url)
        assert new not in caplog.text
        assert ("may not be revoked" in caplog.text) == (status != 200)


async def test_a_logout_waits_for_a_refresh() -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        auth = world.oauth(storage)
        async with refreshing(world, auth, storage) as (nursery, _, go):
            nursery.start_soon(auth.log_out, world.url.replace("http", "ws"))
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert revoked(world) == []
            go.set()
        (new,) = world.refresh
        assert revoked(world) == [new]
        assert not await auth.is_logged_in(world.url)


@pytest.mark.parametrize("is_same", [True, False])
async def test_an_open_client_does_not_refresh_after_a_logout(is_same: bool) -> None:
    storage = MemoryTokenStorage()
    async with open_world(life=0) as world:
        auth = world.oauth(storage)
        async with open_client(world.url, auth=auth) as client:
            await client.call_tool("x")
            count = len(world.of("/token"))
            assert await (auth if is_same else world.oauth(storage)).log_out(world.url)
            for _ in range(2):
                await client.call_tool("x")
            assert len(world.of("/token")) == count
            assert not await auth.is_logged_in(world.url)
            world.life = 3600
            world.revoke()
            await client.call_tool("x")
            assert len(world.logins) == 2
            assert await auth.is_logged_in(world.url)


async def test_a_refresh_token_that_is_refused_after_a_logout_stores_nothing() -> None:
    storage = MemoryTokenStorage()
    async with open_world(life=0) as world:
        auth = world.oauth(storage)
        async with open_client(world.url, auth=auth) as client:

            async def log_out(request: Request) -> Answer:
                await world.oauth(storage).log_out(world.url)
                return Answer(400, {"error": "invalid_grant"})

            world.before["/token"] = log_out
            await client.call_tool("x")
            assert not await auth.is_logged_in(world.url)


# -- several servers of one authorization server ------------------------------------------------


@pytest.mark.parametrize("is_old", [True, False])
async def test_a_client_that_registers_anew_leaves_the_logins_at_other_servers(
    is_old: bool,
) -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world, open_world() as other:
        other.more_resource = {"authorization_servers": [world.origin]}
        other.good = world.good
        await logged_in(world, storage)
        if is_old:
            # As it was stored before tokens knew their client: it is learned by a refresh.
            key = f"tokens {world.url}"
            entry = json.loads(await storage.load(key) or "")
            assert entry.pop("client")["client_id"] == "client1"
            await storage.save(key, json.dumps(entry))
            await is_kept_after_all(world, storage)
        options = {"redirect": world.visit, "redirect_uri": "http://127.0.0.1:4568/callback"}
        async with open_client(other.url, auth=world.oauth(storage, **options)):
            pass
        assert len(world.of("/register")) == 2
        await is_kept_after_all(world, storage)
        assert world.of("/token")[-1].form["client_id"] == "client1"
        assert len(world.logins) == 2
        revoking(world)
        await OAuth(storage=storage).log_out(world.url)
        assert world.of("/revoke")[-1].form["client_id"] == "client1"


async def is_kept_after_all(world: World, storage: TokenStorage) -> None:
    world.revoke()
    await once(world, OAuth(storage=storage, no_login="nobody"))


# -- logging in anew ----------------------------------------------------------------------------


async def test_a_login_anew_does_not_use_what_is_stored() -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        auth = world.oauth(storage)
        await once(world, auth)
        revoking(world)
        (old,) = world.good
        world.requests.clear()
        anew = auth.anew()
        assert not anew.has_succeeded
        async with open_client(world.url, auth=anew) as client:
            assert anew.has_succeeded
            await client.call_tool("x")
        assert len(world.logins) == 1
        assert old not in repr(world.requests)
        kept = json.loads(await storage.load(f"tokens {world.url}") or "")
        assert kept["access_token"] != old
        # The authorization server might revoke the new tokens with them.
        assert revoked(world) == []
        await is_kept_after_all(world, storage)


@pytest.mark.parametrize("status", [200, 503])
async def test_tokens_of_another_client_are_revoked_when_they_are_replaced(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        await logged_in(world, storage)
        revoking(world, status)
        anew = world.oauth(storage, redirect=lambda url: "http://127.0.0.1/?error=no").anew()
        with pytest.raises(AuthorizationFailed):
            async with open_client(world.url, auth=anew):
                pass
        assert revoked(world) == []
        assert not anew.has_succeeded
        await is_kept_after_all(world, storage)
        (old,) = world.refresh
        anew = world.oauth(storage).anew()
        async with open_client(world.url, auth=anew) as client:
            await client.call_tool("x")
        assert anew.has_succeeded
        assert revoked(world) == [old]
        assert ("may not be revoked" in caplog.text) == (status != 200)


async def test_what_another_program_refreshes_meanwhile_is_no_new_login() -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        await once(world, world.oauth(storage))

        async def visit(url: str) -> str:
            await is_kept_after_all(world, storage)
            return await world.visit(url)

        anew = world.oauth(storage, redirect=visit).anew()
        async with open_client(world.url, auth=anew) as client:
            await client.call_tool("x")
        assert len(world.logins) == 2
        kept = json.loads(await storage.load(f"tokens {world.url}") or "")
        assert world.calls[-1].headers["authorization"] == f"Bearer {kept['access_token']}"


async def test_where_no_login_is_demanded_there_is_none() -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        auth = world.oauth(storage)
        await once(world, auth)
        before = await storage.load(f"tokens {world.url}")

        async def open_to_all(request: Request) -> Answer:
            result = {"id": request.rpc["id"], "result": world._result(request.rpc["method"])}
            return Answer(200, {"jsonrpc": "2.0", **result})

        world.before["/mcp"] = open_to_all
        anew = auth.anew()
        async with open_client(world.url, auth=anew) as client:
            await client.call_tool("x")
        assert not anew.has_succeeded
        assert await storage.load(f"tokens {world.url}") == before
