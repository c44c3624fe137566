"""Serving an ASGI application in this process.

::

    host              one watch, which ends blocked sends when the time is over; one sweeper
    └── connections   one task per client connection
        └── requests  the ASGI application, once per request

HTTP/1.1 is our own. For HTTP/2, and for WebSockets until the application takes them over,
hypercorn's parsers and protocols are used. Its serving loop is not used, since it cannot drain, and
one connection can end all others.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from trimcp.transports import accept_connections, encrypted

from ._clients import ClientConnection, Hosted
from ._http1 import fastest_parser

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from trimcp.limits import Limits

    from ._asgi import ASGIApp
    from ._http1 import MakeParser

__all__ = ["config_for", "host"]

logger = logging.getLogger("trimcp.http")

#: How often in `Limits.header_seconds` it is looked for connections that are idle for too long.
_SWEEPS: Final = 8


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
    make_parser: MakeParser | None = None,
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
        make_parser: Makes the parser of HTTP/1.1; by default the fastest that is installed.
    """
    config = config or config_for(limits)
    hosted = Hosted(
        app=app,
        limits=limits,
        make_parser=make_parser or fastest_parser(),
        wrapped=ASGIWrapper(app),  # type: ignore[arg-type]
        config=config,
        context=WorkerContext(None),
    )
    connections = _Connections(hosted)
    async with trio.open_nursery() as watching:
        watching.start_soon(connections.give_up_at_the_end)
        watching.start_soon(connections.sweep)
        async with trio.open_nursery() as serving:
            with accepting():
                started()
                await accept_connections(connections.serve, encrypted(listeners, tls), serving)
            await hosted.context.terminated.set()
            connections.drain()
        watching.cancel_scope.cancel(reason="all connections have ended")


class _Connections:
    """The open connections of one server.

    Args:
        hosted: What they have in common.
    """

    def __init__(self, hosted: Hosted) -> None:
        self._hosted = hosted
        self._open: set[ClientConnection] = set()
        self._first = trio.lowlevel.ParkingLot()

    async def serve(self, stream: Any) -> None:
        """Serve one to its end, if there may be one more."""
        limits = self._hosted.limits
        if len(self._open) >= limits.connections:
            logger.warning("more than %d connections: one refused", limits.connections)
            await trio.aclose_forcefully(stream)
            return
        connection = ClientConnection(self._hosted, stream)
        self._open.add(connection)
        self._first.unpark_all()
        try:
            await connection.run()
        finally:
            self._open.discard(connection)

    def drain(self) -> None:
        """Let each end after what it is doing."""
        for connection in self._open:
            connection.drain()

    async def sweep(self) -> None:
        """End connections that were idle for too long, at most an eighth later; until cancelled.

        One task for all of them: a timer for each request would cost as much as its parser.
        """
        period = self._hosted.limits.header_seconds / _SWEEPS
        while True:
            if not self._open:
                await self._first.park()
            await trio.sleep(period)
            now = trio.current_time()
            for connection in self._open:
                connection.expire(now)

    async def give_up_at_the_end(self) -> None:
        """End all sends when cancelled, since they are shielded and cannot be cancelled."""
        try:
            await trio.sleep_forever()
        finally:
            for connection in self._open:
                connection.give_up()
