"""Finding out what the server speaks.

Specification: 2026-07-28, stdio (Backward Compatibility) and Versioning; 2025-11-25, Lifecycle.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.errors import (
    UNSUPPORTED_PROTOCOL_VERSION,
    HTTPStatusError,
    NoCommonRevision,
    ProtocolViolation,
    RequestError,
    RequestTimeout,
)
from trimcp.protocol import (
    COMPLETE,
    HANDSHAKE_REVISIONS,
    LATEST,
    META_PREFIX,
    RESULT_TYPE,
    REVISIONS,
    STATELESS_REVISIONS,
    DecodeError,
    Era,
    InvalidShape,
    Revision,
    Terms,
    codec_for,
    find_revision,
    read_object,
)
from trimcp.types import (
    ClientCapabilities,
    DiscoverResult,
    Implementation,
    InitializeRequestParams,
    InitializeResult,
    ServerCapabilities,
)

if TYPE_CHECKING:
    from trimcp.protocol import Call
    from trimcp.runtime import Peer

__all__ = [
    "STATELESS_ERRORS",
    "Agreement",
    "Offer",
    "agree",
    "decode_result",
    "initialize",
    "known_revision",
]

logger = logging.getLogger("trimcp.client")

#: Errors that only a server of the stateless era sends: there is nothing to fall back to.
STATELESS_ERRORS: Final = frozenset({-32020, -32021, UNSUPPORTED_PROTOCOL_VERSION})

#: HTTP statuses that say nothing about what a server speaks, but that it will not speak now.
_UNWILLING: Final = frozenset({401, 403, 407, 408, 421, 425, 426, 429, 451})


@attrs.frozen
class Agreement:
    """What client and server found out about each other."""

    terms: Terms
    server_info: Implementation | None
    capabilities: ServerCapabilities
    instructions: str | None


@attrs.frozen
class Offer:
    """What the client brings.

    Attributes:
        identity: How it calls itself.
        capabilities: What it can do.
        probe_timeout: Seconds before silence means that the server is of the handshake era.
        timeout: Seconds for the handshake itself.
    """

    identity: Implementation
    capabilities: ClientCapabilities
    probe_timeout: float
    timeout: float

    def terms(self, revision: Revision) -> Terms:
        return Terms(revision, self.identity, self.capabilities)


def known_revision(date: str) -> Revision:
    """The revision of that name. Raises ValueError."""
    revision = find_revision(date)
    if revision is None:
        known = ", ".join(each.date for each in REVISIONS)
        raise ValueError(f"unknown protocol revision {date!r}; known are {known}")
    return revision


async def agree(peer: Peer, offer: Offer, pinned: Revision | None) -> Agreement:
    """Find the newest revision that both sides speak, or use the pinned one.

    Raises:
        NoCommonRevision: There is none.
        RequestError, RequestTimeout, ConnectionLost, HTTPStatusError, ProtocolViolation: The
            server did not answer as it must.
    """
    if pinned is not None and pinned.era is Era.HANDSHAKE:
        return await initialize(peer, offer, pinned)
    try:
        return await _discover(peer, offer, pinned or LATEST)
    except RequestTimeout:
        if pinned is not None:
            raise
        logger.debug("server/discover was not answered: trying initialize")
    except NoCommonRevision as error:
        if pinned is not None or not _has_handshake(error.supported):
            raise
        logger.debug("%s: trying initialize", error)
    except (RequestError, HTTPStatusError) as error:
        if pinned is not None or not _may_be_older(error):
            raise
        # Whatever else an older server says to a method it does not know.
        logger.debug("server/discover was refused (%s): trying initialize", error)
    return await initialize(peer, offer)


def _has_handshake(supported: tuple[str, ...]) -> bool:
    return any(revision.date in supported for revision in HANDSHAKE_REVISIONS)


def _may_be_older(error: RequestError | HTTPStatusError) -> bool:
    """Whether a server that answers so may be one of the handshake era."""
    if isinstance(error, HTTPStatusError):
        return 400 <= error.status < 500 and error.status not in _UNWILLING
    return error.code not in STATELESS_ERRORS and error.http_status not in _UNWILLING


async def _discover(
    peer: Peer, offer: Offer, revision: Revision, *, again: bool = False
) -> Agreement:
    terms = offer.terms(revision)
    try:
        call, raw = await peer.request(
            "server/discover", None, terms=terms, timeout=offer.probe_timeout
        )
    except RequestError as error:
        if error.code != UNSUPPORTED_PROTOCOL_VERSION:
            raise
        supported = _supported(error.data)
        # A server that names the refused revision among those it speaks is asked once more.
        other = revision
        if again or revision.date not in supported:
            other = _newest_common(supported, than=revision)
        return await _discover(peer, offer, other, again=True)
    wire = read_object(raw)
    result = decode_result(call, wire, DiscoverResult)
    if revision.date not in result.supported_versions:
        revision = _newest_common(result.supported_versions)
        terms = offer.terms(revision)
    info = (wire.get("_meta") or {}).get(META_PREFIX + "serverInfo")
    return Agreement(terms, _identity(info, revision), result.capabilities, result.instructions)


def _supported(data: Any) -> tuple[str, ...]:
    listed = data.get("supported") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple(each for each in listed if isinstance(each, str))


def _newest_common(supported: tuple[str, ...], *, than: Revision | None = None) -> Revision:
    """The newest stateless revision that both speak, other than the one just refused."""
    for revision in reversed(STATELESS_REVISIONS):
        if revision.date in supported and revision is not than:
            return revision
    raise NoCommonRevision(
        f"the server speaks {', '.join(supported) or 'no revision it names'}", supported
    )


def _identity(wire: Any, revision: Revision) -> Implementation | None:
    """How the server calls itself: for display only, so a flaw in it is no error."""
    try:
        return None if wire is None else codec_for(revision).decode(wire, Implementation)
    except DecodeError as error:
        logger.debug("the server's name is malformed: %s", error)
        return None


async def initialize(peer: Peer, offer: Offer, pinned: Revision | None = None) -> Agreement:
    """Offer the newest revision of the handshake era; the server may choose another of them.

    Raises:
        NoCommonRevision: The server speaks none of them, or not the pinned one.
        RequestError, RequestTimeout, ConnectionLost, HTTPStatusError, ProtocolViolation: The
            server did not answer as it must.
    """
    accepted = HANDSHAKE_REVISIONS if pinned is None else (pinned,)
    revision = accepted[-1]
    params = InitializeRequestParams(revision.date, offer.capabilities, offer.identity)
    try:
        call, raw = await peer.request(
            "initialize", params, terms=offer.terms(revision), timeout=offer.timeout
        )
    except RequestError as error:
        # Whatever the code: 2025-11-25 has -32602 for this, 2026-07-28 has -32022.
        if supported := _supported(error.data):
            raise NoCommonRevision(
                f"the server speaks {', '.join(supported)}", supported
            ) from error
        raise
    result = decode_result(call, read_object(raw), InitializeResult)
    agreed = find_revision(result.protocol_version)
    if agreed is None or agreed not in accepted:
        raise NoCommonRevision(
            f"the server answered with the revision {result.protocol_version!r}",
            (result.protocol_version,),
        )
    terms = offer.terms(agreed)
    peer.connection.terms = terms
    await peer.send(peer.connection.notify("notifications/initialized"))
    return Agreement(terms, result.server_info, result.capabilities, result.instructions)


def decode_result(call: Call, wire: dict[str, Any], cls: Any) -> Any:
    """A result as a payload.

    Raises:
        ProtocolViolation: It is not what the method's result must be.
    """
    revision = call.terms.revision
    kind = wire.get(RESULT_TYPE, COMPLETE)
    # Where there may be questions instead, the codec tells the two types apart.
    is_plain = revision.era is Era.STATELESS and call.method not in revision.multi_round
    if is_plain and kind != COMPLETE:
        raise ProtocolViolation(f"the result of {call.method} has the type {kind!r}")
    try:
        return codec_for(revision).decode(wire, cls)
    except (DecodeError, InvalidShape) as error:
        raise ProtocolViolation(f"the result of {call.method} is malformed: {error}") from None
