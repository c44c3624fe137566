"""Making a request again where its answer was lost, and where that does no harm."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trimcp.errors import HEADER_MISMATCH, ConnectionLost, RequestError
from trimcp.transports import Unreachable

from ._reconnection import Reconnection
from ._streamable import StreamablePeer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Raw

    from trimcp.protocol import Call
    from trimcp.runtime import Chunks, ConnectedPeer, ProgressCallback

    from ._known import KnownTools

__all__ = ["reached"]

logger = logging.getLogger("trimcp.client")


async def reached(
    peer: ConnectedPeer,
    known: KnownTools,
    relist: Callable[[float], Awaitable[None]],
    method: str,
    params: Any,
    seconds: float,
    progress: ProgressCallback | None,
    chunks: Chunks | None,
) -> tuple[Call, Raw]:
    """One request; made again where that does no harm, in the same time.

    A call of a tool is made again, once, after the HTTP layer itself has refused its headers, and
    the tools have been listed anew.
    """
    began = trio.current_time()

    def left() -> float:
        return max(began + seconds - trio.current_time(), 0.0)

    once = partial(_reached_once, peer, known, method, params, progress, chunks)
    try:
        return await once(seconds)
    except RequestError as error:
        # Only the HTTP layer itself speaks with a status. A handler's error of this code must
        # not run a tool twice.
        is_mismatch = error.code == HEADER_MISMATCH and error.http_status == 400
        if not is_mismatch or method != "tools/call":
            raise
    await relist(left())
    return await once(left())


async def _reached_once(
    peer: ConnectedPeer,
    known: KnownTools,
    method: str,
    params: Any,
    progress: ProgressCallback | None,
    chunks: Chunks | None,
    seconds: float,
) -> tuple[Call, Raw]:
    """One request; a tool is called once more if only its answer is lost.

    That is: over HTTP, when the tool has been listed and says that it only reads, or that calling
    it twice does no more than once. Both calls share the deadline.

    Raises:
        ConnectionLost: The answer is lost; of a tool nobody knows whether it has run.
    """
    ask = partial(peer.request, method, params, on_progress=progress, chunks=chunks)
    began = trio.current_time()
    try:
        return await ask(timeout=seconds)
    except ConnectionLost as error:
        is_alone = isinstance(peer, StreamablePeer) and not isinstance(error, Unreachable)
        if method != "tools/call" or not is_alone:
            raise
        name = params["name"] if isinstance(params, dict) else params.name
        if chunks is not None or not known.is_repeatable(name):
            said = f"{error}; whether the server has carried out the call is unknown"
            raise ConnectionLost(said) from error.__cause__ or error
        logger.info("tool %r is called again, since its answer was lost: %s", name, error)
    await Reconnection().wait()
    return await ask(timeout=max(0.0, began + seconds - trio.current_time()))
