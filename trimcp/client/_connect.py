"""From a way to a server to a peer that both sides have agreed with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from trimcp.errors import (
    METHOD_NOT_FOUND,
    ConnectionLost,
    HTTPStatusError,
    ProcessDied,
    ProtocolViolation,
    RequestError,
)
from trimcp.protocol import Connection, Era, Role
from trimcp.runtime import Peer
from trimcp.transports import HTTPLink

from ._negotiation import STATELESS_ERRORS, Agreement, Offer, agree, initialize
from ._sse import SSEPeer
from ._streamable import StreamablePeer

if TYPE_CHECKING:
    import trio

    from trimcp.limits import Limits
    from trimcp.protocol import Revision
    from trimcp.runtime import Handlers
    from trimcp.transports import ChildProcess, MessageChannel

__all__ = ["connect"]

logger = logging.getLogger("trimcp.client")

#: What a server of HTTP with SSE answers to a POST at the URL of its stream.
_NO_POST_HERE: Final = (400, 404, 405)

#: Errors with which a server of the stateless era may answer `initialize`.
_MODERN_ERRORS: Final = STATELESS_ERRORS | {METHOD_NOT_FOUND}


async def connect(
    nursery: trio.Nursery,
    link: MessageChannel | HTTPLink,
    child: ChildProcess | None,
    handlers: Handlers,
    offer: Offer,
    pinned: Revision | None,
    limits: Limits,
) -> tuple[Peer, Agreement]:
    """Start the driver of a connection and find out what the server speaks.

    Args:
        nursery: Where the driver runs.
        link: The way to the server.
        child: The server's process, if it is ours.
        handlers: The client.
        offer: What it brings.
        pinned: The only revision to use.
        limits: Bounds.

    Raises:
        NoCommonRevision: There is no revision that both speak.
        RequestError, RequestTimeout, ConnectionLost, HTTPStatusError, ProtocolViolation: The
            server did not answer as it must.
    """
    connection = Connection(Role.CLIENT, offer.identity, limits)
    peer: Peer
    if isinstance(link, HTTPLink):
        peer = StreamablePeer(connection, link, handlers, limits, patience=offer.timeout)
    else:
        peer = Peer(connection, link, handlers, limits)
        peer.explain_loss = lambda reason: _loss(reason, child)
    nursery.start_soon(peer.run)
    try:
        agreement = await agree(peer, offer, pinned)
    except (HTTPStatusError, RequestError) as error:
        is_stateless = pinned is not None and pinned.era is Era.STATELESS
        if not isinstance(link, HTTPLink) or is_stateless or not _may_be_sse(error):
            raise
        peer.close()
        peer = SSEPeer(connection, link, handlers, limits, patience=offer.timeout)
        nursery.start_soon(peer.run)
        await _begin_sse(peer, offer, error)
        agreement = await initialize(peer, offer, pinned)
    connection.terms = agreement.terms
    return peer, agreement


def _may_be_sse(error: HTTPStatusError | RequestError) -> bool:
    """Whether a server that answers `initialize` so may be one of HTTP with SSE."""
    if isinstance(error, HTTPStatusError):
        return error.status in _NO_POST_HERE
    return error.http_status in _NO_POST_HERE and error.code not in _MODERN_ERRORS


async def _begin_sse(peer: SSEPeer, offer: Offer, refusal: HTTPStatusError | RequestError) -> None:
    """Turn to the first of the HTTP transports. Raises the refusal if it is not that either."""
    logger.debug("%s: trying HTTP with SSE", refusal)
    try:
        await peer.wait_ready(offer.probe_timeout)
    except (ConnectionLost, HTTPStatusError, ProtocolViolation) as error:
        logger.debug("no HTTP with SSE: %s", error)
        raise refusal from None


def _loss(reason: str, child: ChildProcess | None) -> ConnectionLost:
    """The error for a connection that is gone; a child's end is named as such."""
    if child is None:
        return ConnectionLost(reason)
    status = child.returncode
    ended = "closed its output" if status is None else f"ended with status {status}"
    tail = "".join(f"\n  {line}" for line in child.stderr_tail[-5:])
    said = f"; it last wrote to standard error:{tail}" if tail else ""
    return ProcessDied(f"the server process {ended}{said}", status, child.stderr_tail)
