"""Requests to token and registration endpoints, and their answers.

Specification: RFC 6749, 2.3.1, 5; RFC 7591, 2, 3.2; 2026-07-28, Client Registration.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.auth._discovery import ServerMetadata
from trimcp.auth._grants import (
    GrantRefused,
    Registered,
    method_for,
    read_error,
    read_tokens,
    token_form,
)
from trimcp.auth._registration import Identity, read_registration, registration_request

ISSUER = "https://as.example"
RESOURCE = "https://a.example/mcp"
SECRET = "swordfish"


def server(**changes: Any) -> ServerMetadata:
    return ServerMetadata(ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", **changes)


# -- authentication at the token endpoint -------------------------------------------------------


def test_a_client_without_a_secret_only_names_itself() -> None:
    form, headers = token_form(Registered(ISSUER, "me"), {"grant_type": "x"})
    assert (form, headers) == ({"grant_type": "x", "client_id": "me"}, {})


def test_a_secret_in_the_form() -> None:
    client = Registered(ISSUER, "me", SECRET, "client_secret_post")
    form, headers = token_form(client, {})
    assert (form, headers) == ({"client_id": "me", "client_secret": SECRET}, {})


def test_a_secret_in_the_header_is_encoded_first() -> None:
    client = Registered(ISSUER, "a:b%", "é &", "client_secret_basic")
    form, headers = token_form(client, {"a": "b"})
    assert form == {"a": "b"}
    scheme, _, pair = headers["authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(pair) == b"a%3Ab%25:%C3%A9+%26"


@pytest.mark.parametrize(
    ("offered", "has_secret", "method"),
    [
        (None, True, "client_secret_basic"),
        (None, False, "none"),
        (("client_secret_post",), True, "client_secret_post"),
        (("client_secret_post", "client_secret_basic"), True, "client_secret_basic"),
        (("none",), False, "none"),
        (("private_key_jwt",), True, None),
        (("client_secret_basic",), False, None),
    ],
)
def test_methods(offered: tuple[str, ...] | None, has_secret: bool, method: str | None) -> None:
    assert method_for(offered, has_secret=has_secret) == method


# -- tokens -------------------------------------------------------------------------------------


def answer(**changes: Any) -> bytes:
    return json.dumps({"access_token": SECRET, "token_type": "Bearer"} | changes).encode()


def read(body: bytes, now: float = 1000.0) -> Any:
    return read_tokens(body, Registered(ISSUER, "me"), RESOURCE, ("a",), now)


def test_tokens() -> None:
    tokens = read(answer(refresh_token="r", expires_in=3600, scope="a", token_type="bEARER"))
    assert (tokens.issuer, tokens.client_id, tokens.resource) == (ISSUER, "me", RESOURCE)
    assert (tokens.header, tokens.refresh_token) == (f"Bearer {SECRET}", "r")
    assert tokens.requested == ("a",)
    assert tokens.stale == 1000 + 3600 - 30
    assert SECRET not in repr(tokens)


@pytest.mark.parametrize(
    ("said", "stale"),
    [
        (None, None),
        (0, 1000.0),
        (10, 1009.0),
        ("100", 1090.0),
        (-5, None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        (1e300, 1e300),
    ],
)
def test_when_a_token_is_replaced(said: Any, stale: float | None) -> None:
    assert read(answer(expires_in=said)).stale == stale


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"{" * 10_000,
        answer(access_token=None),
        answer(access_token=""),
        answer(access_token=5),
        answer(access_token="a b"),
        answer(access_token="a\r\nx: y"),
        answer(access_token="é"),
        answer(access_token="x" * 20_000),
        answer(refresh_token="a\n"),
        answer(token_type="mac"),
        answer(token_type=None),
        answer(expires_in=[1]),
    ],
)
def test_answers_that_are_refused_are_not_quoted(body: bytes) -> None:
    with pytest.raises(GrantRefused) as caught:
        read(body)
    assert SECRET not in str(caught.value)


@given(st.dictionaries(st.sampled_from(["access_token", "token_type", "expires_in"]),
                       st.none() | st.text() | st.floats() | st.integers()))  # fmt: skip
def test_any_answer_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        read(json.dumps(document).encode())
    except GrantRefused:
        return


def test_errors() -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": "x\x00" * 500}).encode()
    error = read_error(400, body, "it")
    assert error.error == "invalid_grant"
    assert str(error).startswith("it refused: invalid_grant: x x")
    assert len(str(error)) < 250
    for odd in (b"", b"[]", b'{"error": 5}', b"\xff"):
        error = read_error(418, odd, "it")
        assert (str(error), error.error) == ("it answered with HTTP status 418", "")


def test_a_secret_that_is_repeated() -> None:
    said = {"error": "invalid_grant", "error_description": f"{'x' * 500} {SECRET}"}
    error = read_error(400, json.dumps(said).encode(), "it", ["", SECRET])
    assert error.is_final
    assert str(error) == "it refused: invalid_grant: a text with a secret in it"
    odd = read_error(400, json.dumps({"error": f"a{SECRET}"}).encode(), "it", [SECRET])
    assert SECRET not in str(odd) + odd.error


# -- what a client is to an authorization server ------------------------------------------------


def test_credentials_are_for_their_own_server_only() -> None:
    identity = Identity("x", "me", SECRET, ISSUER, "https://me.example/client.json")
    known = identity.at(server(takes_documents=True))
    assert known == Registered(ISSUER, "me", SECRET, "client_secret_basic")
    other = ServerMetadata("https://as.example/", "https://as.example/a", "https://as.example/t")
    with pytest.raises(GrantRefused, match="the client's id is one of"):
        identity.at(other)
    assert SECRET not in repr(identity) + repr(known)


def test_a_document_is_an_id_where_it_can_be_read() -> None:
    identity = Identity("x", document="https://me.example/client.json")
    known = identity.at(server(takes_documents=True))
    assert known == Registered(ISSUER, "https://me.example/client.json")
    assert identity.at(server()) is None


def test_credentials_that_cannot_be_used() -> None:
    identity = Identity("x", "me", SECRET, ISSUER)
    with pytest.raises(GrantRefused):
        identity.at(server(auth_methods=("private_key_jwt",)))


@pytest.mark.parametrize(
    ("redirect_uri", "kind"),
    [
        ("http://127.0.0.1:5/callback", "native"),
        ("http://localhost/callback", "native"),
        ("http://[::1]:5/callback", "native"),
        ("com.example.app:/callback", "native"),
        ("https://app.example/callback", "web"),
    ],
)
def test_a_registration(redirect_uri: str, kind: str) -> None:
    request = registration_request(server(), "me", redirect_uri, ("a", "b"))
    assert request == {
        "client_name": "me",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": kind,
        "scope": "a b",
    }
    assert "scope" not in registration_request(server(), "me", redirect_uri, ())


def test_a_registration_for_what_the_server_takes() -> None:
    offered = server(auth_methods=("client_secret_post", "client_secret_basic"))
    request = registration_request(offered, "me", "http://127.0.0.1/", ())
    assert request["token_endpoint_auth_method"] == "client_secret_basic"
    with pytest.raises(GrantRefused):
        registration_request(server(auth_methods=("tls_client_auth",)), "me", "http://x/", ())


def registered(**document: Any) -> Registered:
    request = registration_request(server(), "me", "http://127.0.0.1:5/callback", ())
    return read_registration(json.dumps(document).encode(), ISSUER, request, ("a",))


def test_what_a_client_is_registered_as() -> None:
    assert registered(client_id="c") == Registered(
        ISSUER, "c", None, "none", "http://127.0.0.1:5/callback", ("a",)
    )
    # What the server says counts, and a secret that it gives unasked is meant to be used.
    assert registered(client_id="c", client_secret="s").auth_method == "client_secret_basic"
    named = registered(
        client_id="c", client_secret="s", token_endpoint_auth_method="client_secret_post"
    )
    assert named.auth_method == "client_secret_post"
    public = registered(client_id="c", client_secret="s", token_endpoint_auth_method="none")
    assert public.client_secret is None
    assert registered(client_id="c", client_secret_expires_at=0).expires is None
    assert registered(client_id="c", client_secret_expires_at=5).expires == 5


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"client_id": None},
        {"client_id": "c", "token_endpoint_auth_method": "private_key_jwt"},
        {"client_id": "c", "token_endpoint_auth_method": "client_secret_basic"},
    ],
)
def test_registrations_that_are_of_no_use(document: dict[str, Any]) -> None:
    with pytest.raises(GrantRefused):
        registered(**document)
