"""Where metadata are looked for, and which are believed.

Specification: 2026-07-28, Authorization Server Discovery; RFC 9728, 3.1, 3.3; RFC 8414, 3.1, 3.3.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.auth._discovery import (
    MetadataRefused,
    check_codes,
    check_grant,
    covers,
    read_resource_metadata,
    read_server_metadata,
    resource_metadata_urls,
    server_metadata_urls,
)
from trimcp.auth._scopes import scopes_to_register, scopes_to_request

PR = "/.well-known/oauth-protected-resource"
AS = "/.well-known/oauth-authorization-server"
OIDC = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example", [f"https://a.example{PR}"]),
        ("https://a.example/", [f"https://a.example{PR}"]),
        (
            "https://A.example:443/mcp",
            [f"https://A.example:443{PR}/mcp", f"https://A.example:443{PR}"],
        ),
        ("https://a.example/mcp/", [f"https://a.example{PR}/mcp/", f"https://a.example{PR}"]),
        (
            "https://a.example/a/b?c=d#e",
            [f"https://a.example{PR}/a/b?c=d", f"https://a.example{PR}"],
        ),
    ],
)
def test_where_a_server_has_its_metadata(url: str, expected: list[str]) -> None:
    assert list(resource_metadata_urls(url)) == expected


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://a.example", [f"https://a.example{AS}", f"https://a.example{OIDC}"]),
        ("https://a.example/", [f"https://a.example{AS}", f"https://a.example{OIDC}"]),
        (
            "https://a.example/t/1",
            [
                f"https://a.example{AS}/t/1",
                f"https://a.example{OIDC}/t/1",
                f"https://a.example/t/1{OIDC}",
            ],
        ),
        (
            "https://a.example/t/",
            [
                f"https://a.example{AS}/t",
                f"https://a.example{OIDC}/t",
                f"https://a.example/t{OIDC}",
            ],
        ),
    ],
)
def test_where_an_authorization_server_has_its_metadata(issuer: str, expected: list[str]) -> None:
    assert list(server_metadata_urls(issuer)) == expected


@pytest.mark.parametrize(
    ("resource", "url", "expected"),
    [
        ("https://a.example/mcp", "https://a.example/mcp", True),
        ("https://a.example/mcp/", "https://a.example/mcp", True),
        ("https://a.example/mcp", "https://a.example/mcp/", True),
        ("https://a.example", "https://a.example/mcp", True),
        ("https://a.example/", "https://a.example/mcp", True),
        ("HTTPS://A.example:443", "https://a.example/mcp", True),
        ("https://a.example/a", "https://a.example/a/b", True),
        ("https://a.example/mc", "https://a.example/mcp", False),
        ("https://a.example/mcp/x", "https://a.example/mcp", False),
        ("https://a.example:444/mcp", "https://a.example/mcp", False),
        ("http://a.example/mcp", "https://a.example/mcp", False),
        ("https://b.example/mcp", "https://a.example/mcp", False),
        ("https://a.example.evil/mcp", "https://a.example/mcp", False),
        ("https://a.example@evil/mcp", "https://a.example/mcp", False),
        ("https://u@a.example/mcp", "https://a.example/mcp", False),
        ("https://a.example/mcp#x", "https://a.example/mcp", False),
        ("https://a.example/mcp#", "https://a.example/mcp", False),
        ("https://a.example/mcp?a=b", "https://a.example/mcp?a=b", True),
        ("https://a.example/mcp?a=c", "https://a.example/mcp?a=b", False),
        ("https://a.example/mcp", "https://a.example/mcp?a=b", True),
        ("https://a.example:x/mcp", "https://a.example/mcp", False),
        ("https://[a/mcp", "https://a.example/mcp", False),
        ("", "https://a.example/mcp", False),
    ],
)
def test_by_what_a_server_may_call_itself(resource: str, url: str, expected: bool) -> None:
    assert covers(resource, url) is expected


SEGMENTS = st.lists(st.text("ab", min_size=1, max_size=3), max_size=4)


@given(SEGMENTS, SEGMENTS)
def test_a_parent_covers_whole_segments(parent: list[str], child: list[str]) -> None:
    expected = child[: len(parent)] == parent
    resource, url = (
        "https://a.example" + "".join(f"/{each}" for each in path) for path in (parent, child)
    )
    assert covers(resource, url) is expected


def resource_document(**changes: Any) -> bytes:
    document = {
        "resource": "https://a.example/mcp",
        "authorization_servers": ["https://as.example"],
    }
    return json.dumps(document | changes).encode()


def test_a_servers_metadata() -> None:
    url = "https://a.example/mcp"
    found = read_resource_metadata(resource_document(unknown=[{}]), url)
    assert (found.resource, found.issuers, found.scopes) == (url, ("https://as.example",), None)
    found = read_resource_metadata(resource_document(scopes_supported=["a", "b", "a"]), url)
    assert found.scopes == ("a", "b")
    # The text counts, byte by byte, for it is what goes into the requests for tokens.
    assert read_resource_metadata(
        resource_document(resource="HTTPS://A.example:443/mcp/"), url
    ).resource == ("HTTPS://A.example:443/mcp/")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"resource": "\xff"}',
        b"[" * 10_000,
        b'{"x":' * 10_000,
        resource_document(resource="https://evil.example/mcp"),
        resource_document(resource=None),
        resource_document(authorization_servers=[]),
        resource_document(authorization_servers=None),
        resource_document(authorization_servers="https://as.example"),
        resource_document(authorization_servers=[1]),
        resource_document(scopes_supported="a b"),
    ],
)
def test_metadata_of_a_server_that_are_refused(body: bytes) -> None:
    with pytest.raises(MetadataRefused):
        read_resource_metadata(body, "https://a.example/mcp")


ISSUER = "https://as.example/t"


def server_document(**changes: Any) -> bytes:
    document = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "code_challenge_methods_supported": ["plain", "S256"],
    }
    return json.dumps(document | changes).encode()


def test_an_authorization_servers_metadata() -> None:
    found = read_server_metadata(server_document(response_types_supported=5), ISSUER)
    assert found.token_endpoint == f"{ISSUER}/token"
    assert (found.auth_methods, found.takes_documents, found.names_itself) == (None, False, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://as.example/t/"},
        {"issuer": "https://AS.example/t"},
        {"issuer": "https://as.example:443/t"},
        {"issuer": "https://attacker.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"authorization_endpoint": 1},
        {"code_challenge_methods_supported": "S256"},
        {"grant_types_supported": "client_credentials"},
        {"token_endpoint_auth_signing_alg_values_supported": [5]},
        {"authorization_response_iss_parameter_supported": "yes"},
    ],
)
def test_metadata_of_an_authorization_server_that_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MetadataRefused):
        read_server_metadata(server_document(**changes), ISSUER)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code_challenge_methods_supported": None}, "PKCE"),
        ({"code_challenge_methods_supported": []}, "PKCE"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        ({"authorization_endpoint": None}, "nobody can log in"),
        ({"authorization_endpoint": ""}, "nobody can log in"),
    ],
)
def test_servers_that_give_no_codes(changes: dict[str, Any], words: str) -> None:
    """They may serve clients without a user."""
    found = read_server_metadata(server_document(**changes), ISSUER)
    check_grant(found, "client_credentials")
    with pytest.raises(MetadataRefused, match=words):
        check_codes(found)


def test_servers_that_do_not_know_a_grant() -> None:
    named = ["authorization_code", "x" * 500]
    found = read_server_metadata(server_document(grant_types_supported=named), ISSUER)
    check_grant(found, "authorization_code")
    with pytest.raises(MetadataRefused, match="authorization_code") as caught:
        check_grant(found, "client_credentials")
    assert len(str(caught.value)) < 400


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["issuer", "resource", "scopes_supported", "x"]), inner
            )
        ),
        max_leaves=10,
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    for read in (read_resource_metadata, read_server_metadata):
        with pytest.raises(MetadataRefused):
            read(json.dumps(value).encode(), ISSUER)


# -- scopes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("challenged", "resource", "expected"),
    [
        (("a",), ("b",), ("a",)),
        (None, ("b", "c"), ("b", "c")),
        (None, None, None),
        (None, (), None),
    ],
)
def test_the_first_scopes(challenged: Any, resource: Any, expected: Any) -> None:
    assert scopes_to_request(challenged, resource) == expected


def test_what_was_requested_before_is_requested_again() -> None:
    assert scopes_to_request(("c", "a"), ("x",), requested=("a", "b")) == ("a", "b", "c")
    assert scopes_to_request(None, None, requested=("a",), wanted=("w",)) == ("a", "w")


def test_refresh_tokens_are_asked_for_where_they_are_known() -> None:
    assert scopes_to_request(("a",), None, server=("a", "offline_access")) == (
        "a",
        "offline_access",
    )
    assert scopes_to_request(("a",), None, server=("a",)) == ("a",)
    # A request without scopes means the server's own choice, which one scope would replace.
    assert scopes_to_request(None, None, server=("offline_access",)) is None


def test_a_client_registers_for_what_it_may_need() -> None:
    assert scopes_to_register(("a",), ("b", "a")) == ("a", "b")
    assert scopes_to_register(None, None) == ()
