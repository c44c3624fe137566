"""Who makes a request, and what tells it from a token."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from attrs.validators import optional

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Principal", "TokenVerifier"]


# A verifier gives what it was told by somebody else, so everything is looked at.


def _frozen(scopes: Iterable[str]) -> frozenset[str]:
    if isinstance(scopes, str | bytes):
        raise TypeError(f"scopes={scopes!r} is one string: give a set, such as text.split()")
    try:
        found = frozenset(scopes)
    except TypeError:
        raise TypeError(f"scopes= is a set of strings, not {scopes!r}") from None
    if not all(isinstance(each, str) for each in found):
        raise TypeError(f"scopes= is a set of strings, not {scopes!r}")
    return found


def _shown(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(claims, Mapping):
        raise TypeError(f"claims= is a mapping, not a {type(claims).__name__}")
    return MappingProxyType(claims)


def _seconds(expires: float) -> float:
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise TypeError(f"expires= is a number of seconds, or math.inf; not {expires!r}")
    try:
        seconds = float(expires)
    except OverflowError:
        seconds = math.nan
    if math.isnan(seconds):
        raise ValueError("expires= is a number of seconds that a float can hold, or math.inf")
    return seconds


def _check_text(_: Principal, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name}= is a string, not a {type(value).__name__}")
    if not value:
        raise ValueError(f"{attribute.name}= must not be empty")


@attrs.frozen
class Principal:
    """Whoever an access token was issued for.

    Attributes:
        subject: The user, or the client itself where no user takes part (`sub`).
        client: The OAuth client that acts for the user (`client_id`); None if unknown.
        issuer: Who issued the token (`iss`); None if unknown.
        scopes: What the token allows.
        claims: Everything that the token or its introspection says.
        expires: Until when the token is accepted, in seconds since the Unix epoch; infinite if it
            does not expire.

    Raises:
        TypeError: A field is of another type; scopes are a set, never one string.
        ValueError: `subject`, `client` or `issuer` is empty, or `expires` is not a number.

    Specification: 2026-07-28, Authorization, Access Token Usage.
    """

    subject: str = attrs.field(validator=_check_text)
    client: str | None = attrs.field(default=None, validator=optional(_check_text))
    issuer: str | None = attrs.field(default=None, validator=optional(_check_text))
    scopes: frozenset[str] = attrs.field(default=frozenset(), converter=_frozen)
    claims: Mapping[str, Any] = attrs.field(factory=dict, converter=_shown, eq=False, repr=False)
    expires: float = attrs.field(default=math.inf, converter=_seconds)

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
            VerifierUnavailable: It cannot be judged now. The answer is 503; the message is
                logged and never repeats the token.
            BaseException: The verifier has failed. The answer is 503; of the exception, its types
                and where it was raised are logged, but not what it says.
        """
