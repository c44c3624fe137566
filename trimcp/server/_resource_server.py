"""A server as a protected resource: it judges tokens, and says which ones it wants.

Loaded where a server has `auth=`.

Specification: 2026-07-28, Authorization.
"""

from __future__ import annotations

import itertools
import logging
import traceback
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import trio

from trimcp._groups import leaves
from trimcp.errors import InvalidToken, VerifierUnavailable
from trimcp.runtime import (
    Denied,
    Failed,
    HttpRequest,
    Presentation,
    Principal,
    ProofRefused,
    Proven,
    captured,
    path_in,
)

from ._bearer import (
    MalformedCredentials,
    challenge,
    credentials_in,
    described,
    has_bound_token,
    has_token_in_query,
    metadata_url,
    proofs_in,
    without_token,
)
from ._expiring import EXPIRED
from ._resource_urls import ResourceUrls, checked_url, urls_in
from ._scopes import OFFLINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimcp.limits import Limits
    from trimcp.runtime import ProofVerifier, TokenVerifier

__all__ = ["ResourceServer"]

logger = logging.getLogger("trimcp.server")

#: How long a part of a token is that could be told from other words.
_PART: Final = 8

#: Characters of a verifier's own sentence that are read.
_LONGEST: Final = 500

#: Exceptions, and frames of each, that are logged of a failure.
_MOST_LOGGED: Final = 10

_NONCE: Final = "dpop-nonce"

#: Errors that concern only clients that send proofs.
_ABOUT_PROOFS: Final = ("invalid_dpop_proof", "use_dpop_nonce")

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
        is_proving = callable(getattr(verifier, "verify_presented", None))
        self._proofs = cast("ProofVerifier", verifier) if is_proving else None
        self._schemes = ("bearer",) if self._proofs is None else ("bearer", "dpop")
        self._limits = limits
        self._has_warned = False
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

    @property
    def unshared(self) -> str | None:
        """What several processes lack; see `Authorization`."""
        return None if self._proofs is None else self._proofs.unshared

    # -- judging --------------------------------------------------------------------------

    async def admit(
        self, request: HttpRequest, scopes: frozenset[str] = frozenset()
    ) -> HttpRequest:
        """Judge who sends a request; see `Authorization.admit`."""
        needed = self.required | scopes
        try:
            credentials = credentials_in(request.scope, self._schemes)
        except MalformedCredentials as flaw:
            raise self._denied(request, needed, 400, str(flaw), "invalid_request") from None
        if credentials is None:
            self._look_for_proof(request)
            raise self._denied(request, needed, 401, _missing(request))
        scheme, token = credentials
        if len(token) > self._limits.token_bytes:
            message = "the access token is too long"
            raise self._denied(request, needed, 401, message, "invalid_token")
        proven = await self._judged(request, needed, scheme, token)
        more = {} if proven.nonce is None else {_NONCE: proven.nonce}
        if not needed <= proven.principal.scopes:
            denied = self.insufficient(request, needed)
            denied.headers = {**denied.headers, **more}
            raise denied
        headers, scope = without_token(request.scope)
        return attrs.evolve(
            request,
            headers=headers,
            scope=scope,
            principal=proven.principal,
            response_headers=more,
        )

    def _look_for_proof(self, request: HttpRequest) -> None:
        """Tell the operator, once, if clients send proofs that no verifier gets to see."""
        if self._proofs is None and not self._has_warned and has_bound_token(request.scope):
            self._has_warned = True
            logger.warning(
                "a request with a DPoP proof is refused, since this server takes none: for that "
                "DPoPVerifier(...) must be the outermost verifier"
            )

    async def _judged(
        self, request: HttpRequest, needed: frozenset[str], scheme: str, token: str
    ) -> Proven:
        """What the verifier says. Raises Denied."""
        limit = trio.CancelScope(relative_deadline=self._limits.token_seconds)
        if self._proofs is None:
            outcome, passing = await captured(limit, self._verifier.verify, token)
        else:
            presented = self._presented(request, scheme, token)
            outcome, passing = await captured(limit, self._proofs.verify_presented, presented)
        if passing is not None:
            raise passing
        if isinstance(outcome, Failed):
            raise self._refusal(request, needed, token, outcome.error)
        proven = Proven(outcome) if isinstance(outcome, Principal) else outcome
        if isinstance(proven, Proven):
            if proven.principal.seconds_left > 0:
                return proven
            raise self._invalid(request, needed, EXPIRED)
        raise _unavailable("took too long" if limit.cancelled_caught else "gave no Principal")

    def _presented(self, request: HttpRequest, scheme: str, token: str) -> Presentation:
        return Presentation(
            token,
            scheme,
            # The handshake of a WebSocket is a GET, which its scope does not say.
            request.scope.get("method", "GET"),
            self._resources.request_url(request),
            proofs_in(request.scope),
        )

    def _refusal(
        self, request: HttpRequest, needed: frozenset[str], token: str, error: BaseException
    ) -> Denied:
        """What a client is told whose token the verifier has not accepted."""
        found = list(leaves(error))
        if len(found) == 1 and isinstance(found[0], ProofRefused):
            return self._unproven(request, needed, found[0])
        if len(found) == 1 and isinstance(found[0], InvalidToken):
            flaw = _without(token, found[0])
            return self._invalid(request, needed, flaw or "the access token is not accepted")
        flaw = _without(token, error) if isinstance(error, VerifierUnavailable) else None
        return _unavailable(flaw or f"it raised {_traced(error)}")

    def _invalid(self, request: HttpRequest, needed: frozenset[str], flaw: str) -> Denied:
        reason = described(flaw)
        logger.info("an access token is refused: %s", reason)
        return self._denied(request, needed, 401, reason, "invalid_token")

    def _unproven(
        self, request: HttpRequest, needed: frozenset[str], refused: ProofRefused
    ) -> Denied:
        reason = described(refused.reason)
        logger.info("a DPoP proof is refused: %s", reason)
        denied = self._denied(request, needed, 401, reason, refused.error)
        if refused.nonce is not None:
            denied.headers = {**denied.headers, _NONCE: refused.nonce}
        return denied

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
        return Denied(status, message, {"www-authenticate": self._challenges(parameters)})

    def _challenges(self, parameters: dict[str, str | None]) -> str:
        """All ways in which a token is accepted.

        Clients that know only bearer tokens look at the first; one that has sent a proof knows
        better, and what was wrong with a proof is no business of the others.
        """
        if self._proofs is None:
            return challenge("bearer", parameters)
        told = [challenge("dpop", {"algs": " ".join(self._proofs.proof_algorithms), **parameters})]
        if self._proofs.accepts_bearer:
            if parameters["error"] in _ABOUT_PROOFS:
                parameters = {**parameters, "error": None, "error_description": None}
                told.append(challenge("bearer", parameters))
            else:
                told.insert(0, challenge("bearer", parameters))
        return ", ".join(told)

    def _metadata_url(self, request: HttpRequest) -> str | None:
        if not self._issuers or request.resource_path == "":
            return None
        path = request.resource_path or path_in(request.scope)
        return metadata_url(self._resources.url(request, path), request.scope, path)

    def metadata(self, request: HttpRequest, path: str) -> dict[str, Any] | None:
        """The metadata of the resource; see `Authorization.metadata`."""
        if not self._issuers:
            return None
        document: dict[str, Any] = {
            "resource": self._resources.url(request, path),
            "authorization_servers": self._issuers,
            "bearer_methods_supported": ["header"],
        }
        proofs = self._proofs
        if proofs is not None:
            document |= {
                "bearer_methods_supported": ["header"] if proofs.accepts_bearer else [],
                "dpop_signing_alg_values_supported": list(proofs.proof_algorithms),
                "dpop_bound_access_tokens_required": not proofs.accepts_bearer,
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
