"""Accepting connections over sockets; the failure of one does not affect the others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import trio

from trimcp.errors import HandshakeFailed, NotServing
from trimcp.runtime import NETWORK_GRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from trimcp.runtime import Serving
    from trimcp.transports import Budget, MessageChannel

__all__ = ["serve_listeners"]

logger = logging.getLogger("trimcp.server")


async def serve_listeners(
    application: Serving,
    listeners: Sequence[trio.abc.Listener[Any]],
    open_channel: Callable[[Any, Budget], AbstractAsyncContextManager[MessageChannel]],
    started: Callable[[], None],
) -> None:
    """Accept connections until told to stop; then wait for those that are open.

    Args:
        application: Serves the connections.
        listeners: The listening sockets; closed at the end.
        open_channel: Opens a message channel over a stream, and closes it at the end; the bytes
            that it holds count against the budget.
        started: Called when connections are accepted.
    """
    limit = application.limits.connections
    async with trio.open_nursery() as connections:

        async def serve(stream: trio.abc.Stream) -> None:
            # Connections that have not finished their handshake are counted only here.
            if max(len(connections.child_tasks) - 1, len(application.peers)) >= limit:
                logger.warning("more than %d connections: one refused", limit)
                await trio.aclose_forcefully(stream)
            else:
                await _serve_connection(application, open_channel(stream, application.budget))

        with application.accepting():
            started()
            await trio.serve_listeners(serve, list(listeners), handler_nursery=connections)


async def _serve_connection(
    application: Serving, opening: AbstractAsyncContextManager[MessageChannel]
) -> None:
    """Serve one connection. If it crashes, that is logged and closes no other connection."""
    try:
        async with opening as channel:
            await application.serve(channel, grace=NETWORK_GRACE)
    except* NotServing:
        logger.debug("a connection arrived after the application was closed")
    except* HandshakeFailed as group:
        failure = group.exceptions[0]
        logger.info("no connection: %s", failure, exc_info=failure.__cause__)
    except* Exception:
        logger.exception("a connection crashed")
