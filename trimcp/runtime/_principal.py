"""Who makes a request, and what tells it from a token."""

from __future__ import annotations

import math
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Principal", "TokenVerifier"]


def _frozen(scopes: Iterable[str]) -> frozenset[str]:
    return frozenset(scopes)


def _shown(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(claims)


def _a_time(_: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if math.isnan(value):
        raise ValueError(f"Principal({attribute.name}=…) must be a time, not a NaN")


@attrs.frozen
class Principal:
    """Whoever an access token was issued for.

    Attributes:
        subject: The user, or the client itself where no user takes part (`sub`).
        client: The OAuth client that acts for the user (`client_id`); None if unknown.
        issuer: Who issued the token (`iss`); None if unknown.
        scopes: What the token allows.
        claims: Everything that the token or its introspection says.
        expires: When the token expires, in seconds since the Unix epoch; infinite if it does not.

    Specification: 2026-07-28, Authorization, Access Token Usage.
    """

    subject: str
    client: str | None = None
    issuer: str | None = None
    scopes: frozenset[str] = attrs.field(default=frozenset(), converter=_frozen)
    claims: Mapping[str, Any] = attrs.field(factory=dict, converter=_shown, eq=False, repr=False)
    expires: float = attrs.field(default=math.inf, validator=_a_time)

    @property
    def identity(self) -> tuple[str | None, str, str | None]:
        """Issuer, subject and client: what outlives a token, which a refresh replaces."""
        return self.issuer, self.subject, self.client

    @property
    def seconds_left(self) -> float:
        """For how long the token is still good, in seconds of the wall clock; negative if not."""
        return self.expires - time.time()


class TokenVerifier(Protocol):
    """Tells from an access token who makes a request.

    Used by many tasks at once.
    """

    async def verify(self, token: str) -> Principal:
        """Judge one token.

        Args:
            token: What stood after `Bearer `: printable ASCII without spaces, bounded by
                `Limits.token_bytes`.

        Raises:
            InvalidToken: It is not accepted. The answer is 401; the message is told to the
                client and never repeats the token.
            VerifierUnavailable: It cannot be judged now. The answer is 503.
        """
