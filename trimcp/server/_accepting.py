"""Accepting connections over sockets; the failure of one does not affect the others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from trimcp._groups import logged
from trimcp.errors import HandshakeFailed, NotServing
from trimcp.runtime import NETWORK_GRACE
from trimcp.transports import accept_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from trimcp.runtime import HttpRequest, Serving
    from trimcp.transports import Budget, MessageChannel

__all__ = ["Opened", "Opener", "serve_listeners"]

#: A channel, and the HTTP request that has opened it where its sender was asked for a token.
Opened: TypeAlias = "tuple[MessageChannel, HttpRequest | None]"

#: Makes a stream a message channel, and closes it at the end; what it holds counts against the
#: budget.
Opener: TypeAlias = "Callable[[trio.abc.Stream, Budget], AbstractAsyncContextManager[Opened]]"

logger = logging.getLogger("trimcp.server")


async def serve_listeners(
    application: Serving,
    listeners: Sequence[trio.abc.Listener[Any]],
    open_channel: Opener,
    started: Callable[[], None],
) -> None:
    """Accept connections until told to stop; then wait for those that are open.

    Args:
        application: What serves them.
        listeners: Where they come from; closed at the end.
        open_channel: Makes each a message channel.
        started: Called once connections are accepted.
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
            await accept_connections(serve, listeners, connections)


async def _serve_connection(
    application: Serving, opening: AbstractAsyncContextManager[Opened]
) -> None:
    """Serve one connection. If it crashes, that is logged and closes no other connection."""
    try:
        async with opening as (channel, http):
            await application.serve(channel, grace=NETWORK_GRACE, http=http)
    except* NotServing:
        logger.debug("a connection arrived after the application was closed")
    except* HandshakeFailed as group:
        failure = group.exceptions[0]
        logger.info("no connection: %s", failure, exc_info=failure.__cause__)
    except* Exception as group:
        logger.error("a connection crashed", exc_info=logged(group))
