"""Logins at an authorization server that is not ours (oidc-provider), over TLS."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import Client, HTTPStatusError, RequestError, open_client, open_http_client
from trimcp.auth import FileTokenStorage, OAuth

from .authorization import (
    AuthorizationServer,
    Protected,
    User,
    authorization_server,
    logged_in,
    protected_server,
    their_protected_server,
)
from .conftest import HERE, NODE
from .test_our_client import SOON, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

FIRST = "notes:read offline_access"
MORE = "notes:read notes:write offline_access"


@pytest.fixture(scope="module", params=["jwt", "opaque"])
def server(
    request: pytest.FixtureRequest, node_modules: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AuthorizationServer]:
    """An authorization server, by the kind of its tokens."""
    directory = tmp_path_factory.mktemp(request.param)
    with authorization_server(request.param, directory) as started:
        yield started


@pytest.fixture
async def protected(server: AuthorizationServer) -> AsyncIterator[Protected]:
    """Our protected server."""
    async with protected_server(server) as started:
        yield started


def login_of(user: User, directory: Path, **options: Any) -> OAuth:
    """The login of a program that is started for a user and keeps logins in a directory."""
    storage = FileTokenStorage(directory)
    trusting = user.server.trusting
    return OAuth(storage=storage, redirect=user.visit, ssl_context=trusting, **options)


async def ask(client: Client, tool: str, **arguments: str) -> str:
    """The text that a tool gives back."""
    with trio.fail_after(SOON):
        return text_of(await client.call_tool(tool, arguments))


async def refusal_of(url: str, token: str) -> int | None:
    """The status with which a server refuses a token; None if it accepts it."""
    try:
        async with open_http_client(url, headers={"Authorization": f"Bearer {token}"}) as client:
            await ask(client, "who")
    except RequestError as error:
        return error.http_status
    except HTTPStatusError as error:
        return error.status
    return None


async def test_a_login_and_a_step_up(
    protected: Protected, server: AuthorizationServer, tmp_path: Path
) -> None:
    """The user is asked once for what every caller needs, and once more for more.

    oidc-provider holds a client to the scopes that it has registered for, and nobody has told of
    these: so the client registers once more.
    """
    user = User(server)
    async with open_client(protected.url, auth=login_of(user, tmp_path)) as client:
        assert await ask(client, "who") == "alice"
        assert user.visits == [(FIRST, "code")]
        assert await ask(client, "write", text="eggs") == "alice wrote eggs"
        assert await ask(client, "who") == "alice"
        assert len(protected.watching.came) == 2
        protected.watching.refused.add(protected.watching.last)
        assert await ask(client, "write", text="milk") == "alice wrote milk"
    assert user.visits == [(FIRST, "code"), (MORE, "invalid_scope"), (MORE, "code")]


async def test_a_step_up_that_was_told_of(server: AuthorizationServer, tmp_path: Path) -> None:
    """A client registers for all scopes that the server's metadata name."""
    user = User(server)
    scopes = {"notes:read", "notes:write"}
    async with (
        protected_server(server, scopes_supported=scopes) as protected,
        open_client(protected.url, auth=login_of(user, tmp_path)) as client,
    ):
        assert await ask(client, "write", text="eggs") == "alice wrote eggs"
    assert user.visits == [(FIRST, "code"), (MORE, "code")]


async def test_a_client_that_need_not_register(
    protected: Protected, server: AuthorizationServer, tmp_path: Path
) -> None:
    """It has a metadata document, or was given an id; neither limits the scopes."""
    document = "https://notes.example/client.json"
    for client_id, options in (
        (document, {"client_metadata_url": document}),
        ("known-client", {"client_id": "known-client", "issuer": server.issuer}),
    ):
        user = User(server)
        auth = login_of(user, tmp_path / client_id[:5], **options)
        async with open_client(protected.url, auth=auth) as client:
            assert await ask(client, "client") == client_id
            assert await ask(client, "write", text="eggs") == "alice wrote eggs"
        assert user.visits == [(FIRST, "code"), (MORE, "code")]


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_login_is_kept(
    protected: Protected, server: AuthorizationServer, tmp_path: Path, revision: str
) -> None:
    """A program that is started later needs no login, nor does one whose token is refused.

    A session of the handshake era goes on with the next token.
    """
    auth = login_of(User(server), tmp_path)
    async with open_client(protected.url, auth=auth, revision=revision) as client:
        assert await ask(client, "who") == "alice"
    user = User(server)
    watching = protected.watching
    auth = login_of(user, tmp_path)
    async with open_client(protected.url, auth=auth, revision=revision) as client:
        assert await ask(client, "who") == "alice"
        assert len(watching.came) == 1
        for count in (2, 3):
            watching.refused.add(watching.last)
            assert await ask(client, "who") == "alice"
            assert len(watching.came) == count
    assert user.visits == []


async def test_calls_at_the_same_time(
    protected: Protected, server: AuthorizationServer, tmp_path: Path
) -> None:
    """They share a login, and a refresh: each refresh token is good only once."""
    user = User(server)
    answers: list[str] = []

    async def call() -> None:
        answers.append(await ask(client, "who"))

    async with open_client(protected.url, auth=login_of(user, tmp_path)) as client:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(call)
            protected.watching.refused.add(protected.watching.last)
    assert answers == ["alice"] * 24
    assert len(protected.watching.came) == 3
    assert user.visits == [(FIRST, "code")]


@pytest.mark.parametrize("door", ["http {}/mcp", "http {}/sse", "ws {}/ws"])
async def test_every_door(door: str, server: AuthorizationServer, tmp_path: Path) -> None:
    """Tokens are for the whole server, at whichever of its endpoints."""
    user = User(server)
    scopes = {"notes:read", "notes:write"}
    async with protected_server(server, audience="", required_scopes=scopes) as protected:
        scheme, path = door.split(" {}")
        url = protected.url.removesuffix("/mcp").replace("http", scheme) + path
        async with open_client(url, auth=login_of(user, tmp_path)) as client:
            assert await ask(client, "who") == "alice"
            assert await ask(client, "write", text="eggs") == "alice wrote eggs"
    assert user.visits == [(MORE, "code")]


@pytest.mark.parametrize("server", ["jwt"], indirect=True)
async def test_the_command_line(
    protected: Protected, server: AuthorizationServer, tmp_path: Path
) -> None:
    """A login serves the other commands."""
    user = User(server)

    async def trimcp(*words: str) -> list[str]:
        command = [sys.executable, "-m", "trimcp", *words]
        with trio.fail_after(SOON):
            return await logged_in(command, user, "open ", TRIMCP_LOGINS=str(tmp_path))

    assert (await trimcp("login", "--no-browser", protected.url))[-1] == "logged in"
    assert "alice" in "".join(await trimcp("call", protected.url, "who"))
    assert user.visits == [(FIRST, "code")]
    assert "logged out" in (await trimcp("logout", protected.url))[-1]


async def test_several_users(
    protected: Protected, server: AuthorizationServer, tmp_path: Path
) -> None:
    """Each has a login and is told apart."""
    for name in ("alice", "bob"):
        user = User(server, name)
        async with open_client(protected.url, auth=login_of(user, tmp_path / name)) as client:
            assert await ask(client, "who") == name


async def test_logging_out(
    protected: Protected, server: AuthorizationServer, tmp_path: Path
) -> None:
    """What has been revoked is refused; nobody can be told of a token that speaks for itself."""
    auth = login_of(User(server), tmp_path)
    async with open_client(protected.url, auth=auth) as client:
        assert await ask(client, "who") == "alice"
    token = protected.watching.last
    assert await refusal_of(protected.url, token) is None
    assert await auth.log_out(protected.url)
    assert not await auth.is_logged_in(protected.url)
    assert await refusal_of(protected.url, token) == (401 if server.format == "opaque" else None)


async def test_a_token_for_another_server(
    protected: Protected, server: AuthorizationServer, tmp_path: Path
) -> None:
    async with protected_server(server) as other:
        async with open_client(other.url, auth=login_of(User(server), tmp_path)) as client:
            assert await ask(client, "who") == "alice"
        assert await refusal_of(other.url, other.watching.last) is None
        assert await refusal_of(protected.url, other.watching.last) == 401


LOGINS = {
    "python": [sys.executable, str(HERE / "login_sdk.py")],
    "typescript": [str(NODE), str(HERE / "login.mjs")],
}


def texts_told(told: list[str]) -> list[str]:
    """The texts that a client of another SDK was given by `who` and `write`."""
    facts: dict[str, Any] = json.loads(told[-1])
    return [facts[tool]["result"]["content"][0]["text"] for tool in ("who", "write")]


@pytest.mark.parametrize("server", ["jwt"], indirect=True)
@pytest.mark.parametrize("era", ["handshake", "stateless"])
@pytest.mark.parametrize("sdk", LOGINS)
async def test_their_clients(
    protected: Protected, server: AuthorizationServer, sdk: str, era: str
) -> None:
    """A client that the authorization server knows logs in, and gets more when it needs more."""
    user = User(server)
    command = [*LOGINS[sdk], era, protected.url, "known-client"]
    with trio.fail_after(SOON):
        told = await logged_in(command, user)
    assert texts_told(told) == ["alice", "alice wrote eggs"]
    assert user.visits == [(FIRST, "code"), (MORE, "code")]


@pytest.mark.parametrize("server", ["jwt"], indirect=True)
@pytest.mark.parametrize("sdk", LOGINS)
async def test_their_clients_register(server: AuthorizationServer, sdk: str) -> None:
    """They register for the scopes of the first challenge, so that has to name all of them."""
    user = User(server)
    scopes = {"notes:read", "notes:write"}
    async with protected_server(server, required_scopes=scopes) as protected:
        command = [*LOGINS[sdk], "stateless", protected.url]
        with trio.fail_after(SOON):
            told = await logged_in(command, user)
    assert texts_told(told) == ["alice", "alice wrote eggs"]
    assert user.visits == [(MORE, "code")]


@pytest.fixture
def their_url(server: AuthorizationServer) -> Iterator[str]:
    """The URL of a protected server made with the Python SDK."""
    with their_protected_server(server) as url:
        yield url


@pytest.mark.parametrize("server", ["opaque"], indirect=True)
async def test_their_server(their_url: str, server: AuthorizationServer, tmp_path: Path) -> None:
    """Its challenge names no scopes, its metadata do; one login serves for both eras."""
    user = User(server)
    for revision in ("2025-11-25", "2026-07-28"):
        auth = login_of(user, tmp_path)
        async with open_client(their_url, auth=auth, revision=revision) as client:
            assert client.revision == revision
            assert await ask(client, "who") == "alice"
    assert user.visits == [(FIRST, "code")]
    assert await refusal_of(their_url, "not-one-of-theirs") == 401
