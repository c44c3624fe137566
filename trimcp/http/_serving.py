"""Where a server is served over HTTP, and serving it there."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import attrs

from trimcp.transports import open_tcp_listeners, unix_listener

from ._hosting import host

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import trio

    from trimcp.server import Application

    from ._asgi import ASGIApp

__all__ = ["Hosting", "serve"]


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

    def __attrs_post_init__(self) -> None:
        if self.tls is not None and self.certfile is not None:
            raise ValueError("give a certificate or a TLS configuration, not both")
        if self.keyfile is not None and self.certfile is None:
            raise ValueError("a private key needs its certificate")

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
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """Serve an ASGI application until the server's application is shut down or this is cancelled.

    Args:
        application: The open application of the server.
        app: The ASGI application.
        hosting: Where.
        task_status: Gets the URLs.

    Raises:
        OSError: The address cannot be bound.
    """
    tls = hosting.tls_context()
    if hosting.unix_path is None:
        listeners = await open_tcp_listeners(hosting.host, hosting.port)
        await _serve(application, app, listeners, tls, task_status)
    else:
        with unix_listener(hosting.unix_path) as listener:
            await _serve(application, app, [listener], tls, task_status)


async def _serve(
    application: Application,
    app: ASGIApp,
    listeners: Sequence[trio.SocketListener],
    tls: ssl.SSLContext | None,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    scheme = "http" if tls is None else "https"
    urls = [_url(scheme, listener) for listener in listeners]
    await host(
        app,
        listeners,
        application.server.limits,
        accepting=application.accepting,
        started=lambda: task_status.started(urls),
        tls=tls,
    )


def _url(scheme: str, listener: trio.SocketListener) -> str:
    address: Any = listener.socket.getsockname()
    if isinstance(address, str | bytes):
        return f"{scheme}+unix:{address!s}"
    name, port = address[:2]
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"
