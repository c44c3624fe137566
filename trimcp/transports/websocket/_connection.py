"""trio-websocket's connection, changed where a peer could block it or fill the memory.

What is different here, and why:

* The reader raises nothing but `Cancelled`, whatever a peer sends. Any other exception would end
  the nursery around it, and in trio-websocket's own server all other connections.
* The end of the reader ends the handshake. trio-websocket waits forever if a peer sends something
  invalid, or disconnects, instead of a handshake.
* Messages are joined as bytes, up to a limit in bytes; longer ones are skipped. trio-websocket
  keeps every small fragment separately, and closes when there are too many characters.
* Invalid frames are answered with a close code, and what follows them is discarded.
* Before a server closes, it reads for a moment what still arrives. Otherwise the connection would
  be reset, and a client that is refused while it sends would not learn the reason.
* Pongs never delay the reader. Otherwise two peers that both wait to write would wait forever.

This overrides inner methods, so the version is pinned; `tests/transports/websocket` has a test
for each of them.
"""

from __future__ import annotations

import logging
import math
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import trio
from trio_websocket import CloseReason, ConnectionRejected, WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import RemoteProtocolError

from trimcp._groups import unwrapping
from trimcp.errors import HandshakeFailed, WebSocketClosed

from .._budget import Budget
from .._channel import Incoming, MessageChannel, Outbox, write_out
from .._lingering import linger
from .._partial import PartialMessage
from ._stream import WatchedStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from wsproto.events import RejectConnection

    from trimcp.limits import Limits

__all__ = ["GOING_AWAY", "NORMAL_CLOSURE", "SUBPROTOCOL", "MessageWebSocket"]

logger = logging.getLogger("trimcp.websocket")

SUBPROTOCOL: Final = "mcp"

NORMAL_CLOSURE: Final = 1000
GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003

#: Codes of a normal end; 1005 means that there was no code.
_GOOD_ENDS: Final = (NORMAL_CLOSURE, GOING_AWAY, 1005)
_NO_GOODBYE: Final = 1006

_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)

_CHUNK: Final = 64 * 1024

#: Seconds for the closing handshake, and for that of a cancelled task.
_CLOSE_SECONDS: Final = 1.0
_HURRY_SECONDS: Final = 0.05


class MessageWebSocket(WebSocketConnection):
    """One WebSocket connection and its message channel.

    Args:
        stream: The byte stream below it; closed at the end.
        limits: `message_bytes`, `outbox_bytes` and `heartbeat_seconds`.
        patience: Seconds for the opening handshake.
        peer: A name for logs.
        budget: Counts the bytes that it holds; by default a new one for this connection.
        request: For a client: `host`, `path` and `client_extra_headers` of its handshake.

    Attributes:
        channel: The message channel.
        rejection: The HTTP status with which the server refused the handshake.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        limits: Limits,
        *,
        patience: float,
        peer: str,
        budget: Budget | None = None,
        **request: Any,
    ) -> None:
        budget = budget or Budget.of(limits)
        self._watched = WatchedStream(stream, self._pass_on)
        super().__init__(
            self._watched,
            WSConnection(ConnectionType.CLIENT if request else ConnectionType.SERVER),
            receive_buffer_size=_CHUNK,
            **request,
        )
        self._period = limits.heartbeat_seconds
        self._patience = patience
        self._feed, incoming = trio.open_memory_channel[list[Incoming]](1)
        self._partial = PartialMessage(limits.message_bytes, budget)
        self._arrived: list[Incoming] = []
        self._pong_due: Pong | None = None
        self._is_ponging = False
        self._is_pinging = False
        self._shaking_hands = trio.CancelScope(relative_deadline=patience)
        self._nursery: trio.Nursery
        self.channel = MessageChannel(incoming, Outbox(limits.outbox_bytes, budget), peer)
        self.rejection: int | None = None
        self._rejected_with: dict[str, str] = {}

    # -- its life -------------------------------------------------------------------------

    @asynccontextmanager
    async def opened(
        self, shake_hands: Callable[[], Awaitable[None]], goodbye: int
    ) -> AsyncIterator[MessageChannel]:
        """Open with the handshake, carry messages, and close with the closing handshake.

        Args:
            shake_hands: Does this side's part; cancelled when the peer is gone or is too slow.
            goodbye: The close code for the end.

        Raises:
            HandshakeFailed: The handshake failed.
        """
        with unwrapping() as whole:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._reader_task)
                try:
                    await self._open(shake_hands)
                    self._nursery.start_soon(write_out, self.channel, self._deliver)
                    self._nursery.start_soon(self._watch)
                    with whole.block():
                        yield self.channel
                finally:
                    # Shielded: a cancelled task sends its close frame too, and Cancelled would
                    # replace an exception that is being raised.
                    with trio.CancelScope(shield=True, relative_deadline=_patience()):
                        await self._leave(goodbye)
                    self._nursery.cancel_scope.cancel(reason="the connection was closed")

    def skip_handshake(self, received: bytes) -> None:
        """Begin with the frames, since somebody else has read the client's handshake.

        Args:
            received: What was received after it.
        """
        self._wsproto.connection = Connection(ConnectionType.SERVER, trailing_data=received)

    async def _open(self, shake_hands: Callable[[], Awaitable[None]]) -> None:
        with self._shaking_hands:
            try:
                await shake_hands()
            except HandshakeFailed:
                raise
            except Exception as error:
                # The peer's request cannot be answered.
                self.channel.failure = error
                raise self._handshake_failed() from error
        if self._shaking_hands.cancelled_caught:
            if self.is_server and self._wsproto.state is ConnectionState.CONNECTING:
                await self._refuse_plainly()
            raise self._handshake_failed()

    async def _refuse_plainly(self) -> None:
        """Answer a request that is not a handshake, which trio-websocket does not answer."""
        status = "408 Request Timeout" if self.channel.failure is None else "400 Bad Request"
        head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        with trio.move_on_after(_CLOSE_SECONDS), suppress(*_BROKEN):
            await self._stream.send_all(head.encode())

    def _handshake_failed(self) -> HandshakeFailed:
        failure = self.channel.failure
        if self.rejection is not None:
            return HandshakeFailed(
                f"the server refused the WebSocket handshake with HTTP status {self.rejection}",
                self.rejection,
                self._rejected_with,
            )
        if failure is None:
            return HandshakeFailed(f"no WebSocket handshake within {self._patience:g} s")
        error = HandshakeFailed(f"no WebSocket handshake: {failure}")
        error.__cause__ = failure
        return error

    async def _leave(self, goodbye: int) -> None:
        """Do the closing handshake; close the stream in any case."""
        self.channel.incoming.close()
        try:
            await self.aclose(goodbye, self.channel.goodbye)
            await self._close_handshake.wait()
        finally:
            await trio.aclose_forcefully(self._watched)

    async def _close_stream(self) -> None:
        if self.is_server:
            # A client that still sends has to be able to read why it is refused. If another task is
            # reading (BusyResourceError), nothing is left unread.
            with trio.move_on_after(_CLOSE_SECONDS), suppress(trio.BusyResourceError):
                await linger(self._watched.stream)
        await super()._close_stream()

    def _end(self, failure: BaseException | None = None) -> None:
        """End the incoming messages."""
        if failure is not None:
            self.channel.failure = self.channel.failure or failure
        self._feed.close()
        self._shaking_hands.cancel(reason="the connection has ended")

    # -- reading --------------------------------------------------------------------------

    async def _reader_task(self) -> None:
        try:
            await super()._reader_task()
        except ConnectionRejected as refusal:
            self.rejection = refusal.status_code
        except Exception as error:
            # The only possible reason is what the peer has sent, or trio-websocket's answer to it.
            logger.debug("a WebSocket handshake is invalid", exc_info=True)
            self.channel.failure = self.channel.failure or _reason_for(error)
            await self._abort_web_socket()
        finally:
            self._partial.close()
            self._close_handshake.set()
            self._end()

    async def _handle_reject_connection_event(self, event: RejectConnection) -> None:
        # The body, which may be of any length, is not waited for.
        for name, value in event.headers:
            key, said = name.decode("latin-1").lower(), value.decode("latin-1")
            before = self._rejected_with.get(key)
            self._rejected_with[key] = said if before is None else f"{before}, {said}"
        raise ConnectionRejected(event.status_code, (), None)

    async def _handle_message_event(self, event: BytesMessage | TextMessage) -> None:
        if self.closed is not None:
            return
        if isinstance(event, BytesMessage):
            await self._pass_on()
            await self._refuse(UNSUPPORTED_DATA, "messages are text")
            return
        self._partial.add(event.data.encode())
        if event.message_finished:
            self._arrived.append(self._partial.finish())

    async def _pass_on(self) -> None:
        """Pass on the messages in the last received bytes, before more are received."""
        if self._arrived:
            messages, self._arrived = self._arrived, []
            with suppress(*_BROKEN):
                await self._feed.send(messages)

    async def _refuse(self, code: int, reason: str) -> None:
        """Close the connection because of what the peer has sent; later input is dropped."""
        self._close_reason = CloseReason(code, reason)
        self._end(WebSocketClosed(code, reason))
        await self._send(CloseConnection(code=code, reason=reason))

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        await self._pass_on()
        if self._wsproto.state is ConnectionState.OPEN:
            # The peer has not sent a close frame, but an invalid frame.
            await self._refuse(int(event.code), event.reason or "")
            await self._close_stream()
            return
        # Before the answer, which may have to wait for the writer.
        self._end(_failure(event.code, event.reason))
        await super()._handle_close_connection_event(event)

    async def _close_web_socket(self, code: int, reason: str | None = None) -> None:
        await super()._close_web_socket(code, reason)
        # Also where the stream has ended without a close frame.
        self._end(_failure(code, reason))

    # -- writing --------------------------------------------------------------------------

    async def _deliver(self, batch: list[bytes]) -> None:
        """Send all messages that wait in one write, each as a frame."""
        if self.closed is not None:
            raise trio.BrokenResourceError
        await self._write(*(TextMessage(data=each.decode()) for each in batch))

    async def _write(self, *events: TextMessage | Ping | Pong) -> None:
        """Write frames. Unlike `_send`, it leaves it to the reader to notice a broken connection.

        So what has arrived before is still read.
        """
        frames = [self._wsproto.send(event) for event in events]
        async with self._stream_lock:
            await self._stream.send_all(b"".join(frames))

    async def _write_control(self, event: Ping | Pong) -> None:
        if self._wsproto.state is ConnectionState.OPEN:
            with suppress(*_BROKEN):
                await self._write(event)

    async def _handle_ping_event(self, event: Ping) -> None:
        self._pong_due = event.response()
        if not self._is_ponging:
            self._is_ponging = True
            self._nursery.start_soon(self._send_pongs)

    async def _send_pongs(self) -> None:
        """Answer the latest ping; earlier pings without a pong need no answer."""
        while self._pong_due is not None:
            pong, self._pong_due = self._pong_due, None
            await self._write_control(pong)
        self._is_ponging = False

    async def _send_ping(self) -> None:
        await self._write_control(Ping())
        self._is_pinging = False

    # -- watching -------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Ping a silent peer. If it stays silent for the same time again, it counts as gone."""
        period = self._period
        while period < math.inf:
            await trio.sleep_until(self._watched.last_sign + period)
            sign = self._watched.last_sign
            if trio.current_time() < sign + period:
                continue
            if not self._is_pinging:
                self._is_pinging = True
                self._nursery.start_soon(self._send_ping)
            await trio.sleep_until(sign + 2 * period)
            if self._watched.last_sign == sign:
                self._end(WebSocketClosed(_NO_GOODBYE, f"silent for {2 * period:g} s"))
                await trio.aclose_forcefully(self._watched)
                return


def _patience() -> float:
    """Seconds for the closing handshake: less if little time is left."""
    left = trio.current_effective_deadline() - trio.current_time()
    return min(max(left, _HURRY_SECONDS), _CLOSE_SECONDS)


def _reason_for(error: Exception) -> BaseException:
    """The peer's error, if there is one behind this error; else this error."""
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, RemoteProtocolError):
        reason = reason.__context__
    return reason or error


def _failure(code: int, reason: str | None) -> WebSocketClosed | None:
    """The error for a close code; None for a normal close."""
    if code in _GOOD_ENDS:
        return None
    if code == _NO_GOODBYE and not reason:
        reason = "the connection was cut"
    return WebSocketClosed(int(code), reason or "")
