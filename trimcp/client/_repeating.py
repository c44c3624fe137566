"""Making a request again where its answer was lost, and where that does no harm."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trimcp.errors import ConnectionLost
from trimcp.transports import Unreachable

from ._reconnection import Reconnection
from ._streamable import StreamablePeer

if TYPE_CHECKING:
    from msgspec import Raw

    from trimcp.protocol import Call
    from trimcp.runtime import Chunks, Peer, ProgressCallback

    from ._known import KnownTools

__all__ = ["reached"]

logger = logging.getLogger("trimcp.client")


async def reached(
    peer: Peer,
    known: KnownTools,
    method: str,
    params: Any,
    seconds: float,
    progress: ProgressCallback | None,
    chunks: Chunks | None,
) -> tuple[Call, Raw]:
    """One request, as `Peer.request`; a tool is called once more if its answer is lost alone.

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
