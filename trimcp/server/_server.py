"""The server a user writes: its register, and the doors that open it."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic

import trio

from trimcp import transports
from trimcp.errors import NotServing
from trimcp.limits import Limits
from trimcp.protocol import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
    callers_of,
)
from trimcp.runtime import NETWORK_GRACE, LocalBus, MemoryNonceStore
from trimcp.types import CacheScope, Implementation

from ._accepting import serve_listeners
from ._application import Application
from ._context import Context, current_context
from ._described import described, option
from ._doors import HttpDoors
from ._options import (
    checked_extensions,
    checked_keys,
    checked_lifespan,
    checked_page_size,
)
from ._registration import Registration
from ._statistics import Statistics
from ._typevars import LifespanT

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from trimcp.http import ASGIApp
    from trimcp.protocol import Change
    from trimcp.runtime import Bus, NonceStore
    from trimcp.types import Icon

    from ._session import Session

__all__ = ["Server"]

logger = logging.getLogger("trimcp.server")

#: Seconds that requests in flight get at shutdown; elsewhere `NETWORK_GRACE`.
_STDIO_GRACE = 0.5


class Server(Registration, HttpDoors, Generic[LifespanT]):
    """An MCP server.

    Args:
        name: The server's name, for clients to show.
        version: Its version.
        title: A name for people.
        instructions: How a model should use the server.
        website_url: Where people can read about it.
        icons: Pictures of it.
        lifespan: An async context manager function that takes the server; what it yields is
            `ctx.lifespan_context`. Entered once, whatever the number of transports.
        session_lifespan: The same for one client: takes its `Session`; what it yields is
            `ctx.session_context`. Entered once per connection or handshake session.
        limits: Bounds of everything that grows.
        bus: Carries changes between processes that serve the same thing; by default within
            this one.
        experimental: Capabilities outside of the specification, by name.
        extensions: Extensions of the protocol that it offers, by identifier (stateless era).
        state_keys: Secrets that seal what the client carries between the rounds of a question;
            the first seals, all open. Share them between processes and list old ones after
            new ones to rotate. By default a key that dies with the process.
        nonces: Remembers what `single_use=True` allows only once; by default in this process.
        shutdown_grace: Seconds that requests in flight get at shutdown; by default 0.5 on
            stdio and 5 elsewhere.
        eof_grace: Seconds that requests in flight get after the end of standard input.
        page_size: Items on one page of a list; None for all on one.
        list_ttl_ms: How long a client may keep a list, in milliseconds (stateless era).
        list_scope: Whether it may share lists between users (stateless era).

    Raises:
        RegistrationError: `page_size`, `state_keys`, `extensions` or a lifespan cannot be used, or
            what would be told to clients cannot be said; the message names it.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "0.0.0",
        title: str | None = None,
        instructions: str | None = None,
        website_url: str | None = None,
        icons: Sequence[Icon] | None = None,
        lifespan: Callable[[Server[Any]], AbstractAsyncContextManager[LifespanT]] | None = None,
        session_lifespan: Callable[[Session[Any]], AbstractAsyncContextManager[Any]] | None = None,
        limits: Limits | None = None,
        bus: Bus | None = None,
        experimental: Mapping[str, Any] | None = None,
        extensions: Mapping[str, Any] | None = None,
        state_keys: Sequence[bytes] = (),
        nonces: NonceStore | None = None,
        shutdown_grace: float | None = None,
        eof_grace: float = 5.0,
        page_size: int | None = None,
        list_ttl_ms: int | None = None,
        list_scope: CacheScope | None = None,
    ) -> None:
        self._application: Application | None = None
        super().__init__(experimental, checked_extensions(extensions))
        self.custom_routes = {}
        self.identity = described(
            "server",
            Implementation,
            name=name,
            version=version,
            title=title,
            website_url=website_url,
            icons=icons,
        )
        self.instructions: str | None = option("server", "instructions", instructions, str)
        self.limits = limits or Limits()
        self.lifespan = checked_lifespan(lifespan, "lifespan=", "the server")
        self.session_lifespan = checked_lifespan(
            session_lifespan, "session_lifespan=", "the session"
        )
        self.bus: Bus = bus or LocalBus()
        self.state_keys = checked_keys(state_keys)
        self.nonces: NonceStore = nonces or MemoryNonceStore()
        self.shutdown_grace = shutdown_grace
        self.eof_grace = eof_grace
        self.page_size = checked_page_size(page_size)
        self.list_ttl_ms: int | None = option("server", "list_ttl_ms", list_ttl_ms, int)
        self.list_scope: CacheScope | None = option("server", "list_scope", list_scope, CacheScope)

    # -- while serving --------------------------------------------------------------------

    @property
    def request_context(self) -> Context[LifespanT]:
        """The context of the request being handled, in its task and in whatever it started.

        Raises:
            LookupError: No request is being handled here.
        """
        return current_context()

    def shutdown(self, *, grace: float | None = None) -> None:
        """Stop serving: accept nothing more, let requests in flight finish, then cancel them.

        Returns at once and may be called by a handler, and more than once. Outside of an
        application it does nothing.

        Args:
            grace: Seconds for requests in flight; by default `shutdown_grace`. When it is over
                the body of `application()` is cancelled too.
        """
        if self._application is not None:
            self._application.shutdown(grace)

    @property
    def running(self) -> Application | None:
        """What is open while the server serves; for transports."""
        return self._application

    def statistics(self) -> Statistics:
        """Numbers of this moment; all zero when the server does not serve."""
        return Statistics() if self._application is None else self._application.statistics()

    @asynccontextmanager
    async def application(self, *, signals: bool = True) -> AsyncIterator[Server[LifespanT]]:
        """Open what all transports of the server share: lifespan, background tasks, hooks.

        `serve_*` and `open_client(server)` inside it join it; each alone opens its own.

        Args:
            signals: Whether SIGINT and SIGTERM shut the server down (main thread only).

        Raises:
            NotServing: It is already open.
        """
        async with self._opened(explicit=True, signals=signals):
            yield self

    @asynccontextmanager
    async def _opened(
        self, *, explicit: bool, signals: bool, at_missed: Callable[[], None] | None = None
    ) -> AsyncIterator[Application]:
        if self._application is not None:
            raise NotServing(
                "the server already serves; to use several transports at once, start them "
                "inside `async with server.application():`"
            )
        application = Application(self, explicit=explicit)
        self._application = application
        try:
            async with application.open(signals=signals, at_missed=at_missed):
                yield application
        finally:
            self._application = None

    @asynccontextmanager
    async def joined(
        self, at_missed: Callable[[], None] | None = None, *, signals: bool = True
    ) -> AsyncIterator[Application]:
        """The application the user opened, or else one of its own for the duration.

        For transports; users call `application()`.

        Args:
            at_missed: Called where a signal came before the server had started. The body runs to
                its first checkpoint then.
            signals: Whether SIGINT and SIGTERM shut the server down (main thread only).
        """
        application = self._application
        if application is not None and application.explicit:
            yield application
        else:
            opened = self._opened(explicit=False, signals=signals, at_missed=at_missed)
            async with opened as application:
                yield application

    # -- changes --------------------------------------------------------------------------

    async def notify_resource_updated(self, uri: str) -> None:
        """Tell the clients that asked about a resource that it has changed.

        Returns at once; a client that reads slowly is told once, however often this is called
        meanwhile. Like the others it may be called from any task, and does nothing while the
        server does not serve.

        Args:
            uri: The resource, or a registered template for all of its instances.

        Specification: 2026-07-28, Subscriptions; to 2025-11-25, Resources (Subscriptions).
        """
        await self._notify(ResourceUpdated(uri))

    async def notify_resources_changed(self) -> None:
        """Tell clients that the list of resources has changed.

        Registering and removing resources tells them by itself. Specification: Resources, List
        Changed Notification.
        """
        await self._notify(ResourcesListChanged())

    async def notify_tools_changed(self) -> None:
        """Tell clients that the list of tools has changed.

        Registering and removing tools tells them by itself. Specification: Tools, List Changed
        Notification.
        """
        await self._notify(ToolsListChanged())

    async def notify_prompts_changed(self) -> None:
        """Tell clients that the list of prompts has changed.

        Registering and removing prompts tells them by itself. Specification: Prompts, List
        Changed Notification.
        """
        await self._notify(PromptsListChanged())

    async def _notify(self, change: Change) -> None:
        if self._application is None:
            await trio.lowlevel.checkpoint()
        else:
            await self.bus.publish(change)

    def _announce(self, change: Change) -> None:
        if self._application is not None:
            self._application.notifier.announce(change)

    # -- doors ----------------------------------------------------------------------------

    async def serve_stdio(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve the process that launched this one, over standard input and output.

        Returns after the end of input (requests in flight get `eof_grace`), after `shutdown`,
        SIGINT or SIGTERM (they get `shutdown_grace`), or when the parent process is gone. While
        serving, descriptors 0 and 1 are replaced by harmless ones. Raises SystemExit, with one
        sentence, where standard input or output is closed.

        Specification: Transports, stdio.
        """
        transports.check_standard_streams()
        async with (
            self.joined(task_status.started) as application,
            trio.open_nursery() as nursery,
        ):
            await trio.lowlevel.checkpoint()
            opening = transports.open_stdio_channel(self.limits, budget=application.budget)
            async with opening as channel:
                nursery.start_soon(self._follow_parent)
                task_status.started()
                await application.serve(channel, grace=_STDIO_GRACE)
            nursery.cancel_scope.cancel(reason="standard input has ended")

    async def _follow_parent(self) -> None:
        await transports.wait_parent_gone()
        logger.info("the parent process is gone: shutting down")
        self.shutdown()

    async def serve_tcp(
        self,
        host: str,
        port: int,
        *,
        task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve newline-delimited messages over TCP until cancelled or shut down.

        There is no authentication: listen on a loopback address.

        Args:
            host: Where to listen.
            port: 0 lets the system choose.
            task_status: `nursery.start` returns the `(host, port)` pairs listened on; none where
                a signal came first.

        Raises:
            OSError: The address cannot be bound.

        Specification: 2026-07-28, Custom Transports.
        """
        async with self.joined(lambda: task_status.started([])) as application:
            listeners = await transports.open_tcp_listeners(host, port)
            addresses = transports.addresses_of(listeners)
            await serve_listeners(
                application, listeners, self._open_lines, lambda: task_status.started(addresses)
            )

    async def serve_unix(
        self,
        path: str | os.PathLike[str],
        *,
        task_status: trio.TaskStatus[str | os.PathLike[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve newline-delimited messages over a Unix socket until cancelled or shut down.

        Only this user may connect. A socket file left behind by a dead process is replaced,
        and ours is removed at the end.

        Args:
            path: Where the socket is made.
            task_status: `nursery.start` returns the path.

        Raises:
            OSError: The path is in use or cannot be bound.

        Specification: 2026-07-28, Custom Transports.
        """
        async with self.joined(lambda: task_status.started(path)) as application:
            with transports.unix_listener(path) as listener:
                await serve_listeners(
                    application, [listener], self._open_lines, lambda: task_status.started(path)
                )

    def _open_lines(
        self, stream: trio.abc.Stream, budget: transports.Budget
    ) -> AbstractAsyncContextManager[transports.MessageChannel]:
        return transports.open_stream_channel(stream, self.limits, peer="socket", budget=budget)

    async def serve_websocket(
        self,
        host: str,
        port: int,
        *,
        path: str = "/ws",
        ssl_context: ssl.SSLContext | None = None,
        allowed_hosts: Iterable[str] | None = None,
        allowed_origins: Iterable[str] | None = None,
        task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve WebSocket connections until cancelled or shut down.

        Each text frame is one message; the subprotocol is `mcp`. There is no authentication:
        listen on a loopback address. Web pages are kept out by their `Origin`, and by the name
        under which their browser has found the server.

        Args:
            host: Where to listen.
            port: 0 lets the system choose.
            path: The path of the server's URL.
            ssl_context: Encrypts (`wss://`), if given.
            allowed_hosts: The names that clients may call the server by, `name` or `name:port`,
                or `*` for all; by default `localhost`, the loopback addresses and what it
                listens on.
            allowed_origins: The origins, such as `https://example.com`, of web pages that may
                connect, or `*` for all; by default pages from the allowed hosts, on any port.
                Programs that are no browsers send no origin, and are not asked for one.
            task_status: `nursery.start` returns the `(host, port)` pairs listened on; none where
                a signal came first.

        Raises:
            OSError: The address cannot be bound.

        Specification: 2026-07-28, Custom Transports.
        """
        from ._websocket import websocket_opener

        async with self.joined(lambda: task_status.started([])) as application:
            listeners = await transports.open_tcp_listeners(host, port)
            addresses = transports.addresses_of(listeners)
            names = [host, *(name for name, _ in addresses)]
            await serve_listeners(
                application,
                transports.encrypted(listeners, ssl_context),
                websocket_opener(
                    application, path, callers_of(names, allowed_hosts, allowed_origins)
                ),
                lambda: task_status.started(addresses),
            )

    def websocket_app(
        self,
        *,
        path: str = "/ws",
        allowed_hosts: Iterable[str] | None = None,
        allowed_origins: Iterable[str] | None = None,
    ) -> ASGIApp:
        """An ASGI application that serves WebSocket connections, for hypercorn's trio worker.

        It needs the lifespan events of the ASGI server, which also owns the signals. Heartbeats
        and the largest message are the ASGI server's settings.

        Args:
            path: The path of the server's URL.
            allowed_hosts: See `serve_websocket`. By default the loopback names and the address
                at which a connection has arrived: behind a proxy, name the public host.
            allowed_origins: See `serve_websocket`.
        """
        from trimcp.http import WebSocketApp

        callers = None
        if allowed_hosts is not None or allowed_origins is not None:
            callers = callers_of([], allowed_hosts, allowed_origins)
        return WebSocketApp(self, path, callers)

    async def serve_stream(
        self,
        stream: trio.abc.Stream,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve one peer over any Trio stream, and close it at the end.

        The end of input means that the peer is gone and cancels its requests.
        """
        async with (
            self.joined(task_status.started) as application,
            transports.open_stream_channel(
                stream, self.limits, peer="stream", budget=application.budget
            ) as channel,
        ):
            await trio.lowlevel.checkpoint()
            task_status.started()
            await application.serve(channel, grace=NETWORK_GRACE)
