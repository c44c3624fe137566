"""The doors that HTTP comes through. What is behind them is loaded when one is opened."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, cast

import trio

from trimcp.errors import RegistrationError
from trimcp.functions import check_async
from trimcp.runtime import CustomRoute

from ._options import check_name

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from typing_extensions import Unpack

    from trimcp.http import ASGIApp
    from trimcp.runtime import EventStore, HttpRequest, NonceStore, Served, Serving


__all__ = ["HttpDoors", "HttpOptions"]

RouteT = TypeVar("RouteT", bound="Callable[[HttpRequest], Awaitable[Any]]")

_HEALTH: Final = "/healthz"


class HttpOptions(TypedDict, total=False):
    """Options of the ASGI applications and of `serve_http`.

    Attributes:
        allowed_hosts: The names that clients may call the server by, `name` or `name:port`,
            `*.example.com` for all names below, `*` for any. By default `localhost`, the loopback
            addresses and, for `serve_http`, the address listened on. Others get 403, so that no
            web page can reach the server through a DNS name of its own.
        allowed_origins: Origins of web pages, such as `https://app.example.com`, that may call
            the server from a browser and read its answers (CORS); `*` for any. By default pages
            from the allowed hosts, and only those from the server's own origin may read. Others
            get 403.
        keepalive: Seconds of silence after which an open answer gets a comment, so that no
            proxy takes it for dead; 15 by default.
        sessions: Whether clients of the handshake era (to 2025-11-25) get sessions. Without them
            each of their requests stands alone, so that any process can answer it: handlers
            cannot ask the client, and nobody is told of changes. True by default.
        event_store: Makes the store that keeps the events of a session of the handshake era,
            given its id; by default in memory, bounded by `Limits.replay_bytes`.
    """

    allowed_hosts: Sequence[str]
    allowed_origins: Sequence[str]
    keepalive: float
    sessions: bool
    event_store: Callable[[str], EventStore]


class HttpDoors:
    """The ASGI applications of a `Server`, and serving them.

    Attributes:
        custom_routes: A user's own endpoints, by path.
    """

    custom_routes: dict[str, CustomRoute]
    state_keys: tuple[bytes, ...]
    nonces: NonceStore
    shutdown_grace: float | None

    if TYPE_CHECKING:

        @property
        def running(self) -> Serving | None: ...

        def application(self, *, signals: bool = True) -> AbstractAsyncContextManager[Any]: ...

        def joined(
            self, at_missed: Callable[[], None] | None = None, *, signals: bool = True
        ) -> AbstractAsyncContextManager[Serving]: ...

    @property
    def _itself(self) -> Served:
        return cast("Served", self)

    # -- ASGI -----------------------------------------------------------------------------

    def http_app(self, path: str = "/mcp", **options: Unpack[HttpOptions]) -> ASGIApp:
        """An ASGI application that speaks Streamable HTTP of every revision at one path.

        It needs a server that runs on Trio, such as `hypercorn -k trio module:app`, and opens
        the server's application in the lifespan events. Where there are none, enter
        `asgi_lifespan` or `application()` around it: until then every request gets 503.
        `/healthz` and custom routes are part of it.

        Args:
            path: The MCP endpoint.
            options: See `HttpOptions`.

        Raises:
            ValueError: The path does not begin with a slash, or an option is out of range.

        Specification: Streamable HTTP.
        """
        from trimcp.http import make_http_app

        return make_http_app(self._itself, path, options)

    def sse_app(self, **options: Unpack[HttpOptions]) -> ASGIApp:
        """An ASGI application for clients that know nothing but HTTP+SSE, at `/sse`.

        Messages are posted to `/messages`. Everything else is as for `http_app`.

        Args:
            options: See `HttpOptions`.

        Specification: 2024-11-05, Transports (deprecated since 2025-03-26).
        """
        from trimcp.http import make_sse_app

        return make_sse_app(self._itself, options)

    def asgi_app(self, **options: Unpack[HttpOptions]) -> ASGIApp:
        """An ASGI application with all there is.

        Streamable HTTP is at `/mcp`, HTTP+SSE at `/sse` and `/messages`, WebSocket at `/ws`, and
        `/healthz` says whether the server serves. Everything else is as for `http_app`.

        Args:
            options: See `HttpOptions`.
        """
        from trimcp.http import make_asgi_app

        return make_asgi_app(self._itself, options)

    def custom_route(
        self, path: str, methods: Sequence[str] = ("GET",)
    ) -> Callable[[RouteT], RouteT]:
        """Register an endpoint of one's own, in every ASGI application of the server.

        The function takes an `HttpRequest`, its body read within `Limits.message_bytes`, and
        returns an `HttpResponse`, text, bytes, or anything that is JSON. It is cancelled when the
        client goes away; what it raises is logged and answered with 500. Host and Origin are
        checked as for the MCP endpoint.

        Args:
            path: The exact path.
            methods: The HTTP methods it is for.

        Raises:
            RegistrationError: The path does not begin with a slash or is taken, or the function
                is not async.
        """

        check_name(path, "a custom route", '@server.custom_route("/status")')

        def register(function: RouteT) -> RouteT:
            if not path.startswith("/") or path in self.custom_routes or path == _HEALTH:
                raise RegistrationError(f"custom route {path!r}: the path is taken, or is none")
            check_async(function, f"custom route {path!r}", (1,), "an HttpRequest")
            upper = tuple(method.upper() for method in methods)
            if "GET" in upper and "HEAD" not in upper:
                upper += ("HEAD",)
            self.custom_routes[path] = CustomRoute(upper, function)
            return function

        return register

    @asynccontextmanager
    async def asgi_lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Keep the application open: the `lifespan` of a framework that mounts an app of ours.

        Args:
            app: The framework's application; not used.
        """
        async with self.application(signals=False):
            yield

    async def serve_http(
        self,
        host: str = "127.0.0.1",
        port: int = 8000,
        *,
        unix_path: str | os.PathLike[str] | None = None,
        app: ASGIApp | None = None,
        certfile: str | os.PathLike[str] | None = None,
        keyfile: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
        http2: bool = True,
        workers: int = 1,
        root_path: str = "",
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
        **options: Unpack[HttpOptions],
    ) -> None:
        """Serve HTTP with hypercorn until cancelled or shut down.

        At shutdown no more connections are accepted, open subscriptions end with their result,
        and requests in flight get `shutdown_grace` (5 seconds by default).

        Args:
            host: Where to listen. There is no authentication unless you add it: keep to a
                loopback address, or stay behind a proxy that checks who calls.
            port: 0 lets the system choose.
            unix_path: Listen on a Unix socket instead; only this user may connect.
            app: The ASGI application to serve, by default `asgi_app(**options)`. One of a
                framework with ours mounted in it works too; it gets no lifespan events.
            certfile: A certificate chain in PEM, for TLS.
            keyfile: Its private key, where that is in another file.
            tls: The whole configuration of TLS, instead of a certificate.
            http2: Whether HTTP/2 is offered over TLS.
            workers: How many processes serve. With more than one, this process only watches over
                them: each is this program, started again with the same command line, and comes
                to this same call. A worker that crashes is started again; when one shuts down in
                good order, all do. One that does not end within `shutdown_grace` is killed.
                Limits are for each of them, `sessions` and HTTP+SSE are off, `single_use=True`
                needs `Server(nonces=…)`, and changes are told within a worker only, unless the
                server's `bus` carries them further. Not on Windows.
            root_path: The prefix under which clients see the server, such as `/tools`, where a
                proxy strips it from the path. It stands in the URL that HTTP+SSE tells its
                clients, and in the ASGI scope.
            task_status: `nursery.start` returns the URLs listened on; none where a signal came
                first.
            options: See `HttpOptions`.

        Raises:
            OSError: The address cannot be bound.
            ValueError: An option is out of range, or given beside one that excludes it; there are
                to be workers, and something is asked for that one process would have to remember.
            NotServing: There are to be workers, and the application is open already.
            ChildProcessError: A worker ended before it served for the first time.

        Specification: Streamable HTTP.
        """
        from trimcp.http import Hosting, serve_http

        hosting = Hosting(
            host=host,
            port=port,
            unix_path=unix_path,
            certfile=certfile,
            keyfile=keyfile,
            tls=tls,
            http2=http2,
            workers=workers,
            root_path=root_path,
        )
        await serve_http(self._itself, hosting, app, options, task_status=task_status)
