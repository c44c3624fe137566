"""Serving a server over HTTP: options, listening, and several processes."""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trimcp._groups import unwrapping
from trimcp.errors import NotServing
from trimcp.runtime import NETWORK_GRACE, MemoryNonceStore, MissingNonceStore, told_of_signals
from trimcp.transports import open_tcp_listeners, unix_listener

from ._application import HttpApplication, make_asgi_app
from ._hosting import config_for, host
from ._workers import Assignment, Supervisor, assignment_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trimcp.runtime import Served, Serving

    from ._asgi import ASGIApp

__all__ = ["Hosting", "serve_http"]


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
    workers: int = 1
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
        """The address, as one word."""
        if self.unix_path is not None:
            return f"unix:{os.fspath(self.unix_path)}"
        return f"{self.host}:{self.port}"

    def urls(self, listeners: Sequence[trio.SocketListener]) -> list[str]:
        """The URLs of the listeners."""
        is_secure = self.tls is not None or self.certfile is not None
        return [_url("https" if is_secure else "http", listener) for listener in listeners]

    def tls_context(self) -> ssl.SSLContext | None:
        """The configuration of TLS; None for cleartext. Raises OSError, ssl.SSLError."""
        context = self.tls
        if self.certfile is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certfile, self.keyfile)
        if context is not None:
            # HTTP/2 requires at least 1.2 (RFC 9113, 9.2).
            context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
            context.set_alpn_protocols(["h2", "http/1.1"] if self.http2 else ["http/1.1"])
        return context


async def serve_http(
    server: Served,
    hosting: Hosting,
    app: ASGIApp | None,
    options: Mapping[str, Any],
    *,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """See `Server.serve_http`: as the only process, as the supervisor of workers, or as a worker.

    Args:
        server: The server.
        hosting: Where it listens, and the number of processes.
        app: The ASGI application; by default one with all transports.
        options: The options of the default application; see `trimcp.server.HttpOptions`.
        task_status: Gets the URLs; none where a signal came before the server had started.

    Raises:
        OSError: The address cannot be bound.
        ValueError: An option is out of range, or given together with an application; or there are
            workers, and an option needs memory that all of them share.
        NotServing: There are workers, and the application is already open.
        ChildProcessError: A worker ended before it served for the first time.
    """
    if app is not None and options:
        raise ValueError("options belong to the application that is given")
    if hosting.workers > 1:
        _check_sharing(server, app, options, hosting.workers)
    assignment = assignment_for(hosting.label) if hosting.workers > 1 else None
    if hosting.workers > 1 and assignment is None:
        if server.running is not None:
            raise NotServing("the application of a server with workers is opened by them")
        await _supervise(hosting, server.shutdown_grace, task_status=task_status)
        return
    if assignment is not None:
        # One of several processes: they share a key, and cannot use what only one of them
        # remembers.
        server.state_keys = server.state_keys or (assignment.key,)
        if isinstance(server.nonces, MemoryNonceStore):
            server.nonces = MissingNonceStore()
        options = {**options, "sessions": False}
    if app is None:
        app = make_asgi_app(server, options, [hosting.host])
    async with server.joined(lambda: task_status.started([])) as application:
        await _serve(application, app, hosting, assignment=assignment, task_status=task_status)


def _check_sharing(
    server: Served, app: ASGIApp | None, options: Mapping[str, Any], workers: int
) -> None:
    """Check that several processes can serve a server, since they share no memory.

    Args:
        server: The server.
        app: The application, if one is given.
        options: The options of `serve_http`.
        workers: The number of processes, for the message.

    Raises:
        ValueError: They cannot; the message says what to write instead.
    """
    if options.get("sessions") or (isinstance(app, HttpApplication) and app.keeps_sessions):
        raise ValueError(
            f"workers={workers} cannot have sessions: a session lives in one process, and the next "
            "request may come to another. Give sessions=False to the application, such as "
            "server.http_app(sessions=False), or serve with workers=1"
        )
    registered = [
        *server.tools,
        *server.prompts,
        *server.resources.fixed,
        *server.resources.templates,
    ]
    is_single = any(each.single_use for each in registered)
    if is_single and isinstance(server.nonces, MemoryNonceStore):
        raise ValueError(
            f"workers={workers} and single_use=True need a store that all workers share: each "
            "would accept the same state once. Give one to Server(nonces=...), or serve with "
            "workers=1"
        )
    missing = None if server.authorization is None else server.authorization.unshared
    if missing is not None:
        raise ValueError(
            f"workers={workers}: each would know only of its own requests. Give {missing}, or "
            "serve with workers=1"
        )


async def _serve(
    application: Serving,
    app: ASGIApp,
    hosting: Hosting,
    *,
    assignment: Assignment | None,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """Serve an ASGI application until the server's application is shut down or this is cancelled.

    Args:
        application: The open application of the server.
        app: The ASGI application.
        hosting: Where it listens.
        assignment: The task of this process as a worker, or None.
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

        limits, accepting = application.limits, application.accepting
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


async def _supervise(
    hosting: Hosting, grace: float | None, *, task_status: trio.TaskStatus[list[str]]
) -> None:
    """Let several processes serve, until they are told to end or this is cancelled.

    Args:
        hosting: Where it listens, and the number of processes.
        grace: Seconds that requests get at shutdown; by default `NETWORK_GRACE`.
        task_status: Gets the URLs.

    Raises:
        OSError: The address cannot be bound.
        ChildProcessError: A worker ended before it served for the first time.
    """
    hosting.tls_context()  # errors are raised here rather than in each worker
    grace = NETWORK_GRACE if grace is None else grace
    supervisor = Supervisor(hosting.label, hosting.workers, grace)
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
