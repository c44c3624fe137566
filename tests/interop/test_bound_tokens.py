"""Tokens that oidc-provider binds to a key, and clients of others that send proofs of it (DPoP)."""

from __future__ import annotations

import base64
import functools
import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import trio
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from trimcp import Client, RequestError, open_http_client
from trimcp.auth import DPoPVerifier

from .authorization import AuthorizationServer, User, logged_in, protected_server
from .test_authorization import FIRST, LOGINS, MORE, ask, server, texts_told
from .test_our_client import SOON

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["server"]

CALLBACK = "http://127.0.0.1/callback"

NONCES = functools.partial(DPoPVerifier, nonces=True)
MIXED = functools.partial(DPoPVerifier, accept_bearer=True)


class Registry(jws.JWSRegistry):
    """Headers with a key are longer than joserfc expects."""

    max_header_length = 2048


def text_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Holder(httpx2.Auth):
    """A client written by hand: it has a key, and later a token that is bound to it."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256")
        self.token: str | None = None
        self.nonces: dict[str, str] = {}

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        for _ in range(2):
            answer = yield self._proven(request)
            nonce = answer.headers.get("dpop-nonce")
            if nonce is None:
                return
            self.nonces[request.url.host + str(request.url.port)] = nonce
            if answer.status_code != 401:
                return

    def _proven(self, request: httpx2.Request) -> httpx2.Request:
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(),
            "htm": request.method,
            "htu": str(request.url.copy_with(query=None)),
            "iat": int(time.time()),
        }
        if self.token is not None:
            request.headers["authorization"] = f"DPoP {self.token}"
            claims["ath"] = text_of(hashlib.sha256(self.token.encode()).digest())
        nonce = self.nonces.get(request.url.host + str(request.url.port))
        if nonce is not None:
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        wide = Registry(algorithms=["ES256"])
        request.headers["dpop"] = jwt.encode(header, claims, self.key, registry=wide)
        return request

    async def log_in(self, user: User, resource: str, scope: str) -> dict[str, Any]:
        """Get a token by the authorization code; returns the answer of the token endpoint."""
        self.token = None
        issuer, secret = user.server.issuer, secrets.token_urlsafe(32)
        asked = {
            "response_type": "code",
            "client_id": "known-client",
            "redirect_uri": CALLBACK,
            "scope": scope,
            "resource": resource,
            "prompt": "consent",
            "code_challenge": text_of(hashlib.sha256(secret.encode()).digest()),
            "code_challenge_method": "S256",
        }
        ended = await user.visit(str(httpx2.URL(f"{issuer}/auth", params=asked)))
        form = {
            "grant_type": "authorization_code",
            "code": httpx2.URL(ended).params["code"],
            "redirect_uri": CALLBACK,
            "client_id": "known-client",
            "code_verifier": secret,
            "resource": resource,
        }
        async with httpx2.AsyncClient(
            auth=self, verify=user.server.trusting, trust_env=False
        ) as http:
            answer = await http.post(f"{issuer}/token", data=form)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        self.token = said["access_token"]
        return said


async def called(
    url: str, auth: httpx2.Auth | None, revision: str, **headers: str
) -> str | int | None:
    """Whom a server takes a caller for, or the status with which it refuses."""
    try:
        async with (
            httpx2.AsyncClient(auth=auth, headers=headers, trust_env=False) as http,
            open_http_client(url, http_client=http, revision=revision) as client,
        ):
            return await ask(client, "who")
    except RequestError as error:
        return error.http_status


@pytest.mark.parametrize("around", [DPoPVerifier, NONCES, MIXED], ids=["plain", "nonces", "mixed"])
async def test_a_token_that_is_bound(server: AuthorizationServer, around: Any) -> None:
    """It is good with proofs, over every door of HTTP, and with nothing else."""
    user = User(server)
    async with protected_server(server, around=around) as protected:
        holder = Holder()
        said = await holder.log_in(user, protected.url, "notes:read")
        assert said["token_type"] == "DPoP"
        for revision in ("2025-11-25", "2026-07-28"):
            assert await called(protected.url, holder, revision) == "alice"
            stolen = {"authorization": f"Bearer {holder.token}"}
            assert await called(protected.url, None, revision, **stolen) == 401
            thief = Holder()
            thief.token = holder.token
            assert await called(protected.url, thief, revision) == 401
        sse = protected.url.replace("/mcp", "/sse")
        assert await called(sse, holder, "2024-11-05") == "alice"


async def test_what_is_missing_is_told_with_a_proof(server: AuthorizationServer) -> None:
    user = User(server)
    async with protected_server(server, around=DPoPVerifier) as protected:
        holder = Holder()
        await holder.log_in(user, protected.url, "notes:read")
        async with (
            httpx2.AsyncClient(auth=holder, trust_env=False) as http,
            open_http_client(protected.url, http_client=http) as client,
        ):
            await refused(client, 403)
            await holder.log_in(user, protected.url, "notes:read notes:write")
            assert await ask(client, "write", text="eggs") == "alice wrote eggs"


async def refused(client: Client, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        await ask(client, "write", text="eggs")
    assert caught.value.http_status == status


@pytest.mark.parametrize("around", [DPoPVerifier, NONCES, MIXED], ids=["plain", "nonces", "mixed"])
@pytest.mark.parametrize("era", ["handshake", "stateless"])
async def test_the_typescript_sdk(server: AuthorizationServer, era: str, around: Any) -> None:
    """It logs in, sends proofs, takes nonces, and gets more scopes when it needs more."""
    user = User(server)
    async with protected_server(server, around=around) as protected:
        command = [*LOGINS["typescript"], era, protected.url, "known-client", "ES256"]
        with trio.fail_after(SOON):
            told = await logged_in(command, user)
        assert texts_told(told) == ["alice", "alice wrote eggs"]
        assert user.visits == [(FIRST, "code"), (MORE, "code")]
        stolen = {"authorization": f"Bearer {protected.watching.last}"}
        assert await called(protected.url, None, "2026-07-28", **stolen) == 401


@pytest.mark.parametrize("server", ["jwt"], indirect=True)
async def test_clients_that_send_no_proofs(server: AuthorizationServer) -> None:
    """They are let in where bearer tokens are accepted too."""
    user = User(server)
    async with protected_server(server, around=MIXED) as protected:
        for sdk in LOGINS:
            command = [*LOGINS[sdk], "stateless", protected.url, "known-client"]
            with trio.fail_after(SOON):
                told = await logged_in(command, user)
            assert texts_told(told) == ["alice", "alice wrote eggs"]
