"""hypercorn's connection, for HTTP/2 and WebSocket, changed so that it always ends.

In hypercorn 0.18 an answer that is not read keeps a connection alive forever, and the idle timer is
lost if the request that should start it is cancelled. Here every send has a deadline, and a
connection without open requests has one too.

This uses hypercorn's internal classes, so its version is pinned; the tests are in
`tests/http/test_guard.py` and `tests/http/test_connections.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import hypercorn.trio.task_group
import hypercorn.trio.tcp_server
import trio
from hypercorn.events import Closed, RawData
from hypercorn.typing import ConnectionState

from ._asgi import GONE, Disconnect
from ._running import ClientGone, contained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.config import Config
    from hypercorn.events import Event
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import AppWrapper

    from ._guard_http1 import GuardedHandshake
    from ._guard_http2 import GuardedHTTP2
    from ._place import Place
    from ._sending import Sender
    from ._takeover import Takeover

__all__ = ["GuardedConnection"]

#: The events that say that the client is gone.
_DISCONNECTS: Final = ("http.disconnect", "websocket.disconnect")


class GuardedConnection(hypercorn.trio.tcp_server.TCPServer):
    """HTTP/2 on a connection of a client, or one WebSocket.

    It is idle while no request is open. Then its reader has a deadline, and ends at once when the
    server shuts down. Everything else that ends a connection also ends its reader.

    Args:
        app: The wrapped ASGI application.
        config: hypercorn's settings.
        context: What the connections of one server share.
        stream: The connection. Only its sender writes to it.
        sender: Writes to it.
        place: Where it leads.
        close: Closes the connection.

    Attributes:
        lingers: Whether the client may still be sending although all is answered.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: Any,
        *,
        sender: Sender,
        place: Place,
        close: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(app, config, context, {}, stream)
        self.protocol: GuardedHandshake | GuardedHTTP2  # type: ignore[assignment]
        self.lingers = False
        self._sender = sender
        self._place = place
        self._end = close
        self._is_idle = True
        #: The scope of waiting for requests of the client.
        self._waiting = trio.CancelScope()

    async def serve(
        self,
        make_protocol: Callable[..., GuardedHandshake | GuardedHTTP2],
        takeover: Takeover | None = None,
    ) -> None:
        """Serve the connection to its end.

        Args:
            make_protocol: Makes the protocol, with the arguments of hypercorn's protocols.
            takeover: What the application may take over.
        """
        place = self._place
        applications = _Applications(self._tell_idle, takeover)
        async with applications:
            self.protocol = make_protocol(
                self.app,
                self.config,
                self.context,
                applications,
                ConnectionState({}),
                place.is_secure,
                place.client,
                place.server,
                self.protocol_send,
            )
            await self.protocol.initiate()
            self._tell_idle(is_idle=True)
            with self._waiting:
                await self._read_data()
            self._sender.give_up()
            await self.protocol.handle(Closed())
            applications.end_helpers()
            if takeover is None or not takeover.is_taken:
                await self._end()

    # -- idleness -----------------------------------------------------------------------------

    def _tell_idle(self, *, is_idle: bool) -> None:
        """Note whether no request is open; this decides how long to wait for the next one."""
        self._is_idle = is_idle
        if not is_idle:
            self._waiting.deadline = math.inf
        elif self.context.terminated.is_set():
            self._waiting.cancel(reason="the server is shutting down")
        else:
            self._waiting.deadline = trio.current_time() + self.config.keep_alive_timeout

    def drain(self) -> None:
        """Accept no more requests: end now if none is open, otherwise after the last one."""
        if self._is_idle:
            self._waiting.cancel(reason="the server is shutting down")

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            if not await self._sender.send(event.data):
                self._waiting.cancel(reason="the answer cannot be sent")
                await self.protocol.handle(Closed())
        elif isinstance(event, Closed):
            self.lingers = not self.context.terminated.is_set()
            self._waiting.cancel(reason="the protocol has ended")


class _Applications(hypercorn.trio.task_group.TaskGroup):
    """The runs of the ASGI application for one connection, and hypercorn's own tasks for it.

    Args:
        tell_idle: Called when the first request opens, and when the last one has ended.
        takeover: What an application may take over.
    """

    def __init__(self, tell_idle: Callable[..., None], takeover: Takeover | None) -> None:
        super().__init__()
        self._tell_idle = tell_idle
        self._takeover = takeover
        self._open: set[_Run] = set()
        self._helpers: set[trio.CancelScope] = set()

    def spawn(self, func: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Start a task that ends at the latest with the connection."""
        assert self._nursery is not None
        self._nursery.start_soon(self._help, func, *args)

    async def _help(self, func: Callable[..., Awaitable[None]], *args: Any) -> None:
        with trio.CancelScope() as scope:
            self._helpers.add(scope)
            try:
                await func(*args)
            finally:
                self._helpers.discard(scope)

    def end_helpers(self) -> None:
        """Cancel hypercorn's own tasks, since the connection has ended."""
        for scope in self._helpers:
            scope.cancel(reason="the connection has ended")

    async def spawn_app(
        self, app: Any, config: Config, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        assert self._nursery is not None
        run = _Run(self, send, config.max_app_queue_size)
        scope["extensions"][GONE] = run.disconnect
        if self._takeover is not None:
            self._takeover.offer(scope, run.receive, run.send)
        self._open.add(run)
        self._tell_idle(is_idle=False)
        self._nursery.start_soon(run.serve, app, scope)
        return run.put

    def close(self, run: _Run) -> None:
        """Note that a request has ended; may be called more than once for the same request."""
        if run in self._open:
            self._open.discard(run)
            if not self._open:
                self._tell_idle(is_idle=True)


class _Run:
    """One run of the ASGI application.

    The connection's reader never waits for an application that has ended, and never waits to report
    that the client is gone. Sending to a client that is gone raises an error, as ASGI requires,
    instead of doing nothing forever.

    Args:
        owner: The runs of the connection.
        send: hypercorn's function that sends to the client.
        size: How many events may wait for the application.
    """

    def __init__(
        self, owner: _Applications, send: Callable[[Any], Awaitable[None]], size: int
    ) -> None:
        self.disconnect = Disconnect()
        self._owner = owner
        self._pass_on = send
        self._feed, self._events = trio.open_memory_channel[Any](size)

    async def put(self, event: Any) -> None:
        """Pass on an event to the application."""
        if event["type"] in _DISCONNECTS:
            self._feed.close()
            self.disconnect.tell(event)
            self._owner.close(self)
            return
        try:
            await self._feed.send(event)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def serve(self, app: Any, scope: Any) -> None:
        """Run the application; its failure only affects this request."""
        with self._events:
            try:
                # hypercorn's wrapper also wants to know how a WSGI application would be called.
                threads = trio.to_thread.run_sync, trio.from_thread.run
                await contained(app, scope, self.receive, self.send, *threads)
            finally:
                # Completes the answer: 500 if there was none.
                await self._pass_on(None)
        self._owner.close(self)

    async def receive(self) -> Any:
        """The ASGI callable."""
        try:
            return await self._events.receive()
        except trio.EndOfChannel:
            await trio.lowlevel.checkpoint()
            return self.disconnect.event

    async def send(self, event: Any) -> None:
        """The ASGI callable. Raises ClientGone."""
        if self.disconnect.event is not None:
            raise ClientGone("the client is gone, or the answer is complete")
        await self._pass_on(event)
