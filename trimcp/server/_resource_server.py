"""A server as a protected resource: it judges tokens, and says which ones it wants.

Loaded where a server has `auth=`.

Specification: 2026-07-28, Authorization.
"""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.errors import InvalidToken, VerifierUnavailable
from trimcp.runtime import Denied, HttpRequest, Principal, leaves, path_in

from ._bearer import (
    MalformedCredentials,
    challenge,
    described,
    has_token_in_query,
    metadata_url,
    token_in,
    without_token,
)
from ._resource_urls import ResourceUrls, checked_url, urls_in
from ._scopes import OFFLINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimcp.limits import Limits
    from trimcp.runtime import TokenVerifier

__all__ = ["ResourceServer"]

logger = logging.getLogger("trimcp.server")

#: How long a part of a token is that could be told from other words.
_PART: Final = 8

_UNAVAILABLE: Final = "access tokens cannot be checked at the moment: try again later"


class ResourceServer:
    """See `trimcp.runtime.Authorization`.

    Args:
        verifier: Judges tokens.
        limits: `token_bytes` and `token_seconds` are used.
        required: The scopes that every caller needs.
        supported: The scopes that clients should know of; by default the required ones.
        resource: The resource's own URL; by default those among the verifier's audiences.
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
        chosen = None if resource is None else checked_url(resource)
        self._resources = ResourceUrls(chosen, urls_in(getattr(verifier, "audience", None)))
        told = getattr(verifier, "issuer", None)
        self._issuers = (
            urls_in(told) if issuers is None else [checked_url(each) for each in issuers]
        )
        self._supported = sorted((required if supported is None else supported) - {OFFLINE})

    @property
    def resource_paths(self) -> frozenset[str]:
        """The paths of the resource's own URLs, if it was told any."""
        return self._resources.paths

    # -- judging --------------------------------------------------------------------------

    async def admit(
        self, request: HttpRequest, scopes: frozenset[str] = frozenset()
    ) -> HttpRequest:
        """Judge who sends a request; see `Authorization.admit`."""
        needed = self.required | scopes
        try:
            token = token_in(request.scope)
        except MalformedCredentials as flaw:
            raise self._denied(request, needed, 400, str(flaw), "invalid_request") from None
        if token is None:
            raise self._denied(request, needed, 401, _missing(request))
        if len(token) > self._limits.token_bytes:
            message = "the access token is too long"
            raise self._denied(request, needed, 401, message, "invalid_token")
        principal = await self._judged(request, needed, token)
        if not needed <= principal.scopes:
            raise self.insufficient(request, needed)
        headers, scope = without_token(request.scope)
        return attrs.evolve(request, headers=headers, scope=scope, principal=principal)

    async def _judged(self, request: HttpRequest, needed: frozenset[str], token: str) -> Principal:
        """What the verifier says. Raises Denied."""
        try:
            with trio.move_on_after(self._limits.token_seconds):
                principal = await self._verifier.verify(token)
                if not isinstance(principal, Principal):
                    raise TypeError(f"a verifier gave a {type(principal).__name__}, no Principal")
                return principal
            raise VerifierUnavailable("it took too long")
        except Exception as error:
            raise self._refusal(request, needed, token, error) from None

    def _refusal(
        self, request: HttpRequest, needed: frozenset[str], token: str, error: Exception
    ) -> Denied:
        """What a client is told whose token the verifier has not accepted."""
        found = list(leaves(error))
        if len(found) == 1 and isinstance(found[0], InvalidToken):
            reason = described(_without(token, found[0].reason))
            logger.info("an access token is refused: %s", reason)
            return self._denied(request, needed, 401, reason, "invalid_token")
        logger.error("the token verifier has failed: %s", _shown(error, token))
        return Denied(503, _UNAVAILABLE, {"retry-after": "1"})

    # -- what clients are told ------------------------------------------------------------

    def insufficient(self, request: HttpRequest, needed: frozenset[str]) -> Denied:
        """What a caller is told whose token lacks scopes; see `Authorization.insufficient`."""
        scope = " ".join(sorted(needed))
        message = f"the access token lacks scopes: needed are {scope}"
        denied = self._denied(request, needed, 403, message, "insufficient_scope")
        denied.data = {"scope": scope}
        return denied

    def _denied(
        self,
        request: HttpRequest,
        needed: frozenset[str],
        status: int,
        message: str,
        error: str | None = None,
    ) -> Denied:
        """An answer with a challenge; without an error if no token was sent (RFC 6750, 3.1)."""
        parameters = {
            "resource_metadata": self._metadata_url(request),
            "error": error,
            "error_description": None if error is None else described(message),
            "scope": " ".join(sorted(needed - {OFFLINE})),
        }
        return Denied(status, message, {"www-authenticate": challenge(parameters)})

    def _metadata_url(self, request: HttpRequest) -> str | None:
        if not self._issuers or request.resource_path == "":
            return None
        path = request.resource_path or path_in(request.scope)
        return metadata_url(self._resources.url(request, path), request.scope, path)

    def metadata(self, request: HttpRequest, path: str) -> dict[str, Any] | None:
        """The metadata of the resource; see `Authorization.metadata`."""
        if not self._issuers:
            return None
        document = {
            "resource": self._resources.url(request, path),
            "authorization_servers": self._issuers,
            "bearer_methods_supported": ["header"],
        }
        return document | ({"scopes_supported": self._supported} if self._supported else {})


def _missing(request: HttpRequest) -> str:
    if has_token_in_query(request.scope):
        return "an access token in the URL is not read: send it in the Authorization header"
    return "an access token is needed"


def _shown(failure: Exception, token: str) -> str:
    """What has failed and where, for the log; without the token, which may stand in messages."""
    if isinstance(failure, VerifierUnavailable):
        text = str(failure)
    else:
        text = "".join(traceback.format_exception(failure))
    return _without(token, text)


def _without(token: str, text: str) -> str:
    """A text in which neither the token stands nor a part of it, such as one of a JWT."""
    parts = [part for part in token.split(".") if len(part) >= _PART]
    for each in [token, *parts]:
        text = text.replace(each, "[token]")
    return text
