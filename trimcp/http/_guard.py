"""hypercorn's connection, contained.

hypercorn 0.18 lets an exception of one connection end the whole server, and an answer that
nobody reads keep it alive for ever. Here a connection's failure ends that connection, every send
has a deadline, a request that its application did not read to the end blocks nobody, and
cleartext HTTP/2 is off (over TLS it is negotiated).

This stands on hypercorn's inner classes, so its version is pinned; `tests/http/test_guard.py`
says with which requests it is tested.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import h11
import hypercorn.protocol
import hypercorn.protocol.h11
import hypercorn.trio.task_group
import hypercorn.trio.tcp_server
import trio
from hypercorn.events import Closed, RawData
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from ._asgi import ENDINGS, GONE, Farewell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.config import Config
    from hypercorn.events import Event
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import AppWrapper

__all__ = ["GuardedConnection"]

logger = logging.getLogger("trimcp.http")

#: Seconds for closing a connection in good order.
_CLOSE_SECONDS: Final = 2.0


#: The events that say that the client is gone.
_FAREWELLS: Final = ("http.disconnect", "websocket.disconnect")


class GuardedConnection(hypercorn.trio.tcp_server.TCPServer):
    """One connection of a client.

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
        self._send_seconds = send_seconds
        self._sending: trio.CancelScope | None = None
        self._given_up = False

    async def run(self) -> None:
        """Serve the connection to its end. Nothing but Cancelled leaves here."""
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
            logger.debug("a connection was lost", exc_info=lost)
        except* BaseException as failure:
            logger.error("a connection failed", exc_info=failure)

    async def _shake_hands(self) -> str | None:
        """The protocol that was agreed on; None if the handshake failed."""
        if not isinstance(self.stream, trio.SSLStream):
            return "http/1.1"
        try:
            with trio.fail_after(self.config.ssl_handshake_timeout):
                await self.stream.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError):
            return None
        return self.stream.selected_alpn_protocol() or "http/1.1"

    async def _serve(self, alpn: str) -> None:
        is_secure = isinstance(self.stream, trio.SSLStream)
        socket = (self.stream.transport_stream if is_secure else self.stream).socket
        async with _Applications() as self._task_group:
            self.protocol = _Protocol(
                self.app,
                self.config,
                self.context,
                self._task_group,
                ConnectionState({}),
                is_secure,
                parse_socket_addr(socket.family, socket.getpeername()),
                parse_socket_addr(socket.family, socket.getsockname()),
                self.protocol_send,
                alpn,
            )
            await self.protocol.initiate()
            await self.idle_task.restart(self._task_group, self._idle_timeout)
            await self._read_data()
            self.give_up()
            # It would keep what is left of the connection until its time is over.
            await self.idle_task.stop()

    def give_up(self) -> None:
        """The client is gone, or its time is: nothing that waits to be sent is wanted any more."""
        self._given_up = True
        if self._sending is not None:
            self._sending.cancel(reason="nobody reads the answer any more")

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        async with self.send_lock:
            is_sent = await self._send(event.data)
        if not is_sent:
            await trio.aclose_forcefully(self.stream)
            await self.protocol.handle(Closed())

    async def _send(self, data: bytes) -> bool:
        """Whether it was sent whole.

        Half a frame would break the connection for the other answers on it, so the task that
        sends it cannot be cancelled; the deadline and `give_up` end it.
        """
        if self._given_up:
            return False
        try:
            with trio.CancelScope(shield=True, relative_deadline=self._send_seconds) as scope:
                self._sending = scope
                await self.stream.send_all(data)
                return True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        finally:
            self._sending = None
        if not self._given_up:
            logger.warning("a client read nothing for %g s: disconnected", self._send_seconds)
        return False

    async def _close(self) -> None:
        with trio.move_on_after(_CLOSE_SECONDS):
            await super()._close()
        await trio.aclose_forcefully(self.stream)

    async def _initiate_server_close(self) -> None:
        with trio.move_on_after(_CLOSE_SECONDS):
            await self.protocol.handle(Closed())
        await self._close()


class ClientGone(OSError):
    """There is nobody to send to."""


class _Applications(hypercorn.trio.task_group.TaskGroup):
    """The runs of the ASGI application for one connection.

    The connection's reader never waits for an application that has ended, nor with the news
    that the client is gone for one that does not read. Sending to a client that is gone fails,
    as ASGI wants it, instead of doing nothing for ever.
    """

    async def spawn_app(
        self, app: Any, config: Config, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        feed, events = trio.open_memory_channel[Any](config.max_app_queue_size)
        farewell = scope["extensions"][GONE] = Farewell()

        async def put(event: Any) -> None:
            if event["type"] in _FAREWELLS:
                feed.close()
                farewell.tell(event)
                return
            try:
                await feed.send(event)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

        async def receive() -> Any:
            try:
                return await events.receive()
            except trio.EndOfChannel:
                await trio.lowlevel.checkpoint()
                return farewell.event

        async def guarded_send(event: Any) -> None:
            if farewell.event is not None:
                raise ClientGone("the client is gone, or the answer is complete")
            await send(event)

        async def run() -> None:
            with events:
                try:
                    await _run_app(app, scope, receive, guarded_send)
                finally:
                    # Completes the answer: 500 if there was none.
                    await send(None)

        self.spawn(run)
        return put


async def _run_app(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """Run the application for one request; its failure is that request's."""
    try:
        await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
    except* ENDINGS:
        raise
    except* ClientGone:
        logger.debug("the client went away before its answer was sent")
    except* BaseException as failure:
        # Also what is no `Exception`: SystemExit would end the process.
        logger.error("the ASGI application failed", exc_info=failure)


class _Protocol(hypercorn.protocol.ProtocolWrapper):
    """HTTP/1.1, or HTTP/2 where TLS has agreed on it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if isinstance(self.protocol, hypercorn.protocol.h11.H11Protocol):
            self.protocol = _OnlyHTTP1(*args[:-1])


class _OnlyHTTP1(hypercorn.protocol.h11.H11Protocol):
    """HTTP/1.1 without the ways from it to cleartext HTTP/2.

    The head of an answer whose length is known waits for its body, so that both go out in one
    piece.
    """

    _head = b""

    async def _send_h11_event(self, event: Any) -> None:
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response) and b"content-length" in dict(event.headers):
            self._head = data or b""
            return
        data = self._head + (data or b"")
        self._head = b""
        if data:
            await self.send(RawData(data))

    async def _check_protocol(self, event: Any) -> None:
        if event.http_version != b"1.1" and event.http_version != b"1.0":
            raise trio.BrokenResourceError("cleartext HTTP/2 is not spoken here")
