"""Servers that ask who calls, with a verifier that knows a few tokens by heart."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import trio

from trimcp import InvalidToken, Principal, Server, VerifierUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

ISSUER = "https://as.example"


def principal(
    subject: str, *scopes: str, client: str = "app", seconds: float | None = None
) -> Principal:
    """A principal of the test's issuer."""
    expires = float("inf") if seconds is None else time.time() + seconds
    return Principal(subject, client, ISSUER, frozenset(scopes), {"sub": subject}, expires)


class Known:
    """A verifier for tests.

    Tokens are `alice`, or `alice+scope+scope`, or with a number at the end `alice#2`: the same
    principal with another token. `bad`, `slow`, `down`, `broken`, `none` do what they say.
    """

    issuer: Any = ISSUER
    audience: Any = None

    def __init__(self, expiring: dict[str, float] | None = None) -> None:
        self.seen: list[str] = []
        self.expiring = expiring or {}

    async def verify(self, token: str) -> Principal:
        self.seen.append(token)
        await trio.lowlevel.checkpoint()
        if token == "slow":
            await trio.sleep_forever()
        if token == "down":
            raise VerifierUnavailable("the keys cannot be fetched with down")
        if token == "broken":
            raise ValueError(f"cannot read {token}")
        if token == "none":
            return None  # type: ignore[return-value]
        if token.startswith("bad"):
            raise InvalidToken(f'no "such" token {token}\n')
        name, *scopes = token.partition("#")[0].split("+")
        return principal(name, "mcp", *scopes, seconds=self.expiring.get(token))


def server(verifier: Any = None, **options: Any) -> Server[Any]:
    """A server that asks for tokens."""
    options.setdefault("required_scopes", {"mcp"})
    return Server("guarded", version="1", auth=verifier or Known(), **options)


def parameters(challenge: str) -> dict[str, str]:
    """The parameters of a `WWW-Authenticate: Bearer` header."""
    assert challenge.startswith("Bearer")
    return dict(re.findall(r'(\w+)="([^"]*)"', challenge))


def scopes_of(challenge: str) -> set[str]:
    """The scopes that a challenge asks for."""
    return set(parameters(challenge).get("scope", "").split())


def bearer(token: str, *more: str) -> dict[str, str]:
    """The header that brings a token."""
    return {"authorization": f"Bearer {token}"}


def names(items: Iterable[dict[str, Any]]) -> list[str]:
    """The names in a list."""
    return [each["name"] for each in items]
