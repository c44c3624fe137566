"""Logins and refreshes that are given up at whichever checkpoint: no tokens are lost.

The authorization server takes each refresh token once, and ends the login if one comes again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx2
import pytest
import trio

from tests.cancelling import at_each_checkpoint
from trimcp.auth import MemoryTokenStorage, OAuth, _client_auth
from trimcp.auth._fetch import Fetcher
from trimcp.transports import Refusal

if TYPE_CHECKING:
    from tests.cancelling import Moment

ORIGIN = "http://127.0.0.1:9"
URL = f"{ORIGIN}/mcp"
REDIRECT = "http://127.0.0.1:8/done"


@attrs.define
class AuthorizationServer:
    """An authorization server that is asked without sockets, and its MCP server's metadata.

    Attributes:
        visits: How often a user was sent to it.
        good: The refresh token that it takes.
        given: How many tokens it has given out.
        reused: Refresh tokens that came once more.
    """

    visits: int = 0
    good: str | None = None
    given: int = 0
    reused: list[str] = attrs.field(factory=list)

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        """One exchange, which takes a while both ways."""
        await trio.sleep(0.1)
        status, document = self._judged(request)
        await trio.sleep(0.1)
        return httpx2.Response(status, content=json.dumps(document).encode())

    def _judged(self, request: httpx2.Request) -> tuple[int, dict[str, Any]]:
        path = request.url.path
        if path == "/.well-known/oauth-protected-resource/mcp":
            return 200, {"resource": URL, "authorization_servers": [ORIGIN]}
        if path == "/.well-known/oauth-authorization-server":
            endpoints = {
                "authorization_endpoint": f"{ORIGIN}/authorize",
                "token_endpoint": f"{ORIGIN}/token",
                "registration_endpoint": f"{ORIGIN}/register",
            }
            return 200, {
                "issuer": ORIGIN,
                "code_challenge_methods_supported": ["S256"],
                **endpoints,
            }
        if path == "/register":
            return 201, {"client_id": "me", "redirect_uris": [REDIRECT]}
        assert path == "/token", path
        return self._tokens(dict(parse_qsl(request.content.decode())))

    def _tokens(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.good:
            self.reused.append(form["refresh_token"])
            return 400, {"error": "invalid_grant"}
        self.given += 1
        self.good = f"refresh-{self.given}"
        token = f"access-{self.given}"
        # Used up at once, so each request asks for another one.
        tokens = {"access_token": token, "token_type": "Bearer", "expires_in": 0}
        return 200, {**tokens, "refresh_token": self.good}

    async def log_in(self, url: str) -> str:
        """What the user does."""
        self.visits += 1
        await trio.sleep(1)
        return f"{REDIRECT}?code=x&state={dict(parse_qsl(urlsplit(url).query))['state']}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> AuthorizationServer:
    """One that is asked by all fetchers."""
    server = AuthorizationServer()

    def fetcher(**options: Any) -> Fetcher:
        transport = httpx2.MockTransport(server.answer)
        return Fetcher(client=httpx2.AsyncClient(transport=transport))

    monkeypatch.setattr(_client_auth, "Fetcher", fetcher)
    return server


REFUSAL = Refusal(URL, 401, ("Bearer",), None)


async def logged_in(auth: OAuth) -> None:
    """Log in, as a request does that is refused."""
    async with auth.opened(URL) as login:
        assert await login.authorization([REFUSAL], may_wait=True) is not None


async def refreshed(auth: OAuth) -> str:
    """What a request is authorized with whose token was used up."""
    async with auth.opened(URL) as login:
        credentials = await login.authorization((), may_wait=False)
        assert credentials is not None
        return credentials.header


def an_auth(server: AuthorizationServer) -> OAuth:
    server.__init__()  # type: ignore[misc]
    return OAuth(storage=MemoryTokenStorage(), redirect=server.log_in, redirect_uri=REDIRECT)


def test_a_request_that_needs_a_refresh(server: AuthorizationServer) -> None:
    """Whoever gives up, the tokens are stored, and the user is not asked again."""

    async def scenario(moment: Moment) -> None:
        auth = an_auth(server)
        await logged_in(auth)
        async with auth.opened(URL) as login:
            with moment.inside():
                await login.authorization((), may_wait=False)
            following = await login.authorization((), may_wait=False)
        assert following is not None
        assert following.header == f"Bearer access-{server.given}"
        assert (server.visits, server.reused) == (1, [])

    assert at_each_checkpoint(scenario) > 5


def test_a_client_that_is_closed_during_a_refresh(server: AuthorizationServer) -> None:
    async def scenario(moment: Moment) -> None:
        auth = an_auth(server)
        await logged_in(auth)
        with moment.inside():
            await refreshed(auth)
        assert await refreshed(auth) == f"Bearer access-{server.given}"
        assert (server.visits, server.reused) == (1, [])

    assert at_each_checkpoint(scenario) > 5


def test_two_clients_of_which_one_is_closed(server: AuthorizationServer) -> None:
    async def scenario(moment: Moment) -> None:
        auth = an_auth(server)
        await logged_in(auth)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refreshed, auth)
            with moment.inside():
                await refreshed(auth)
        assert await refreshed(auth) == f"Bearer access-{server.given}"
        assert (server.visits, server.reused) == (1, [])

    assert at_each_checkpoint(scenario) > 5


def test_a_login_that_is_given_up(server: AuthorizationServer) -> None:
    """The next one works; tokens that were given out until then are used."""

    async def scenario(moment: Moment) -> None:
        auth = an_auth(server)
        with moment.inside():
            await logged_in(auth)
        if await auth.is_logged_in(URL):
            await refreshed(auth)
            assert server.visits == 1
        else:
            await logged_in(auth)
            assert server.visits <= 2
        assert server.reused == []

    assert at_each_checkpoint(scenario) > 10


def test_a_logout_that_is_given_up(server: AuthorizationServer) -> None:
    """Either the tokens are there and good, or they are gone."""

    async def scenario(moment: Moment) -> None:
        auth = an_auth(server)
        await logged_in(auth)
        with moment.inside():
            await auth.log_out(URL)
        if await auth.is_logged_in(URL):
            assert await refreshed(auth) == f"Bearer access-{server.given}"
        assert (server.visits, server.reused) == (1, [])

    assert at_each_checkpoint(scenario) > 2
