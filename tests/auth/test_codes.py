"""Authorization requests and their answers.

Specification: 2026-07-28, Authorization Response Validation; RFC 7636, 4.2; RFC 9207, 2.4.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.auth._codes import Authorization, CodeRefused, answer_params
from trimcp.auth._discovery import ServerMetadata

ISSUER = "https://as.example/t"


def authorization(*, names_itself: bool = False, **changes: Any) -> Authorization:
    server = ServerMetadata(
        ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", names_itself=names_itself
    )
    given = {
        "server": server,
        "client_id": "me",
        "redirect_uri": "http://127.0.0.1:9/callback",
        "resource": "https://A.example:443/mcp/",
        "scopes": ("a", "b"),
    }
    return Authorization(**(given | changes))


def params_of(request: Authorization) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, strict_parsing=True))


def test_a_request() -> None:
    request = authorization()
    params = params_of(request)
    digest = hashlib.sha256(request.verifier.encode()).digest()
    assert params == {
        "response_type": "code",
        "client_id": "me",
        "redirect_uri": "http://127.0.0.1:9/callback",
        "state": request.state,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        "resource": "https://A.example:443/mcp/",
        "scope": "a b",
    }
    assert 43 <= len(request.verifier) <= 128
    assert request.url.startswith(f"{ISSUER}/authorize?")


def test_a_request_without_scopes_names_none() -> None:
    assert "scope" not in params_of(authorization(scopes=None))


def test_refresh_tokens_need_consent() -> None:
    assert params_of(authorization(scopes=("a", "offline_access")))["prompt"] == "consent"
    assert "prompt" not in params_of(authorization())


def test_an_endpoint_may_have_a_query() -> None:
    server = ServerMetadata(ISSUER, f"{ISSUER}/authorize?tenant=1", f"{ISSUER}/token")
    assert params_of(authorization(server=server))["tenant"] == "1"


def test_each_request_has_its_own_secrets_and_does_not_show_them() -> None:
    one, other = authorization(), authorization()
    assert one.state != other.state
    assert one.verifier != other.verifier
    assert one.verifier not in repr(one)
    assert one.state not in repr(one)


@pytest.mark.parametrize("names_itself", [True, False])
def test_a_code(names_itself: bool) -> None:
    request = authorization(names_itself=names_itself)
    assert request.code_of({"state": request.state, "iss": ISSUER, "code": "c"}) == "c"


def test_an_authorization_server_need_not_name_itself() -> None:
    request = authorization()
    assert request.code_of({"state": request.state, "code": "c"}) == "c"
    request = authorization(names_itself=True)
    with pytest.raises(CodeRefused, match="does not say which"):
        request.code_of({"state": request.state, "code": "c"})


FOREIGN = [
    "",
    ISSUER + "/",
    ISSUER.upper(),
    "https://as.example:443/t",
    "https://as.example/%74",
    "https://attacker.example",
]


@pytest.mark.parametrize("names_itself", [True, False])
@pytest.mark.parametrize("issuer", FOREIGN)
def test_an_answer_of_another_server_is_not_believed(issuer: str, names_itself: bool) -> None:
    request = authorization(names_itself=names_itself)
    answer = {"state": request.state, "iss": issuer, "code": "c"}
    with pytest.raises(CodeRefused, match="another authorization server"):
        request.code_of(answer)
    # Nor is its error shown.
    answer = {"state": request.state, "iss": issuer, "error": "evil", "error_description": "evil"}
    with pytest.raises(CodeRefused) as caught:
        request.code_of(answer)
    assert "evil" not in str(caught.value)
    assert caught.value.error == ""


def test_an_error_is_told() -> None:
    request = authorization()
    answer = {"state": request.state, "error": "access_denied", "error_description": "no\x1b[31m"}
    with pytest.raises(CodeRefused, match=r"refused: access_denied: no \[31m$") as caught:
        request.code_of(answer)
    assert caught.value.error == "access_denied"


@pytest.mark.parametrize("state", [None, "", "other", "é"])
def test_the_answer_to_another_request_is_refused(state: str | None) -> None:
    request = authorization()
    answer = {"iss": ISSUER, "code": "c"} | ({} if state is None else {"state": state})
    with pytest.raises(CodeRefused, match="another login"):
        request.code_of(answer)


def test_no_code() -> None:
    request = authorization()
    for answer in ({}, {"code": ""}):
        with pytest.raises(CodeRefused, match="no code"):
            request.code_of({"state": request.state, **answer})


@pytest.mark.parametrize(
    "query",
    ["code=a&code=b", "iss=&iss=a", "code=%ff", "a=b&" * 100, "code=" + "x" * 20_000],
)
def test_answers_that_cannot_be_read(query: str) -> None:
    with pytest.raises(CodeRefused):
        answer_params(f"http://127.0.0.1:9/callback?{query}")


def test_blank_parameters_are_kept() -> None:
    assert answer_params("http://127.0.0.1/callback?iss=&code=a") == {"iss": "", "code": "a"}


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=10), max_size=8))
def test_what_is_written_is_read(params: dict[str, str]) -> None:
    assert answer_params("http://127.0.0.1/callback?" + urlencode(params)) == params


@given(st.text(max_size=200))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        answer_params("http://127.0.0.1/callback?" + text)
    except CodeRefused:
        return
