"""Serving an ASGI application with hypercorn's trio worker, in this process.

::

    host              one watch, which ends blocked sends when the time is over
    └── connections   one task per client connection
        └── requests  the ASGI application, once per request (hypercorn's own nursery)

hypercorn's parsers and protocols are used. Its serving loop is not used, since it cannot drain, and
one connection can end all others.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from trimcp.transports import accept_connections, encrypted

from ._guard import GuardedConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from trimcp.limits import Limits

    from ._asgi import ASGIApp

__all__ = ["config_for", "host"]

logger = logging.getLogger("trimcp.http")


def config_for(limits: Limits, root_path: str = "") -> Config:
    """hypercorn's settings, from our limits and the prefix under which clients see the server."""
    config = Config()
    config.root_path = root_path
    config.errorlog = logger
    config.accesslog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.header_bytes
    config.h2_max_header_list_size = limits.header_bytes
    config.keep_alive_timeout = limits.header_seconds
    config.ssl_handshake_timeout = limits.header_seconds
    config.websocket_ping_interval = limits.heartbeat_seconds
    config.websocket_max_message_size = limits.message_bytes
    return config


async def host(
    app: ASGIApp,
    listeners: Sequence[trio.SocketListener],
    limits: Limits,
    *,
    accepting: Callable[[], AbstractContextManager[Any]],
    started: Callable[[], None],
    tls: ssl.SSLContext | None = None,
    config: Config | None = None,
) -> None:
    """Serve an application until `accepting` ends, then until its connections have ended.

    After `accepting` has ended, idle connections end at once, the others after their answers. The
    caller bounds this time by cancelling it.

    Args:
        app: The ASGI application. It gets no lifespan events.
        listeners: Where connections are accepted; closed at the end.
        limits: Bounds.
        accepting: Opens the scope that is cancelled when no more connections are wanted.
        started: Called when connections are accepted.
        tls: The TLS configuration, or None for cleartext.
        config: hypercorn's settings; by default `config_for(limits)`.
    """
    config = config or config_for(limits)
    context = WorkerContext(None)
    connections: set[GuardedConnection] = set()
    wrapped = ASGIWrapper(app)  # type: ignore[arg-type]

    async def serve(stream: Any) -> None:
        if len(connections) >= limits.connections:
            logger.warning("more than %d connections: one refused", limits.connections)
            await trio.aclose_forcefully(stream)
            return
        connection = GuardedConnection(
            wrapped, config, context, stream, send_seconds=limits.send_seconds
        )
        connections.add(connection)
        try:
            await connection.run()
        finally:
            connections.discard(connection)

    async with trio.open_nursery() as watching:
        watching.start_soon(_give_up_at_the_end, connections)
        async with trio.open_nursery() as serving:
            with accepting():
                started()
                await accept_connections(serve, encrypted(listeners, tls), serving)
            await context.terminated.set()
            for connection in connections:
                connection.drain()
        watching.cancel_scope.cancel(reason="all connections have ended")


async def _give_up_at_the_end(connections: set[GuardedConnection]) -> None:
    """End all sends when cancelled, since they are shielded and cannot be cancelled themselves."""
    try:
        await trio.sleep_forever()
    finally:
        for connection in connections:
            connection.give_up()
