"""hypercorn's WebSocket, changed so that invalid or too large messages end it, with a reason.

Compression is not accepted, since a few compressed bytes can expand to any number of bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypercorn.protocol.events import (
    Body,
    Data,
    EndBody,
    EndData,
    Request,
    Response,
    StreamClosed,
)
from hypercorn.protocol.ws_stream import ASGIWebsocketState, FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

from trimcp.protocol.http import has_websocket_key

if TYPE_CHECKING:
    from hypercorn.protocol.events import Event

__all__ = ["GuardedWebSocket"]

_EXTENSIONS = b"sec-websocket-extensions"
_KEY = b"sec-websocket-key"
_PROTOCOL = b"sec-websocket-protocol"
_VERSION = (b"sec-websocket-version", b"13")


class GuardedWebSocket(WSStream):
    """One WebSocket.

    Specification: RFC 6455, 7.
    """

    _is_refused = False

    async def app_send(self, message: Any) -> None:
        # What the application answers to a handshake that has been refused here is dropped.
        if not self._is_refused:
            await super().app_send(message)

    async def handle(self, event: Event) -> None:
        if self.closed:
            return
        if isinstance(event, Request):
            # Without a key it is refused; over HTTP/2 there is none.
            unwanted = {_EXTENSIONS} if has_websocket_key(event.headers) else {_EXTENSIONS, _KEY}
            plain = [pair for pair in event.headers if pair[0].lower() not in unwanted]
            await super().handle(replace(event, headers=_with_one_list(plain)))
            if self.closed:
                # It was refused before the application was called.
                await self.send(StreamClosed(stream_id=self.stream_id))
        elif isinstance(event, Body | Data):
            await self._take(event.data)
        elif isinstance(event, EndBody):
            await self._end()
        else:
            await super().handle(event)

    async def _send_error_response(self, status_code: int) -> None:
        # A client of another version is told the supported one (RFC 6455, 4.4).
        headers = [(b"content-length", b"0"), (b"connection", b"close"), _VERSION]
        await self.send(Response(self.stream_id, headers, status_code))
        await self.send(EndBody(stream_id=self.stream_id))

    async def _take(self, data: bytes) -> None:
        if not self.handshake.accepted:
            await self._refuse_early_frames()
            return
        self.connection.receive_data(data)
        for event in self.connection.events():
            if isinstance(event, Message):
                if not await self._take_piece(event):
                    return
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                await self._take_close(event)
                return

    async def _refuse_early_frames(self) -> None:
        """Refuse a client that did not wait for the answer to its handshake.

        If the application's own refusal is being sent, that is the answer.
        """
        if self.state is ASGIWebsocketState.HANDSHAKE and not self._is_refused:
            self._is_refused = True
            await self._send_error_response(400)
            await self._end()

    async def _take_piece(self, piece: Message[Any]) -> bool:
        """Take a piece of a message. Returns whether more may follow."""
        try:
            self.buffer.extend(piece)
        except FrameTooLargeError:
            self.buffer.clear()
            await self._send_wsproto_event(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
            await self._end()
            return False
        if piece.message_finished:
            message: Any = self.buffer.to_message()
            self.buffer.clear()
            assert self.app_put is not None
            await self.app_put(message)
        return True

    async def _take_close(self, event: CloseConnection) -> None:
        """Handle a close by the client, or an invalid frame, which the event describes."""
        if self.connection.state is ConnectionState.REMOTE_CLOSING:
            await self._send_wsproto_event(event.response())
        elif self.connection.state is ConnectionState.OPEN:
            await self._send_wsproto_event(CloseConnection(code=event.code))
        await self._end()

    async def _end(self) -> None:
        await self.send(EndData(stream_id=self.stream_id))
        await self.send(StreamClosed(stream_id=self.stream_id))


def _with_one_list(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with all subprotocols in one line, since hypercorn reads only the last.

    Specification: RFC 6455, 11.3.4.
    """
    lists = [value for name, value in headers if name.lower() == _PROTOCOL]
    if len(lists) < 2:
        return headers
    others = [pair for pair in headers if pair[0].lower() != _PROTOCOL]
    return [*others, (_PROTOCOL, b", ".join(lists))]
