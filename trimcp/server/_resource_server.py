"""A server as a protected resource: it judges tokens, and says which ones it wants.

Loaded where a server has `auth=`.

Specification: 2026-07-28, Authorization.
"""

from __future__ import annotations

import itertools
import logging
import traceback
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from trimcp.errors import InvalidToken, RegistrationError, VerifierUnavailable
from trimcp.runtime import Denied, Failed, HttpRequest, Principal, captured, leaves, path_in

from ._bearer import (
    MalformedCredentials,
    challenge,
    described,
    has_token_in_query,
    metadata_url,
    token_in,
    url_of,
    without_token,
)
from ._expiring import EXPIRED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimcp.limits import Limits
    from trimcp.runtime import TokenVerifier

__all__ = ["ResourceServer"]

logger = logging.getLogger("trimcp.server")

#: The scope of refresh tokens, which is no business of a resource.
_OFFLINE: Final = "offline_access"

#: How long a part of a token is that could be told from other words.
_PART: Final = 8

#: Characters of a verifier's own sentence that are read.
_LONGEST: Final = 500

#: Exceptions, and frames of each, that are logged of a failure.
_MOST_LOGGED: Final = 10

_UNAVAILABLE: Final = "access tokens cannot be checked at the moment: try again later"


class ResourceServer:
    """See `trimcp.runtime.Authorization`.

    Args:
        verifier: Judges tokens.
        limits: `token_bytes` and `token_seconds` are used.
        required: The scopes that every caller needs.
        supported: The scopes that clients should know of; by default the required ones.
        resource: The resource's own URL; by default the verifier's audience, if that is one.
        issuers: The authorization servers; by default the verifier's issuer.

    Raises:
        RegistrationError: A URL cannot be one.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        limits: Limits,
        *,
        required: frozenset[str],
        supported: frozenset[str] | None,
        resource: str | None,
        issuers: Iterable[str] | None,
    ) -> None:
        self.required = required
        self._verifier = verifier
        self._limits = limits
        told = getattr(verifier, "audience", None)
        self._resource = next(iter(_urls(told)), None) if resource is None else _url(resource)
        told = getattr(verifier, "issuer", None)
        self._issuers = _urls(told) if issuers is None else [_url(each) for each in issuers]
        self._supported = sorted((required if supported is None else supported) - {_OFFLINE})

    @property
    def resource_path(self) -> str | None:
        """The path of the resource's own URL, if it was told that."""
        return None if self._resource is None else urlsplit(self._resource).path.rstrip("/")

    # -- judging --------------------------------------------------------------------------

    async def admit(
        self, request: HttpRequest, scopes: frozenset[str] = frozenset()
    ) -> HttpRequest:
        """Judge who sends a request; see `Authorization.admit`."""
        try:
            token = token_in(request.scope)
        except MalformedCredentials as flaw:
            raise self._denied(request, 400, str(flaw), "invalid_request") from None
        if token is None:
            raise self._denied(request, 401, _missing(request))
        if len(token) > self._limits.token_bytes:
            raise self._denied(request, 401, "the access token is too long", "invalid_token")
        principal = await self._judged(request, token)
        needed = self.required | scopes
        if not needed <= principal.scopes:
            raise self.insufficient(request, needed)
        headers, scope = without_token(request.scope)
        return attrs.evolve(request, headers=headers, scope=scope, principal=principal)

    async def _judged(self, request: HttpRequest, token: str) -> Principal:
        """What the verifier says. Raises Denied."""
        scope = trio.CancelScope(relative_deadline=self._limits.token_seconds)
        outcome, passing = await captured(scope, self._verifier.verify, token)
        if passing is not None:
            raise passing
        if isinstance(outcome, Principal):
            if outcome.seconds_left > 0:
                return outcome
            raise self._invalid(request, EXPIRED)
        if isinstance(outcome, Failed):
            raise self._refusal(request, token, outcome.error)
        what = "took too long" if scope.cancelled_caught else "gave no Principal"
        raise _unavailable(what)

    def _refusal(self, request: HttpRequest, token: str, error: BaseException) -> Denied:
        """What a client is told whose token the verifier has not accepted."""
        found = list(leaves(error))
        if len(found) == 1 and isinstance(found[0], InvalidToken):
            flaw = _without(token, found[0])
            return self._invalid(request, flaw or "the access token is not accepted")
        flaw = _without(token, error) if isinstance(error, VerifierUnavailable) else None
        return _unavailable(flaw or f"it raised {_traced(error)}")

    def _invalid(self, request: HttpRequest, flaw: str) -> Denied:
        reason = described(flaw)
        logger.info("an access token is refused: %s", reason)
        return self._denied(request, 401, reason, "invalid_token")

    # -- what clients are told ------------------------------------------------------------

    def insufficient(self, request: HttpRequest, needed: frozenset[str]) -> Denied:
        """What a caller is told whose token lacks scopes; see `Authorization.insufficient`."""
        scope = " ".join(sorted(needed))
        message = f"the access token lacks scopes: needed are {scope}"
        return self._denied(request, 403, message, "insufficient_scope", needed)

    def _denied(
        self,
        request: HttpRequest,
        status: int,
        message: str,
        error: str | None = None,
        needed: frozenset[str] | None = None,
    ) -> Denied:
        """An answer with a challenge; without an error if no token was sent (RFC 6750, 3.1)."""
        scopes = self.required if needed is None else needed
        parameters = {
            "resource_metadata": self._metadata_url(request) if self._issuers else None,
            "error": error,
            "error_description": None if error is None else described(message),
            "scope": " ".join(sorted(scopes - {_OFFLINE})),
        }
        data = None if needed is None else {"scope": parameters["scope"]}
        return Denied(status, message, {"www-authenticate": challenge(parameters)}, data)

    def _metadata_url(self, request: HttpRequest) -> str:
        path = path_in(request.scope)
        return metadata_url(self._url(request, path), request.scope, path)

    def _url(self, request: HttpRequest, path: str) -> str:
        return self._resource or url_of(request.scope, request.headers, path)

    def metadata(self, request: HttpRequest, path: str) -> dict[str, Any] | None:
        """The metadata of the resource; see `Authorization.metadata`."""
        if not self._issuers:
            return None
        document = {
            "resource": self._url(request, path),
            "authorization_servers": self._issuers,
            "bearer_methods_supported": ["header"],
        }
        return document | ({"scopes_supported": self._supported} if self._supported else {})


def _missing(request: HttpRequest) -> str:
    if has_token_in_query(request.scope):
        return "an access token in the URL is not read: send it in the Authorization header"
    return "an access token is needed"


def _unavailable(what: str) -> Denied:
    logger.error("the token verifier has failed: %s", what)
    return Denied(503, _UNAVAILABLE, {"retry-after": "1"})


def _without(token: str, error: Exception) -> str | None:
    """What a verifier says; None if a part of the token stands in it, or it says nothing."""
    try:
        text = str(error)[:_LONGEST]
    except Exception:
        return None
    size = min(len(token), _PART)
    windows = (text[begin : begin + size] for begin in range(len(text) - size + 1))
    return None if any(each in token for each in windows) else text


def _traced(error: BaseException) -> str:
    """Which exceptions there were, and where, the latest first; not what they say.

    The token may stand in that in any form, such as quoted or cut.
    """
    told: list[str] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(told) < _MOST_LOGGED:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        told.append(type(each).__name__ + _places(each))
        earlier = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        waiting += [] if earlier is None else [earlier]
        waiting += reversed(each.exceptions) if isinstance(each, BaseExceptionGroup) else ()
    return ", after ".join(told)


def _places(error: BaseException) -> str:
    """The frames that an exception has passed, the innermost first."""
    places = [
        f" in {frame.f_code.co_name} ({frame.f_code.co_filename}:{line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return "".join(itertools.islice(reversed(places), _MOST_LOGGED))


def _urls(told: Any) -> list[str]:
    """The http(s) URLs in what a verifier says of itself: nothing, a text, or several."""
    several = [told] if isinstance(told, str) else told or ()
    return [each for each in several if isinstance(each, str) and _is_url(each)]


def _url(text: Any) -> str:
    if not isinstance(text, str) or not _is_url(text):
        raise RegistrationError(f"{text!r} is no URL such as 'https://mcp.example.com/mcp'")
    return text


def _is_url(text: str) -> bool:
    """Whether it is an http(s) URL that can be told in a header."""
    if not text.isascii() or not text.isprintable() or any(each in text for each in ' "\\#'):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
