"""Clients without a user at an authorization server that is not ours (oidc-provider), over TLS."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from trimcp import AuthorizationFailed, open_client
from trimcp.auth import ClientCredentials

from .authorization import AuthorizationServer, authorization_server, protected_server
from .test_our_client import SOON, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS: dict[str, Key] = {
    "ES256": ECKey.generate_key("P-256", {"kid": "es"}),
    "RS256": RSAKey.generate_key(2048, {"kid": "rs"}),
    "PS256": RSAKey.generate_key(2048, {"kid": "ps"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
}

EC_OF_NOBODY = ECKey.generate_key("P-256")

#: What has to be encoded before it is sent. oidc-provider knows secrets of ASCII only.
SECRETS = ["plain", "100%", "%41", "a+b", "a:b", "a b", "a&b=c"]


def machine(client_id: str, method: str, **more: Any) -> dict[str, Any]:
    """A client as oidc-provider describes it."""
    return {
        "client_id": client_id,
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
        "token_endpoint_auth_method": method,
        **more,
    }


def clients() -> list[dict[str, Any]]:
    """With each secret and with each key."""
    known = [
        machine(f"secret {secret}", "client_secret_basic", client_secret=secret)
        for secret in SECRETS
    ]
    for algorithm, key in KEYS.items():
        public = {"keys": [key.as_dict(private=False, use="sig")]}
        known.append(
            machine(
                f"key {algorithm}",
                "private_key_jwt",
                jwks=public,
                token_endpoint_auth_signing_alg=algorithm,
            )
        )
    return known


@pytest.fixture(scope="module")
def server(
    node_modules: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AuthorizationServer]:
    """An authorization server that knows all of them."""
    with authorization_server("jwt", tmp_path_factory.mktemp("machines"), clients()) as started:
        yield started


async def works(server: AuthorizationServer, client_id: str, **options: Any) -> None:
    """The client gets a token, and with it and another one it may do what it wants."""
    auth = ClientCredentials(
        client_id=client_id, issuer=server.issuer, ssl_context=server.trusting, **options
    )
    async with protected_server(server) as protected, open_client(protected.url, auth=auth) as us:
        with trio.fail_after(SOON):
            assert text_of(await us.call_tool("client", {})) == client_id
            written = await us.call_tool("write", {"text": "eggs"})
            assert text_of(written) == f"{client_id} wrote eggs"
        assert len(protected.watching.came) == 2


@pytest.mark.parametrize("secret", SECRETS)
async def test_secrets(server: AuthorizationServer, secret: str) -> None:
    await works(server, f"secret {secret}", client_secret=secret)


@pytest.mark.parametrize("algorithm", KEYS)
async def test_keys(server: AuthorizationServer, algorithm: str) -> None:
    key = KEYS[algorithm].as_dict(private=True)
    await works(server, f"key {algorithm}", private_key=key, algorithm=algorithm)


REFUSED = pytest.RaisesGroup(
    pytest.RaisesExc(AuthorizationFailed, match="invalid_client"), flatten_subgroups=True
)


async def test_a_wrong_secret(server: AuthorizationServer) -> None:
    with REFUSED:
        await works(server, "secret plain", client_secret="other")


async def test_a_key_of_somebody_else(server: AuthorizationServer) -> None:
    with REFUSED:
        await works(server, "key ES256", private_key=EC_OF_NOBODY.as_pem(private=True))


async def test_an_assertion_is_good_once(server: AuthorizationServer) -> None:
    """So each request needs one of its own."""
    made: list[str] = []

    def sign(issuer: str) -> str:
        """The same one each time."""
        if not made:
            ours = {"iss": "key ES256", "sub": "key ES256", "aud": issuer, "jti": "only"}
            claims = {**ours, "exp": int(time.time()) + 60}
            made.append(jwt.encode({"alg": "ES256"}, claims, KEYS["ES256"]))
        return made[0]

    auth = ClientCredentials(
        client_id="key ES256",
        issuer=server.issuer,
        private_key=sign,
        ssl_context=server.trusting,
    )
    async with (
        protected_server(server) as protected,
        open_client(protected.url, auth=auth) as client,
    ):
        assert text_of(await client.call_tool("who", {})) == "key ES256"
        with pytest.raises(AuthorizationFailed, match="invalid_client"):
            await client.call_tool("write", {"text": "eggs"})
