"""Making a peer from a connection, and agreeing on a revision of the protocol with it."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trimcp.errors import (
    METHOD_NOT_FOUND,
    ConnectionLost,
    HTTPStatusError,
    ProcessDied,
    ProtocolViolation,
    RequestError,
)
from trimcp.protocol import Connection, Role
from trimcp.runtime import READS_NOTHING, ChannelPeer
from trimcp.transports import HTTPLink

from ._negotiation import STATELESS_ERRORS, Agreement, Offer, agree, handshake_only, initialize
from ._sse import SSEPeer
from ._streamable import StreamablePeer

if TYPE_CHECKING:
    import trio

    from trimcp.limits import Limits
    from trimcp.protocol import Revision
    from trimcp.runtime import ConnectedPeer, Responder
    from trimcp.transports import ChildProcess, MessageChannel

    from ._garbage import Garbage

__all__ = ["connect"]

logger = logging.getLogger("trimcp.client")

#: The statuses with which a server of HTTP with SSE answers a POST to the URL of its stream.
_NO_POST_HERE: Final = (400, 404, 405)

_NOT_FOUND: Final = 404

#: What to do about a program that ended with status 0, and answered nothing.
_ENDED: Final = (
    "a program that serves ends with `trio.run(server.serve_stdio)`, below "
    "`if __name__ == '__main__':`; or `trimcp run FILE` serves it"
)

#: Errors with which a server of the stateless era may answer `initialize`.
_MODERN_ERRORS: Final = STATELESS_ERRORS | {METHOD_NOT_FOUND}


async def connect(
    nursery: trio.Nursery,
    link: MessageChannel | HTTPLink,
    child: ChildProcess | None,
    responder: Responder,
    offer: Offer,
    revisions: tuple[Revision, ...],
    limits: Limits,
    garbage: Garbage,
) -> tuple[ConnectedPeer, Agreement]:
    """Start the driver of a connection and find out which revision and transport the server uses.

    Args:
        nursery: Runs the driver.
        link: The connection to the server.
        child: The server's process, if the client started it.
        responder: The client.
        offer: The client's identity, capabilities and timeouts.
        revisions: The allowed revisions, the oldest first.
        limits: Bounds.
        garbage: Records output of the server that is not a message.

    Raises:
        NoCommonRevision: There is no revision that both sides support.
        RequestError, RequestTimeout, ConnectionLost, HTTPStatusError, ProtocolViolation: The
            server did not answer as it must.
    """
    connection = Connection(Role.CLIENT, offer.identity, limits)
    peer: ConnectedPeer
    if isinstance(link, HTTPLink):
        peer = StreamablePeer(connection, link, responder, limits, patience=offer.timeout)
    else:
        peer = ChannelPeer(connection, link, responder, limits)
        peer.at_garbage = garbage.take
        link.hear_stray(garbage.take_unfinished)
        peer.life.explain_loss = functools.partial(_loss, child, garbage)
    nursery.start_soon(peer.run)
    try:
        agreement = await agree(peer, offer, revisions, garbage)
    except ProcessDied as error:
        if error.returncode == 0:
            error.add_note(_ENDED)
        raise
    except (HTTPStatusError, RequestError) as error:
        _advise_path(error, link)
        older = handshake_only(revisions)
        if not isinstance(link, HTTPLink) or not older or not _may_be_sse(error):
            raise
        peer.close()
        peer = SSEPeer(connection, link, responder, limits, patience=offer.timeout)
        nursery.start_soon(peer.run)
        await _begin_sse(peer, offer, error)
        agreement = await initialize(peer, offer, older, garbage)
    connection.terms = agreement.terms
    return peer, agreement


def _advise_path(error: HTTPStatusError | RequestError, link: MessageChannel | HTTPLink) -> None:
    """Name the usual path to who has given none, and found nothing."""
    status = error.status if isinstance(error, HTTPStatusError) else error.http_status
    if status != _NOT_FOUND or not isinstance(link, HTTPLink):
        return
    parts = urlsplit(link.url)
    if parts.path in ("", "/"):
        error.add_note(f"most servers are at {parts.scheme}://{parts.netloc}/mcp")


def _may_be_sse(error: HTTPStatusError | RequestError) -> bool:
    """Whether a server with this answer to `initialize` may be one of HTTP with SSE."""
    if isinstance(error, HTTPStatusError):
        return error.status in _NO_POST_HERE
    return error.http_status in _NO_POST_HERE and error.code not in _MODERN_ERRORS


async def _begin_sse(peer: SSEPeer, offer: Offer, refusal: HTTPStatusError | RequestError) -> None:
    """Try HTTP with SSE, the oldest HTTP transport. Raises `refusal` if that fails too."""
    logger.debug("%s: trying HTTP with SSE", refusal)
    try:
        await peer.wait_ready(offer.probe_timeout)
    except (ConnectionLost, HTTPStatusError, ProtocolViolation) as error:
        logger.debug("no HTTP with SSE: %s", error)
        raise refusal from None


def _loss(child: ChildProcess | None, garbage: Garbage, reason: str) -> ConnectionLost:
    """The error for a lost connection; if the server's process ended, the error says so."""
    wrote = f"; it wrote what is no message of the protocol: {garbage}" if garbage else ""
    if child is None or (reason == READS_NOTHING and child.returncode is None):
        return ConnectionLost(reason + wrote)
    status = child.returncode
    ended = "closed its output" if status is None else f"ended with status {status}"
    tail = "".join(f"\n  {line}" for line in child.stderr_tail[-5:])
    said = f"; it last wrote to standard error:{tail}" if tail else ""
    return ProcessDied(f"the server process {ended}{wrote}{said}", status, child.stderr_tail)
