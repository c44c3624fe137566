"""What a token says, and whether it is accepted for that.

The same for what was signed and for what an introspection endpoint says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import attrs

from trimcp.errors import InvalidToken
from trimcp.runtime import Principal

from ._hierarchy import ScopeHierarchy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Acceptance", "acceptance_of", "bound_key", "is_proving", "proving", "texts"]

#: Whether whoever asks about a token asks for a proof of its key as well. It is told in this way
#: because there may be a verifier of a user's own between the two.
_is_proving: ContextVar[bool] = ContextVar("_is_proving", default=False)


@contextmanager
def proving() -> Iterator[None]:
    """While the block runs, this task accepts tokens that are bound to a key (DPoP)."""
    mark = _is_proving.set(True)
    try:
        yield
    finally:
        _is_proving.reset(mark)


def is_proving() -> bool:
    """Whether this task accepts tokens that are bound to a key (DPoP)."""
    return _is_proving.get()


def bound_key(claims: Mapping[str, Any]) -> str | None:
    """The thumbprint of the key that a token is bound to; None if it is bound to none.

    Raises:
        InvalidToken: It is bound in another way, of which there can be no proof here (RFC 8705).
    """
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    key = confirmation.get("jkt") if isinstance(confirmation, Mapping) else None
    if not isinstance(key, str) or len(confirmation) != 1:
        raise InvalidToken("the access token is bound to a key in a way that is not supported")
    return key


@attrs.frozen(kw_only=True)
class Acceptance:
    """What a token must say to be accepted.

    Attributes:
        issuers: Who may have issued it.
        audiences: For whom it must be, one of these; empty if anything is accepted.
        leeway: Seconds by which clocks may differ.
        scope_claims: Where its scopes stand.
        hierarchy: Which scopes include others.
        is_complete: Whether `iss`, `exp` and `sub` must be there. An introspection endpoint may
            leave them out (RFC 7662, section 2.2).
    """

    issuers: tuple[str, ...]
    audiences: tuple[str, ...]
    leeway: float
    scope_claims: tuple[str, ...]
    hierarchy: ScopeHierarchy
    is_complete: bool = True

    def principal(self, claims: Mapping[str, Any], now: float) -> Principal:
        """Who is meant.

        Args:
            claims: What the token says, whose authenticity is known.
            now: Seconds since the Unix epoch.

        Raises:
            InvalidToken: It is not accepted.
        """
        issuer = self._issuer(claims)
        self._check_audience(claims.get("aud"))
        expires = self._check_times(claims, now)
        if bound_key(claims) is not None and not is_proving():
            # Whoever accepted it as a bearer token would undo what its owner chose (RFC 9449,
            # section 7.2).
            raise InvalidToken("the access token is bound to a key, of which there is no proof")
        client = _text(claims, "client_id") or _text(claims, "azp")
        subject = _text(claims, "sub") or (None if self.is_complete else client)
        if subject is None:
            raise InvalidToken("the access token does not say whom it was issued for (sub)")
        scopes = self.hierarchy.expand(self._scopes(claims))
        return Principal(subject, client, issuer, scopes, claims, expires)

    def _issuer(self, claims: Mapping[str, Any]) -> str:
        issuer = claims.get("iss")
        if issuer is None and not self.is_complete:
            return self.issuers[0]
        if not isinstance(issuer, str) or issuer not in self.issuers:
            raise InvalidToken("the access token is of another issuer")
        return issuer

    def _check_audience(self, audience: Any) -> None:
        if not self.audiences:
            return
        named = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(each, str) for each in named):
            raise InvalidToken("the access token does not say which server it is for (aud)")
        if not set(named) & set(self.audiences):
            raise InvalidToken("the access token is for another server")

    def _check_times(self, claims: Mapping[str, Any], now: float) -> float:
        """Raises InvalidToken if it is too early or too late; returns when it expires."""
        expires = _time(claims, "exp")
        if expires is None and self.is_complete:
            raise InvalidToken("the access token does not say when it expires (exp)")
        if expires is not None and expires + self.leeway <= now:
            raise InvalidToken("the access token has expired")
        begins = _time(claims, "nbf")
        if begins is not None and begins - self.leeway > now:
            raise InvalidToken("the access token is not valid yet")
        issued = _time(claims, "iat")
        if issued is not None and issued - self.leeway > now:
            raise InvalidToken("the access token was issued in the future")
        return math.inf if expires is None else expires + self.leeway

    def _scopes(self, claims: Mapping[str, Any]) -> set[str]:
        found: set[str] = set()
        for name in self.scope_claims:
            value = claims.get(name)
            if isinstance(value, str):
                found.update(value.split())
            elif isinstance(value, list) and all(isinstance(each, str) for each in value):
                found.update(value)
            elif value is not None:
                raise InvalidToken(f"the access token has malformed scopes ({name})")
        return found


def acceptance_of(
    *,
    issuer: str | Iterable[str],
    audience: str | Iterable[str] | None,
    leeway: float,
    scope_claims: str | Iterable[str],
    implied_scopes: Mapping[str, Iterable[str]] | None,
    is_complete: bool,
) -> Acceptance:
    """What a user of a verifier asks for.

    Raises:
        ValueError: That makes no sense.
    """
    if not 0 <= leeway < math.inf:
        raise ValueError(f"leeway= must be a number of seconds, not below 0, got {leeway!r}")
    return Acceptance(
        issuers=texts("issuer", issuer),
        audiences=() if audience is None else texts("audience", audience),
        leeway=leeway,
        scope_claims=texts("scope_claims", scope_claims),
        hierarchy=ScopeHierarchy(implied_scopes),
        is_complete=is_complete,
    )


def texts(name: str, given: str | Iterable[str]) -> tuple[str, ...]:
    """One string or several, as a user gave them; none is refused.

    Raises:
        ValueError: There is none, or an empty one.
    """
    found = (given,) if isinstance(given, str) else tuple(given)
    if not found or not all(isinstance(each, str) and each for each in found):
        raise ValueError(f"{name}= needs a string or several, got {given!r}")
    return found


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    """A claim that is a string; None if it is absent or empty."""
    value = claims.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidToken(f"the access token has a malformed claim ({name})")
    return value or None


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """A claim that is a point in time (RFC 7519, section 2: NumericDate); None if it is absent."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken(f"the access token has a malformed time ({name})")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise InvalidToken(f"the access token has a malformed time ({name})")
    return seconds
