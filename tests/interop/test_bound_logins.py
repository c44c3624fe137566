"""Our client with tokens that oidc-provider binds to its key (DPoP), at our protected server."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import open_client
from trimcp.auth import DPoPVerifier

from .authorization import AuthorizationServer, Protected, User, protected_server
from .test_authorization import FIRST, MORE, ask, login_of, server

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

__all__ = ["server"]


def bound_server(
    authorization: AuthorizationServer, **options: Any
) -> AbstractAsyncContextManager[Protected]:
    """Our protected server, for tokens that come with a proof."""
    return protected_server(authorization, around=functools.partial(DPoPVerifier, **options))


def client_of(name: str | None, server: AuthorizationServer) -> dict[str, Any]:
    """The options of a client that has been given an id; none for one that registers."""
    return {} if name is None else {"client_id": name, "issuer": server.issuer}


def stored_tokens(directory: Path) -> tuple[Path, dict[str, Any]]:
    """The entry with tokens, and where it is."""
    for path in directory.iterdir():
        text = path.read_text()  # empty in files that are only locked
        if '"access_token"' in text:
            return path, json.loads(text)
    raise AssertionError("there are no tokens")


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("name", [None, "nonce-client"])
async def test_a_login_a_step_up_and_refreshes(
    server: AuthorizationServer, tmp_path: Path, name: str | None, revision: str
) -> None:
    """A program that is started later goes on with the key; nonces cost nobody a login."""
    user = User(server)
    options = client_of(name, server)
    async with bound_server(server, nonces=name is not None) as protected:
        for count in range(2):
            auth = login_of(user, tmp_path, **options)
            async with open_client(protected.url, auth=auth, revision=revision) as client:
                assert await ask(client, "who") == "alice"
                assert await ask(client, "write", text="eggs") == "alice wrote eggs"
                key = stored_tokens(tmp_path)[1]["key"]
                assert key is not None
                for _ in range(2):
                    protected.watching.refused.add(protected.watching.last)
                    assert await ask(client, "who") == "alice"
            assert stored_tokens(tmp_path)[1]["key"] == key
            if not count:
                visits = list(user.visits)
        assert user.visits == visits
        assert [visits[0], visits[-1]] == [(FIRST, "code"), (MORE, "code")]


async def test_another_key_does_not_refresh(server: AuthorizationServer, tmp_path: Path) -> None:
    """Tokens that were stolen without their key are no good: the user has to log in."""
    mine, stolen = tmp_path / "mine", tmp_path / "stolen"
    options = client_of("known-client", server)
    async with bound_server(server) as protected:
        for directory in (mine, stolen):
            auth = login_of(User(server), directory, **options)
            async with open_client(protected.url, auth=auth) as client:
                assert await ask(client, "who") == "alice"
        path, tokens = stored_tokens(stolen)
        path.write_text(json.dumps({**stored_tokens(mine)[1], "key": tokens["key"]}))
        user = User(server)
        auth = login_of(user, stolen, **options)
        async with open_client(protected.url, auth=auth) as client:
            assert await ask(client, "who") == "alice"
        assert user.visits == [(FIRST, "code")]


@pytest.mark.parametrize("use", ["auto", "required", "never"])
async def test_where_bearer_tokens_are_accepted_too(
    server: AuthorizationServer, tmp_path: Path, use: str
) -> None:
    async with bound_server(server, accept_bearer=True) as protected:
        auth = login_of(User(server), tmp_path, dpop=use)
        async with open_client(protected.url, auth=auth) as client:
            assert await ask(client, "who") == "alice"
        assert (stored_tokens(tmp_path)[1]["key"] is None) == (use == "never")
