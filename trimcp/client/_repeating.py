"""Repeating a request whose answer was lost, if that is safe."""

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
    """Make a request, and repeat it if that is safe, within the same time.

    A call of a tool is repeated once if the server's HTTP layer has refused its headers; before
    that, the tools are listed again.
    """
    began = trio.current_time()

    def left() -> float:
        return max(began + seconds - trio.current_time(), 0.0)

    once = partial(_reached_once, peer, known, method, params, progress, chunks)
    try:
        return await once(seconds)
    except RequestError as error:
        # Only the server's HTTP layer answers with this status. A handler's error with this code
        # must not make a tool run twice.
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
    """Make a request; call a tool once more if only its answer was lost.

    That is done over HTTP, if the tool has been listed and is declared as read-only or idempotent.
    Both calls share the deadline.

    Raises:
        ConnectionLost: The answer is lost; it is unknown whether a tool has run.
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
