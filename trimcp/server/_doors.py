"""The doors of a server: standard streams, sockets, streams. For HTTP see `trimcp.http`."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trimcp import transports
from trimcp.protocol import callers_of
from trimcp.runtime import NETWORK_GRACE

from ._accepting import serve_listeners

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import AsyncIterator, Iterable

    from trimcp.limits import Limits
    from trimcp.runtime import Served, Serving

    from ._accepting import Opened, Opener

__all__ = ["serve_stdio", "serve_stream", "serve_tcp", "serve_unix", "serve_websocket"]

logger = logging.getLogger("trimcp.server")

#: Seconds that requests in flight get at shutdown; elsewhere `NETWORK_GRACE`.
_STDIO_GRACE = 0.5


async def serve_stdio(server: Served, task_status: trio.TaskStatus[None]) -> None:
    """Serve the process that launched this one; see `Server.serve_stdio`."""
    transports.check_standard_streams()
    async with (
        server.joined(task_status.started) as application,
        trio.open_nursery() as nursery,
    ):
        await trio.lowlevel.checkpoint()
        opening = transports.open_stdio_channel(server.limits, budget=application.budget)
        async with opening as channel:
            nursery.start_soon(_follow_parent, application)
            task_status.started()
            await _serve_only(application, channel, _STDIO_GRACE)
        nursery.cancel_scope.cancel(reason="standard input has ended")


async def _serve_only(
    application: Serving, channel: transports.MessageChannel, grace: float
) -> None:
    """Serve the one connection that there is, unless a shutdown has begun before."""
    if not application.is_closing:
        await application.serve(channel, grace=grace)


async def _follow_parent(application: Serving) -> None:
    await transports.wait_parent_gone()
    logger.info("the parent process is gone: shutting down")
    application.shutdown(None)


async def serve_tcp(
    server: Served, host: str, port: int, task_status: trio.TaskStatus[list[tuple[str, int]]]
) -> None:
    """Serve lines over TCP; see `Server.serve_tcp`."""
    if server.authorization is not None:
        raise ValueError(
            "a server with auth= is not served over plain TCP, which carries no token: use "
            "serve_http or serve_websocket, or serve_unix, where only this user may connect"
        )
    async with server.joined(lambda: task_status.started([])) as application:
        listeners = await transports.open_tcp_listeners(host, port)
        addresses = transports.addresses_of(listeners)
        await serve_listeners(
            application,
            listeners,
            _lines_opener(server.limits),
            lambda: task_status.started(addresses),
        )


async def serve_unix(
    server: Served,
    path: str | os.PathLike[str],
    task_status: trio.TaskStatus[str | os.PathLike[str]],
) -> None:
    """Serve lines over a Unix socket; see `Server.serve_unix`."""
    async with server.joined(lambda: task_status.started(path)) as application:
        with transports.unix_listener(path) as listener:
            await serve_listeners(
                application,
                [listener],
                _lines_opener(server.limits),
                lambda: task_status.started(path),
            )


def _lines_opener(limits: Limits) -> Opener:
    """Makes streams message channels, one line a message."""

    @asynccontextmanager
    async def opener(stream: trio.abc.Stream, budget: transports.Budget) -> AsyncIterator[Opened]:
        opening = transports.open_stream_channel(stream, limits, peer="socket", budget=budget)
        async with opening as channel:
            yield channel, None

    return opener


async def serve_websocket(
    server: Served,
    host: str,
    port: int,
    path: str,
    ssl_context: ssl.SSLContext | None,
    allowed_hosts: Iterable[str] | None,
    allowed_origins: Iterable[str] | None,
    task_status: trio.TaskStatus[list[tuple[str, int]]],
) -> None:
    """Serve WebSocket connections; see `Server.serve_websocket`."""
    from ._websocket import websocket_opener

    async with server.joined(lambda: task_status.started([])) as application:
        listeners = await transports.open_tcp_listeners(host, port)
        addresses = transports.addresses_of(listeners)
        names = [host, *(name for name, _ in addresses)]
        await serve_listeners(
            application,
            transports.encrypted(listeners, ssl_context),
            websocket_opener(
                application,
                path,
                callers_of(names, allowed_hosts, allowed_origins),
                is_secure=ssl_context is not None,
            ),
            lambda: task_status.started(addresses),
        )


async def serve_stream(
    server: Served, stream: trio.abc.Stream, task_status: trio.TaskStatus[None]
) -> None:
    """Serve one peer over a stream; see `Server.serve_stream`."""
    async with (
        server.joined(task_status.started) as application,
        transports.open_stream_channel(
            stream, server.limits, peer="stream", budget=application.budget
        ) as channel,
    ):
        await trio.lowlevel.checkpoint()
        task_status.started()
        await _serve_only(application, channel, NETWORK_GRACE)
