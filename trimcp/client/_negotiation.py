"""Finding out which revision the server supports.

Specification: 2026-07-28, stdio (Backward Compatibility) and Versioning; 2025-11-25, Lifecycle.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.errors import (
    UNSUPPORTED_PROTOCOL_VERSION,
    ConnectionLost,
    HTTPStatusError,
    MCPError,
    NoCommonRevision,
    ProtocolViolation,
    RequestError,
    RequestTimeout,
)
from trimcp.protocol import (
    COMPLETE,
    HANDSHAKE_REVISIONS,
    INPUT_REQUIRED,
    META_PREFIX,
    RESULT_TYPE,
    REVISIONS,
    DecodeError,
    Era,
    InvalidShape,
    Revision,
    Terms,
    find_revision,
    read_object,
    reader_for,
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
    from collections.abc import Iterator

    from msgspec import Raw

    from trimcp.protocol import Call
    from trimcp.runtime import ConnectedPeer

    from ._garbage import Garbage

__all__ = [
    "STATELESS_ERRORS",
    "Agreement",
    "Offer",
    "agree",
    "decode_result",
    "handshake_only",
    "initialize",
    "read_result",
    "revisions_of",
]

logger = logging.getLogger("trimcp.client")

#: Errors that only a server of the stateless era sends, so `initialize` is not tried.
STATELESS_ERRORS: Final = frozenset({-32020, -32021, UNSUPPORTED_PROTOCOL_VERSION})

#: How many revisions an error names, and how many characters of each.
_SHOWN: Final = 50

#: The value of `revision=` for any revision of the handshake era.
_ANY_HANDSHAKE: Final = "handshake"

#: Statuses 4xx that say nothing about the server's revisions, only that it refuses now.
_UNWILLING: Final = frozenset({401, 403, 407, 408, 421, 425, 426, 429, 451})

#: Statuses 5xx with which older servers answer unknown methods.
_CONFUSED: Final = frozenset({500, 501, 502})


@attrs.frozen
class Agreement:
    """What client and server have agreed on, and what the server says of itself."""

    terms: Terms
    server_info: Implementation | None
    capabilities: ServerCapabilities
    instructions: str | None


@attrs.frozen
class Offer:
    """The client's part of a negotiation.

    Attributes:
        identity: Its name and version.
        capabilities: What it can do.
        probe_timeout: Seconds after which a silent server counts as one of the handshake era.
        timeout: Seconds for the handshake itself.
    """

    identity: Implementation
    capabilities: ClientCapabilities
    probe_timeout: float
    timeout: float

    def terms(self, revision: Revision) -> Terms:
        return Terms(revision, self.identity, self.capabilities)


def revisions_of(choice: str | None) -> tuple[Revision, ...]:
    """The revisions that a client may use, the oldest first.

    Args:
        choice: A revision's date, `"handshake"` for all that begin with a handshake, or None for
            all.

    Raises:
        ValueError: There is no such revision.
    """
    if choice is None:
        return REVISIONS
    if choice == _ANY_HANDSHAKE:
        return HANDSHAKE_REVISIONS
    revision = find_revision(choice)
    if revision is None:
        known = ", ".join(each.date for each in REVISIONS)
        raise ValueError(
            f'unknown protocol revision {choice!r}; known are {known}, and "{_ANY_HANDSHAKE}" for '
            "the newest with a handshake that both sides speak"
        )
    return (revision,)


def handshake_only(revisions: tuple[Revision, ...]) -> tuple[Revision, ...]:
    """The revisions of the handshake era among these."""
    return tuple(each for each in revisions if each.era is Era.HANDSHAKE)


async def agree(
    peer: ConnectedPeer, offer: Offer, revisions: tuple[Revision, ...], garbage: Garbage
) -> Agreement:
    """Find the newest revision that both sides support.

    Args:
        peer: The server.
        offer: The client's part.
        revisions: The allowed revisions, the oldest first.
        garbage: Output of the server that is not a message.

    Raises:
        NoCommonRevision: There is none.
        RequestError, RequestTimeout, ConnectionLost, HTTPStatusError, ProtocolViolation: The
            server did not answer as it must.
    """
    older = handshake_only(revisions)
    if older == revisions:
        return await initialize(peer, offer, older, garbage)
    try:
        return await _discover(peer, offer, revisions[len(older) :], garbage)
    except MCPError as error:
        if not older or not _may_be_older(error):
            raise
        logger.debug("server/discover got an invalid answer (%s): trying initialize", error)
    return await initialize(peer, offer, older, garbage)


def _may_be_older(error: MCPError) -> bool:
    """Whether a server with this answer to `server/discover` may be one of the handshake era.

    Older servers answer unknown methods in many ways. So only two kinds of answers exclude it: an
    error that only the stateless era has, and an answer that the server cannot be used now.
    """
    match error:
        case NoCommonRevision():
            return any(revision.date in error.supported for revision in HANDSHAKE_REVISIONS)
        case HTTPStatusError():
            return _may_be_status_of_older(error.status)
        case RequestError():
            status = error.http_status
            is_modern = error.code in STATELESS_ERRORS
            return not is_modern and (status is None or _may_be_status_of_older(status))
        case ConnectionLost():
            # An event stream that ended normally, without an answer.
            return isinstance(error.__cause__, EOFError)
        case _:
            return isinstance(error, RequestTimeout | ProtocolViolation)


def _may_be_status_of_older(status: int) -> bool:
    return status in _CONFUSED or (400 <= status < 500 and status not in _UNWILLING)


async def _discover(
    peer: ConnectedPeer,
    offer: Offer,
    revisions: tuple[Revision, ...],
    garbage: Garbage,
    *,
    again: bool = False,
) -> Agreement:
    """Send `server/discover` in the newest of these revisions of the stateless era."""
    revision = revisions[-1]
    terms = offer.terms(revision)
    try:
        with _impatient(offer, offer.probe_timeout, garbage):
            call, raw = await peer.request(
                "server/discover", None, terms=terms, timeout=offer.probe_timeout
            )
    except RequestError as error:
        if error.code != UNSUPPORTED_PROTOCOL_VERSION:
            raise
        supported = _supported(error.data)
        # A server that lists the refused revision as supported is asked once more.
        others = revisions
        if again or revision.date not in supported:
            others = _common(supported, revisions[:-1])
        return await _discover(peer, offer, others, garbage, again=True)
    result = decode_result(call, raw, DiscoverResult)
    if revision.date not in result.supported_versions:
        revision = _common(result.supported_versions, revisions)[-1]
        terms = offer.terms(revision)
    info = (result.meta or {}).get(META_PREFIX + "serverInfo")
    return Agreement(terms, _identity(info, revision), result.capabilities, result.instructions)


@contextmanager
def _impatient(offer: Offer, timeout: float, garbage: Garbage) -> Iterator[None]:
    """Wait for less time if the output is not a message, since it may be no server at all.

    Args:
        offer: The client's part.
        timeout: Seconds to wait for a silent server.
        garbage: Output of the server that is not a message.

    Raises:
        ProtocolViolation: There was such output, and no answer; the error quotes the output.
    """
    with trio.CancelScope() as scope:

        def hurry() -> None:
            scope.deadline = trio.current_time() + min(timeout, offer.probe_timeout / 2)

        garbage.at_first = hurry
        if garbage:
            hurry()
        try:
            yield
            return
        except RequestTimeout:
            if not garbage:
                raise
        finally:
            garbage.at_first = None
    raise ProtocolViolation(
        f"the server wrote what is no message of the protocol, and no answer: {garbage}; "
        "if it only needs longer to start, give it a longer probe_timeout"
    )


def _supported(data: Any) -> tuple[str, ...]:
    listed = data.get("supported") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple(each for each in listed if isinstance(each, str))


def _common(supported: tuple[str, ...], revisions: tuple[Revision, ...]) -> tuple[Revision, ...]:
    """The revisions that the server supports too. Raises NoCommonRevision if there is none."""
    common = tuple(each for each in revisions if each.date in supported)
    if not common:
        raise _nothing_common(supported)
    return common


def _nothing_common(supported: tuple[str, ...]) -> NoCommonRevision:
    spoken = ", ".join(f"{each:.{_SHOWN}}" for each in supported[:_SHOWN])
    return NoCommonRevision(f"the server speaks {spoken or 'no revision it names'}", supported)


def _identity(wire: Any, revision: Revision) -> Implementation | None:
    """The server's name and version: for display only, so a flaw in it is not an error."""
    try:
        return None if wire is None else reader_for(revision).decode(wire, Implementation)
    except DecodeError as error:
        logger.debug("the server's name is malformed: %s", error)
        return None


async def initialize(
    peer: ConnectedPeer, offer: Offer, accepted: tuple[Revision, ...], garbage: Garbage
) -> Agreement:
    """Offer the newest of these revisions; the server may choose another of them.

    Args:
        peer: The server.
        offer: The client's part.
        accepted: Revisions of the handshake era, the oldest first.
        garbage: Output of the server that is not a message.

    Raises:
        NoCommonRevision: The server supports none of them.
        RequestError, RequestTimeout, ConnectionLost, HTTPStatusError, ProtocolViolation: The
            server did not answer as it must.
    """
    revision = accepted[-1]
    params = InitializeRequestParams(revision.date, offer.capabilities, offer.identity)
    try:
        with _impatient(offer, offer.timeout, garbage):
            call, raw = await peer.request(
                "initialize", params, terms=offer.terms(revision), timeout=offer.timeout
            )
    except RequestError as error:
        # With any code: 2025-11-25 has -32602 for this, 2026-07-28 has -32022.
        if supported := _supported(error.data):
            raise _nothing_common(supported) from error
        raise
    result = decode_result(call, raw, InitializeResult)
    agreed = find_revision(result.protocol_version)
    if agreed is None or agreed not in accepted:
        raise NoCommonRevision(
            f"the server answered with the revision {result.protocol_version[:_SHOWN]!r}",
            (result.protocol_version,),
        )
    terms = offer.terms(agreed)
    peer.connection.terms = terms
    await peer.send(peer.connection.notify("notifications/initialized"))
    return Agreement(terms, result.server_info, result.capabilities, result.instructions)


def read_result(call: Call, raw: Raw, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """A result in wire form.

    Args:
        call: The call that it answers.
        raw: The result.
        more: Types of results in addition to those of the specification.

    Raises:
        ProtocolViolation: It is not an object, or has an unknown type.
    """
    try:
        wire = read_object(raw)
    except InvalidShape as error:
        raise ProtocolViolation(f"the result of {call.method} is malformed: {error}") from None
    _check_type(call, wire, (COMPLETE, INPUT_REQUIRED, *more))
    return wire


def _check_type(call: Call, wire: dict[str, Any], known: tuple[str, ...]) -> None:
    """Check the type of a result (stateless era). Raises ProtocolViolation."""
    kind = wire.get(RESULT_TYPE)
    if kind is None or kind in known or call.terms.revision.era is Era.HANDSHAKE:
        return
    raise ProtocolViolation(f"the result of {call.method} has the type {kind!r:.60}")


def decode_result(call: Call, raw: Raw, cls: Any) -> Any:
    """A result as a payload.

    Raises:
        ProtocolViolation: It is not what the method's result must be.
    """
    wire = read_result(call, raw)
    revision = call.terms.revision
    # For methods that may return questions instead, the codec distinguishes the two types.
    if call.method not in revision.multi_round:
        _check_type(call, wire, (COMPLETE,))
    try:
        return reader_for(revision).decode(wire, cls)
    except DecodeError as error:
        raise ProtocolViolation(f"the result of {call.method} is malformed: {error}") from None
