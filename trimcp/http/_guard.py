"""hypercorn's connection, changed so that its failure affects no other connection.

In hypercorn 0.18 an exception of one connection ends the whole server, an answer that is not read
keeps it alive forever, and the idle timer is lost if the request that should start it is cancelled.
Here a connection's failure ends only that connection, every send has a deadline, and a connection
without open requests has one too.

This uses hypercorn's internal classes, so its version is pinned; the tests are in
`tests/http/test_guard.py` and `tests/http/test_connections.py`.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

import hypercorn.trio.task_group
import hypercorn.trio.tcp_server
import trio
from hypercorn.events import Closed, RawData
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from trimcp._groups import logged
from trimcp.transports import linger

from ._asgi import ENDINGS, GONE, Disconnect
from ._guard_http1 import GuardedHTTP1
from ._guard_http2 import GuardedHTTP2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.config import Config
    from hypercorn.events import Event
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import AppWrapper

__all__ = ["GuardedConnection"]

logger = logging.getLogger("trimcp.http")

#: Seconds for closing a connection in order. What the client still sends is read and discarded
#: meanwhile, since otherwise it could not read the last answer.
_CLOSE_SECONDS: Final = 2.0

#: The events that say that the client is gone.
_DISCONNECTS: Final = ("http.disconnect", "websocket.disconnect")


class GuardedConnection(hypercorn.trio.tcp_server.TCPServer):
    """A connection of a client.

    It is idle while no request is open. Then its reader has a deadline, and ends at once when the
    server shuts down. Everything else that ends a connection also ends its reader, and the
    connection's own task closes it.

    Args:
        app: The wrapped ASGI application.
        config: hypercorn's settings.
        context: What the connections of one server share.
        stream: The connection.
        send_seconds: How long a client may leave one piece of an answer unread.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: Any,
        *,
        send_seconds: float,
    ) -> None:
        super().__init__(app, config, context, {}, stream)
        self.protocol: GuardedHTTP1 | GuardedHTTP2  # type: ignore[assignment]
        self._send_seconds = send_seconds
        self._sending: trio.CancelScope | None = None
        self._given_up = False
        self._is_idle = True
        self._lingers = False
        #: The scope of waiting for the client: for its handshake, then for its requests.
        self._waiting = trio.CancelScope()

    async def run(self) -> None:
        """Serve the connection to its end. Raises nothing but Cancelled."""
        try:
            try:
                alpn = await self._shake_hands()
                if alpn is not None:
                    await self._serve(alpn)
            finally:
                await self._close()
        except* ENDINGS:
            raise
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as lost:
            logger.debug("a connection was lost", exc_info=logged(lost))
        except* BaseException as failure:
            logger.error("a connection failed", exc_info=logged(failure))

    async def _shake_hands(self) -> str | None:
        """Do the TLS handshake. Returns the agreed protocol; None if the handshake failed."""
        if not isinstance(self.stream, trio.SSLStream):
            return "http/1.1"
        self._waiting.deadline = trio.current_time() + self.config.ssl_handshake_timeout
        try:
            with self._waiting:
                await self.stream.do_handshake()
                return self.stream.selected_alpn_protocol() or "http/1.1"
        except trio.BrokenResourceError:
            pass
        return None

    async def _serve(self, alpn: str) -> None:
        is_secure = isinstance(self.stream, trio.SSLStream)
        socket = (self.stream.transport_stream if is_secure else self.stream).socket
        self._waiting = trio.CancelScope()
        applications = _Applications(self._tell_idle, self._invite_body)
        async with applications:
            given = (
                self.app,
                self.config,
                self.context,
                applications,
                ConnectionState({}),
                is_secure,
                parse_socket_addr(socket.family, socket.getpeername()),
                parse_socket_addr(socket.family, socket.getsockname()),
                self.protocol_send,
            )
            self.protocol = (
                GuardedHTTP2(*given, send_seconds=self._send_seconds)
                if alpn == "h2"
                else GuardedHTTP1(*given)
            )
            await self.protocol.initiate()
            self._tell_idle(is_idle=True)
            with self._waiting:
                await self._read_data()
            self.give_up()
            await self.protocol.handle(Closed())
            applications.end_helpers()
            await self._close()

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

    def give_up(self) -> None:
        """Stop sending: the client is gone, or its time is over."""
        self._given_up = True
        if self._sending is not None:
            self._sending.cancel(reason="the answer is not read any more")

    async def _invite_body(self) -> None:
        """Ask the client for the body, since the application waits for it."""
        if isinstance(self.protocol, GuardedHTTP1):
            await self.protocol.say_continue()

    # -- sending and closing ------------------------------------------------------------------

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            if not await self._send(event.data):
                self._given_up = True
                self._waiting.cancel(reason="the answer cannot be sent")
                await self.protocol.handle(Closed())
        elif isinstance(event, Closed):
            self._lingers = not self.context.terminated.is_set()
            self._waiting.cancel(reason="the protocol has ended")

    async def _send(self, data: bytes) -> bool:
        """Send data. Returns whether all of it was sent.

        A frame that is sent only in part, or left out, would break the connection for the other
        answers on it. So a send cannot be cancelled; only the deadline and `give_up` end it.
        """
        if self._given_up:
            return False
        try:
            with trio.CancelScope(shield=True, relative_deadline=self._send_seconds) as scope:
                async with self.send_lock:
                    if self._given_up:
                        return False
                    self._sending = scope
                    try:
                        await self.stream.send_all(data)
                    finally:
                        self._sending = None
                return True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        if not self._given_up:
            logger.warning("a client read nothing for %g s: disconnected", self._send_seconds)
        return False

    async def _close(self) -> None:
        with trio.move_on_after(_CLOSE_SECONDS):
            if self._lingers:
                await linger(self.stream)
            await super()._close()
        await trio.aclose_forcefully(self.stream)


class ClientGone(OSError):
    """The client is gone, so nothing can be sent to it."""


class _Applications(hypercorn.trio.task_group.TaskGroup):
    """The runs of the ASGI application for one connection, and hypercorn's own tasks for it.

    Args:
        tell_idle: Called when the first request opens, and when the last one has ended.
        invite_body: Called before an application waits for the body of its request.
    """

    def __init__(
        self, tell_idle: Callable[..., None], invite_body: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__()
        self.invite_body = invite_body
        self._tell_idle = tell_idle
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
        self._send = send
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
                await _run_app(app, scope, self._receive, self._guarded_send)
            finally:
                # Completes the answer: 500 if there was none.
                await self._send(None)
        self._owner.close(self)

    async def _receive(self) -> Any:
        await self._owner.invite_body()
        try:
            return await self._events.receive()
        except trio.EndOfChannel:
            await trio.lowlevel.checkpoint()
            return self.disconnect.event

    async def _guarded_send(self, event: Any) -> None:
        if self.disconnect.event is not None:
            raise ClientGone("the client is gone, or the answer is complete")
        await self._send(event)


async def _run_app(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """Run the application for one request; its failure only affects this request."""
    try:
        await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
    except* ENDINGS:
        raise
    except* ClientGone:
        logger.debug("the client disconnected before its answer was sent")
    except* BaseException as failure:
        # Also exceptions that are not an `Exception`: SystemExit would end the process.
        logger.error("the ASGI application failed", exc_info=logged(failure))
