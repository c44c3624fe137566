"""Tokens that are known beforehand."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp import InvalidToken, Principal, TokenVerifier
from trimcp.auth import StaticTokenVerifier

ALICE = Principal("alice", scopes=frozenset({"files:read"}))


async def test_a_known_token() -> None:
    verifier: TokenVerifier = StaticTokenVerifier({"alice-token": ALICE, "x" * 50: Principal("b")})
    assert await verifier.verify("alice-token") is ALICE
    assert (await verifier.verify("x" * 50)).subject == "b"


@given(st.text())
async def test_any_other_token(token: str) -> None:
    with pytest.raises(InvalidToken, match="not known"):
        await StaticTokenVerifier({"alice-token": ALICE}).verify(f"{token}!")


async def test_expired() -> None:
    verifier = StaticTokenVerifier(
        {
            "old": Principal("a", expires=time.time() - 1),
            "new": Principal("a", expires=time.time() + 60),
        }
    )
    assert (await verifier.verify("new")).subject == "a"
    with pytest.raises(InvalidToken, match="expired"):
        await verifier.verify("old")


@pytest.mark.parametrize("token", ["", "a b", "a,b", "ä", "a\n", "=", "a=b"])
def test_a_token_that_can_never_come(token: str) -> None:
    with pytest.raises(ValueError, match="token number 2"):
        StaticTokenVerifier({"good": ALICE, token: ALICE})


def test_no_tokens() -> None:
    with pytest.raises(ValueError, match="at least one"):
        StaticTokenVerifier({})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": ALICE, "s3cret": "alice"}, "entry number 2 is str: str"),
        ({"alice": None}, "entry number 1 is str: NoneType"),
        ({ALICE: "s3cret"}, "entry number 1 is Principal: str"),
        (["s3cret"], "not a list"),
    ],
)
def test_what_is_no_mapping_to_principals(given: Any, said: str) -> None:
    """What to write is said, and what was written is not: it may hold tokens."""
    with pytest.raises(TypeError, match=said) as caught:
        StaticTokenVerifier(given)
    assert "{'a-token': Principal('alice')}" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_tokens_are_not_kept() -> None:
    verifier = StaticTokenVerifier({"s3cret-token": ALICE})
    assert "s3cret" not in repr(verifier)
    assert "s3cret" not in repr(vars(verifier))
