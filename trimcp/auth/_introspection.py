"""Access tokens about which the authorization server is asked."""

from __future__ import annotations

import functools
from time import monotonic, time
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.errors import InvalidToken, VerifierUnavailable
from trimcp.transports import check_url

from ._claims import acceptance_of, is_proving
from ._digest import TokenDigest
from ._fetch import Fetcher, FetchFailed, basic_credentials
from ._flights import Flights

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    import httpx2

    from trimcp.runtime import Principal

__all__ = ["IntrospectionVerifier"]

#: Seconds that one question may take, the wait for its turn included.
_SECONDS: Final = 5.0

#: Questions at once.
_MOST_AT_ONCE: Final = 50

#: The largest answer, in bytes: those for good tokens are kept.
_MOST_BYTES: Final = 64 * 1024

#: Said of a token that is good or bad elsewhere: some issuers do not answer for signed ones.
_UNSUPPORTED: Final = "unsupported_token_type"

#: What an answer may call an access token that needs no proof.
_TYPES: Final = ("bearer", "access_token")
_PROVEN_TYPES: Final = (*_TYPES, "dpop")


class IntrospectionVerifier:
    """Asks the authorization server about each access token (RFC 7662).

    For tokens that say nothing themselves, and where a withdrawn token must be refused soon. What
    it says of a good token is kept for a short time, under a digest of the token. However many
    requests come with the same token at once, one question is asked; the task of one of them asks
    it.

    Args:
        url: The introspection endpoint.
        client_id: With which this server authenticates itself there (HTTP Basic).
        client_secret: Its secret.
        issuer: The authorization server. An answer that names another (`iss`) is refused.
        audience: The identifier of this server, or several: an answer must name one (`aud`). None
            leaves that to the authorization server, which must then refuse tokens for others.
        leeway: Seconds by which the clocks of issuer and server may differ.
        scope_claims: Where scopes stand: each a string with spaces, or a list.
        implied_scopes: For a scope, those that it includes, over any number of steps.
        cache_seconds: How long an answer is used, at most; 0 to ask every time.
        cache_size: How many answers are kept.
        ssl_context: For the endpoint; by default the usual authorities are trusted.
        http_client: Makes the connections instead, and is left open. By default each question
            has a connection of its own.

    Raises:
        ValueError: An argument makes no sense.

    Specification: 2026-07-28, Authorization, Access Token Usage; RFC 7662.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        client_secret: str,
        issuer: str,
        audience: str | Sequence[str] | None,
        leeway: float = 30.0,
        scope_claims: str | Sequence[str] = ("scope", "scp"),
        implied_scopes: Mapping[str, Iterable[str]] | None = None,
        cache_seconds: float = 30.0,
        cache_size: int = 1000,
        ssl_context: ssl.SSLContext | None = None,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        if cache_seconds < 0 or cache_size < 1:
            raise ValueError("cache_seconds= must not be negative, and cache_size= at least 1")
        self._url = check_url(url)
        self._credentials = basic_credentials(client_id, client_secret)
        self._acceptance = acceptance_of(
            issuer=issuer,
            audience=audience,
            leeway=leeway,
            scope_claims=scope_claims,
            implied_scopes=implied_scopes,
            is_complete=False,
        )
        self._fetcher = Fetcher(
            ssl_context=ssl_context, seconds=_SECONDS, most_bytes=_MOST_BYTES, client=http_client
        )
        self._digest = TokenDigest()
        self._cache = _Cache(cache_seconds, cache_size)
        self._flights: Flights[bytes, Principal] = Flights()
        self._turns = trio.Semaphore(_MOST_AT_ONCE)

    @property
    def issuer(self) -> tuple[str, ...]:
        """Who issues tokens, exactly as it was given."""
        return self._acceptance.issuers

    @property
    def audience(self) -> tuple[str, ...]:
        """The identifiers of this server, each exactly as it was given; none if not checked."""
        return self._acceptance.audiences

    async def verify(self, token: str) -> Principal:
        """Verify one token.

        Returns:
            Who it was issued for. `expires` is the time up to which it is accepted, leeway
            included.

        Raises:
            InvalidToken: It is not accepted.
            VerifierUnavailable: The authorization server could not be asked.
        """
        if not (token and token.isascii() and token.isprintable()):
            raise InvalidToken("the access token is malformed")
        # What is kept for those who ask for a proof is of no use to others.
        digest = self._digest(f"{is_proving():d}{token}")
        known = self._cache.get(digest)
        if known is not None:
            return known
        return await self._flights.share(digest, functools.partial(self._ask, token, digest))

    async def _ask(self, token: str, digest: bytes) -> Principal:
        with trio.move_on_after(_SECONDS):
            async with self._turns:
                said = await self._answer(token)
            if said.get("active") is not True:
                raise InvalidToken("the access token is not active")
            kind = said.get("token_type", "bearer")
            accepted = _PROVEN_TYPES if is_proving() else _TYPES
            if not isinstance(kind, str) or kind.lower() not in accepted:
                raise InvalidToken("this kind of token is not accepted as an access token")
            principal = self._acceptance.principal(said, time())
            self._cache.put(digest, principal)
            return principal
        raise VerifierUnavailable(f"an answer about a token took longer than {_SECONDS:g} seconds")

    async def _answer(self, token: str) -> dict[str, Any]:
        try:
            answer = await self._fetcher.post_form(
                self._url,
                {"token": token, "token_type_hint": "access_token"},
                headers={"authorization": self._credentials},
            )
            if answer.status == 200:
                return answer.document()
            if answer.status == 400 and answer.document().get("error") == _UNSUPPORTED:
                return {"active": False}
            raise FetchFailed(f"{self._url!r} answered with HTTP status {answer.status}")
        except FetchFailed as error:
            raise VerifierUnavailable(str(error)) from error


@attrs.frozen
class _Kept:
    principal: Principal
    until: float


class _Cache:
    """Principals, for a short time.

    Args:
        seconds: For how long.
        size: How many; the oldest goes first.
    """

    def __init__(self, seconds: float, size: int) -> None:
        self._seconds = seconds
        self._size = size
        self._kept: dict[bytes, _Kept] = {}

    def get(self, digest: bytes) -> Principal | None:
        """What is known of a token, if it is still good."""
        kept = self._kept.get(digest)
        if kept is None or kept.until <= monotonic() or kept.principal.expires <= time():
            return None
        return kept.principal

    def put(self, digest: bytes, principal: Principal) -> None:
        """Keep what is known of a token."""
        if not self._seconds:
            return
        self._kept.pop(digest, None)
        while len(self._kept) >= self._size:
            del self._kept[next(iter(self._kept))]
        self._kept[digest] = _Kept(principal, monotonic() + self._seconds)
