"""Secrets that an authorization server repeats, in whatever form, are not shown."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp import AuthorizationFailed, open_client
from trimcp.auth import ClientCredentials
from trimcp.auth._fetch import basic_credentials
from trimcp.auth._sent import is_repeated, secrets_of

from .world import Answer, Request, open_world

if TYPE_CHECKING:
    from collections.abc import Callable


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WAYS: list[Callable[[str], str]] = [
    str,
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    json.dumps,
    html.escape,
    encoded,
    lambda text: encoded(text).rstrip("="),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: text.replace('"', '\\"'),
]
texts = st.text(st.characters(codec="utf-8"), min_size=6)


@given(texts, st.sampled_from(WAYS), st.sampled_from(["assertion", "client_secret", "token"]))
def test_a_field_that_is_repeated(secret: str, way: Callable[[str], str], name: str) -> None:
    assert is_repeated(secrets_of({name: secret}, {}), f"x{way(secret)}x")


@given(texts, st.sampled_from(WAYS))
def test_a_secret_in_a_header_that_is_repeated(secret: str, way: Callable[[str], str]) -> None:
    header = basic_credentials("me", secret)
    secrets = secrets_of({"grant_type": "client_credentials"}, {"authorization": header})
    pair = f"me:{quote_plus(secret)}"
    for sent in (header, header.partition(" ")[2], pair, f"me:{secret}", quote_plus(secret)):
        assert is_repeated(secrets, sent)
    assert is_repeated(secrets, f"x{way(secret)}x")


def test_what_is_no_secret() -> None:
    secrets = secrets_of({"grant_type": "client_credentials", "code": "short"}, {})
    assert not is_repeated(secrets, "client_credentials short")


@pytest.mark.parametrize("member", ["error", "error_description"])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_request_that_is_repeated_as_it_was_sent(method: str, member: str) -> None:
    async with open_world() as world:
        world.more_metadata = {"token_endpoint_auth_methods_supported": [method]}
        auth = ClientCredentials(client_id="me", client_secret="p w%1\"'", issuer=world.origin)

        async def repeat(request: Request) -> Answer:
            header = request.headers.get("authorization", "")
            said = {"error": "invalid_client", member: f"{header} {request.body.decode()}"}
            return Answer(401, said)

        world.before["/token"] = repeat
        with pytest.raises(AuthorizationFailed, match="a secret"):
            async with open_client(world.url, auth=auth):
                pass


async def test_an_assertion_that_is_repeated() -> None:
    assertion = "ey.ey.signature"
    async with open_world() as world:
        auth = ClientCredentials(
            client_id="me", private_key=lambda issuer: assertion, issuer=world.origin
        )
        world.answer_with["/token"] = Answer(
            401, {"error": "invalid_client", "error_description": f"not {assertion}"}
        )
        with pytest.raises(AuthorizationFailed, match="a secret"):
            async with open_client(world.url, auth=auth):
                pass
