"""Where a server is served over HTTP, and serving it there."""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trimcp._groups import unwrapping
from trimcp.server import told_of_signals
from trimcp.transports import open_tcp_listeners, unix_listener

from ._hosting import config_for, host
from ._workers import Assignment, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimcp.server import Application

    from ._asgi import ASGIApp

__all__ = ["Hosting", "serve", "supervise"]


@attrs.frozen(kw_only=True)
class Hosting:
    """See `Server.serve_http`.

    Raises:
        ValueError: Options exclude each other.
    """

    host: str
    port: int
    unix_path: str | os.PathLike[str] | None = None
    certfile: str | os.PathLike[str] | None = None
    keyfile: str | os.PathLike[str] | None = None
    tls: ssl.SSLContext | None = None
    http2: bool = True
    root_path: str = ""

    def __attrs_post_init__(self) -> None:
        if self.root_path and not self.root_path.startswith("/"):
            raise ValueError(
                f"root_path is the path that a proxy strips, such as '/tools', not "
                f"{self.root_path!r}"
            )
        if self.tls is not None and self.certfile is not None:
            raise ValueError("give a certificate or a TLS configuration, not both")
        if self.keyfile is not None and self.certfile is None:
            raise ValueError("a private key needs its certificate")

    @property
    def label(self) -> str:
        """Where it is, in one word."""
        if self.unix_path is not None:
            return f"unix:{os.fspath(self.unix_path)}"
        return f"{self.host}:{self.port}"

    def urls(self, listeners: Sequence[trio.SocketListener]) -> list[str]:
        """The URLs that are listened on."""
        is_secure = self.tls is not None or self.certfile is not None
        return [_url("https" if is_secure else "http", listener) for listener in listeners]

    def tls_context(self) -> ssl.SSLContext | None:
        """The configuration of TLS; None for cleartext. Raises OSError, ssl.SSLError."""
        context = self.tls
        if self.certfile is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certfile, self.keyfile)
        if context is not None:
            # HTTP/2 asks for 1.2 at least (RFC 9113, 9.2).
            context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
            context.set_alpn_protocols(["h2", "http/1.1"] if self.http2 else ["http/1.1"])
        return context


async def serve(
    application: Application,
    app: ASGIApp,
    hosting: Hosting,
    *,
    assignment: Assignment | None = None,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """Serve an ASGI application until the server's application is shut down or this is cancelled.

    Args:
        application: The open application of the server.
        app: The ASGI application.
        hosting: Where.
        assignment: What a supervisor wants of this process, if there is one.
        task_status: Gets the URLs.

    Raises:
        OSError: The address cannot be bound.
    """
    tls = hosting.tls_context()

    async def serve_on(listeners: Sequence[trio.SocketListener]) -> None:
        def started() -> None:
            task_status.started(hosting.urls(listeners))
            if assignment is not None:
                assignment.say_serving()

        limits, accepting = application.server.limits, application.accepting
        config = config_for(limits, hosting.root_path)
        await host(
            app, listeners, limits, accepting=accepting, started=started, tls=tls, config=config
        )

    if assignment is None:
        with _bound(hosting, await _tcp_listeners(hosting)) as listeners:
            await serve_on(listeners)
        return
    application.is_alone = False
    try:
        async with trio.open_nursery() as nursery:

            async def follow() -> None:
                await assignment.wait_end()
                application.shutdown(None)

            nursery.start_soon(follow)
            await serve_on(assignment.open_listeners())
            nursery.cancel_scope.cancel(reason="all connections have ended")
    finally:
        assignment.say_leaving()


async def supervise(
    hosting: Hosting, workers: int, grace: float, *, task_status: trio.TaskStatus[list[str]]
) -> None:
    """Let several processes serve, until they are told to end or this is cancelled.

    Args:
        hosting: Where.
        workers: How many.
        grace: Seconds that requests get at shutdown.
        task_status: Gets the URLs.

    Raises:
        OSError: The address cannot be bound.
        ChildProcessError: A worker ended before it served for the first time.
    """
    hosting.tls_context()  # refused here rather than in each worker
    supervisor = Supervisor(hosting.label, workers, grace)
    with unwrapping():
        async with told_of_signals(supervisor.on_signal):
            with _bound(hosting, await _tcp_listeners(hosting)) as listeners:
                urls = hosting.urls(listeners)
                async with trio.open_nursery() as nursery:
                    await nursery.start(supervisor.run, listeners)
                    task_status.started(urls)
                for listener in listeners:
                    listener.socket.close()


async def _tcp_listeners(hosting: Hosting) -> list[trio.SocketListener]:
    if hosting.unix_path is not None:
        return []
    return await open_tcp_listeners(hosting.host, hosting.port)


@contextmanager
def _bound(
    hosting: Hosting, listeners: list[trio.SocketListener]
) -> Iterator[list[trio.SocketListener]]:
    """The listeners, or the one on a Unix socket whose file is removed at the end."""
    if hosting.unix_path is None:
        yield listeners
    else:
        with unix_listener(hosting.unix_path) as listener:
            yield [listener]


def _url(scheme: str, listener: trio.SocketListener) -> str:
    address: Any = listener.socket.getsockname()
    if isinstance(address, str | bytes):
        return f"{scheme}+unix:{address!s}"
    name, port = address[:2]
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"
