"""Clients that prove with a key who they are.

Specification: RFC 7523, 2.2, 3; RFC 7521, 4.2, 5.2.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from trimcp import AuthorizationFailed, OptionError, open_client
from trimcp.auth import ClientCredentials, OAuth
from trimcp.auth._client_key import checked_key
from trimcp.auth._discovery import ServerMetadata
from trimcp.auth._grants import GrantRefused

from .signing import EC, EDWARDS, P384, RSA, SECRET
from .world import Answer, World, open_world

if TYPE_CHECKING:
    from trimcp.auth._client_key import ClientKey

ISSUER = "https://as.example/tenant"
ED448 = OKPKey.generate_key("Ed448")


def pem(key: Key) -> str:
    made: bytes = key.as_pem(private=True)
    return made.decode()


def parts(assertion: str, key: Key) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a good assertion."""
    algorithms = list(JWSRegistry.algorithms)
    token = jwt.decode(assertion, key, algorithms=algorithms)
    return token.header, token.claims


def made(given: Any, algorithm: str | None = None) -> ClientKey:
    key = checked_key(None, given, algorithm)
    assert key is not None
    return key


def server(*algorithms: str) -> ServerMetadata:
    return ServerMetadata(
        ISSUER, "", f"{ISSUER}/token", auth_algorithms=algorithms if algorithms else None
    )


async def test_what_an_assertion_says() -> None:
    key = made(pem(EC))
    said = [parts(await key.assertion("me", server()), EC)[1] for _ in range(2)]
    for claims in said:
        assert (claims["iss"], claims["sub"], claims["aud"]) == ("me", "me", ISSUER)
        assert abs(claims["iat"] - time.time()) < 30
        assert claims["exp"] - claims["iat"] == 60
        assert len(claims["jti"]) >= 22
    assert said[0]["jti"] != said[1]["jti"]


@given(st.text(min_size=1, max_size=50))
def test_any_id_arrives_as_it_is(client_id: str) -> None:
    from trimcp.auth._assertions import SigningKey

    key = SigningKey(EC.as_dict(private=True), None, "private_key=")
    try:
        client_id.encode()
    except UnicodeEncodeError:
        return
    signed = key._signed({"sub": client_id}, "ES256")
    assert parts(signed, EC)[1]["sub"] == client_id


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(
    ("key", "algorithm", "offered", "expected"),
    [
        (EC, None, (), "ES256"),
        (P384, None, (), "ES384"),
        (RSA, None, (), "RS256"),
        (RSA, None, ("PS256", "ES256"), "PS256"),
        (RSA, "PS384", (), "PS384"),
        (EDWARDS, None, (), "EdDSA"),
        (EDWARDS, None, ("Ed25519",), "Ed25519"),
        (ED448, None, (), "EdDSA"),
        (EC, "ES256", ("RS256", "ES256"), "ES256"),
    ],
)
@pytest.mark.parametrize("form", ["pem", "bytes", "jwk"])
async def test_algorithms(
    key: Key, algorithm: str | None, offered: tuple[str, ...], expected: str, form: str
) -> None:
    given: Any = {"pem": pem(key), "bytes": pem(key).encode(), "jwk": key.as_dict(private=True)}
    assertion = await made(given[form], algorithm).assertion("me", server(*offered))
    header, _ = parts(assertion, key)
    assert header["alg"] == expected
    assert header.get("kid") == (key.as_dict().get("kid") if form == "jwk" else None)


async def test_a_jwk_may_name_its_algorithm() -> None:
    key = made(RSA.as_dict(private=True, alg="PS512"))
    assert parts(await key.assertion("me", server()), RSA)[0]["alg"] == "PS512"
    with pytest.raises(GrantRefused, match="PS512"):
        await key.assertion("me", server("RS256"))


async def test_a_server_that_takes_no_signature_of_the_key() -> None:
    with pytest.raises(GrantRefused, match="give another key or algorithm"):
        await made(pem(EC)).assertion("me", server("RS256", "x" * 1000))


def small_rsa() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    encoded = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return encoded.decode()


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(
    ("given", "algorithm", "words"),
    [
        ("", None, "no PEM text"),
        ("/run/key.pem", None, "no PEM text"),
        (b"\xff", None, "no PEM text"),
        (EC.as_pem(private=True, password="x"), None, "password"),
        (EC.as_pem(private=False), None, "public key"),
        (EC.as_dict(private=False), None, "public key"),
        (SECRET.as_dict(private=True), None, "give it as the secret"),
        ({}, None, "no JWK"),
        ({"kty": ["EC"]}, None, "no JWK"),
        ({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}, None, "no JWK"),
        (OKPKey.generate_key("X25519").as_dict(private=True), None, "not one for signatures"),
        (ECKey.generate_key("secp256k1").as_dict(private=True), None, "not one for signatures"),
        (small_rsa(), None, "2048"),
        (5, None, "a PEM text, a JWK or a function"),
        (pem(EC), "RS256", "signs with ES256"),
        (pem(RSA), "HS256", "signs with RS256"),
        (pem(RSA), "none", "signs with RS256"),
        (pem(P384), "ES256", "signs with ES384"),
    ],
)
def test_keys_that_are_refused(given: Any, algorithm: str | None, words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        checked_key(None, given, algorithm)
    shown = str(caught.value) + repr(caught.value.__context__)
    secret = given.get("d", given.get("k")) if isinstance(given, dict) else None
    assert len(secret or "") < 5 or secret not in shown
    assert "BEGIN" not in shown


def test_without_a_key_nothing_that_signs_is_loaded() -> None:
    program = (
        "import sys; from trimcp.auth import ClientCredentials as C\n"
        "C(client_id='a', client_secret='b', issuer='https://as.example')\n"
        "C(client_id='a', private_key=print)\n"
        "assert 'joserfc' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# -- at an authorization server -----------------------------------------------------------------


def with_key(world: World, **options: Any) -> ClientCredentials:
    return ClientCredentials(**{"client_id": "me", "private_key": pem(EC), **options})


async def test_a_client_with_a_key() -> None:
    knows = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    async with open_world(more_metadata=knows) as world:
        world.more_metadata["revocation_endpoint"] = f"{world.origin}/revoke"
        world.answer_with["/revoke"] = Answer(200)
        auth = with_key(world)
        async with open_client(world.url, auth=auth) as client:
            world.scopes = {"a"}
            await client.call_tool("x")
        await auth.log_out(world.url)
        requests = [*world.of("/token"), *world.of("/revoke")]
        assert len(requests) == 3
        ids = set()
        for each in requests:
            assert "authorization" not in each.headers
            assert each.form["client_id"] == "me"
            assert each.form["client_assertion_type"] == (
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            )
            _, claims = parts(each.form["client_assertion"], EC)
            assert claims["aud"] == world.origin
            ids.add(claims["jti"])
        assert len(ids) == 3
        assert pem(EC) not in repr(auth) + repr(vars(auth)["_identity"])


async def test_a_server_may_name_who_gets_an_assertion_but_not_for_whom_it_is() -> None:
    """Without issuer= the MCP server chooses; what it gets is of no use elsewhere."""
    async with open_world() as world, open_world() as other:
        world.more_metadata = {"token_endpoint": f"{other.origin}/token"}
        world.good = other.good
        async with open_client(world.url, auth=with_key(world)):
            pass
        (exchange,) = other.of("/token")
        assert parts(exchange.form["client_assertion"], EC)[1]["aud"] == world.origin
        with pytest.raises(AuthorizationFailed, match="the server names"):
            async with open_client(world.url, auth=with_key(world, issuer=other.origin)):
                pass


async def test_a_function_that_signs() -> None:
    asked = []

    async def sign(issuer: str) -> str:
        asked.append(issuer)
        return "signed"

    async with open_world() as world:
        async with open_client(world.url, auth=with_key(world, private_key=sign)):
            pass
        assert asked == [world.origin]
        assert world.of("/token")[0].form["client_assertion"] == "signed"
        wrong = with_key(world, private_key=lambda issuer: None)
        with pytest.raises(AuthorizationFailed, match="private_key= must give a text"):
            async with open_client(world.url, auth=wrong):
                pass


async def test_a_user_of_a_client_with_a_key() -> None:
    knows = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    async with open_world(more_metadata=knows) as world:
        auth = world.oauth(client_id="me", issuer=world.origin, private_key=RSA.as_dict(True))
        async with open_client(world.url, auth=auth) as client:
            world.revoke()
            await client.call_tool("x")
        login, refresh = world.of("/token")
        assert login.form["grant_type"] == "authorization_code"
        assert refresh.form["grant_type"] == "refresh_token"
        assertions = [each.form["client_assertion"] for each in (login, refresh)]
        assert len({parts(each, RSA)[1]["jti"] for each in assertions}) == 2


async def test_a_key_is_not_stored() -> None:
    from trimcp.auth import MemoryTokenStorage

    storage = MemoryTokenStorage()
    async with open_world() as world:
        key = RSAKey.import_key(RSA.as_dict(private=True)).as_dict(private=True)
        auth = OAuth(
            client_id="me",
            issuer=world.origin,
            private_key=key,
            redirect=world.visit,
            storage=storage,
        )
        async with open_client(world.url, auth=auth):
            pass
        assert key["d"] not in json.dumps(storage._entries)
