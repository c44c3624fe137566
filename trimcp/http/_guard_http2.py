"""hypercorn's HTTP/2, changed so that one stream does not affect the others.

A stream that is malformed, refused, not read or left by its application ends alone. A connection
that accepts no more requests tells the client so, and ends with the last open one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import h2.events
import h2.exceptions
import hypercorn.protocol.h2
import trio
from h2.errors import ErrorCodes
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import Body, EndBody, EndData, Request, StreamClosed
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BufferCompleteError, StreamBuffer
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.utils import filter_pseudo_headers
from hyperframe.frame import GoAwayFrame

from ._guard_websocket import GuardedWebSocket
from ._http2_streams import StreamwiseConnection

if TYPE_CHECKING:
    from hypercorn.events import Event as ConnectionEvent
    from hypercorn.protocol.events import Event

__all__ = ["GuardedHTTP2"]

logger = logging.getLogger("trimcp.http")

_NOTHING: Final = b""


class _Buffer(StreamBuffer):
    """The data that waits to be sent on a stream.

    `push` waits while it is full. In hypercorn's own buffer, `push` goes on after any attempt to
    send, even if the client's flow-control window had no room.

    Attributes:
        is_whole: Whether no more data will be added.
        has_left: Set when all of it was sent, or no more of it will be.
    """

    def __init__(self, event_class: Any) -> None:
        super().__init__(event_class)
        self.is_whole = False
        self.has_left = trio.Event()
        self._room = trio.lowlevel.ParkingLot()

    def set_complete(self) -> None:
        self.is_whole = True
        super().set_complete()

    async def push(self, data: bytes) -> None:
        if self._complete:
            raise BufferCompleteError
        self.buffer.extend(data)
        await self._is_empty.clear()
        while len(self.buffer) >= BUFFER_HIGH_WATER:
            await self._room.park()

    async def pop(self, max_length: int) -> bytes:
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if len(self.buffer) < BUFFER_HIGH_WATER:
            self._room.unpark_all()
        if not self.buffer:
            await self._is_empty.set()
        return data

    async def close(self) -> None:
        self._complete = True
        self.buffer = bytearray()
        self.has_left.set()
        self._room.unpark_all()
        await self._is_empty.set()


class GuardedHTTP2(hypercorn.protocol.h2.H2Protocol):
    """HTTP/2 of one connection.

    Args:
        send_seconds: How long a client may leave a piece of one answer unread.
    """

    def __init__(self, *args: Any, send_seconds: float) -> None:
        super().__init__(*args)
        given = self.connection
        self.connection = StreamwiseConnection(given.config, given.local_settings)
        self._send_seconds = send_seconds
        self._is_leaving = False

    async def handle(self, event: ConnectionEvent) -> None:
        await super().handle(event)
        if isinstance(event, Closed):
            for stream_id in list(self.stream_buffers):
                await self._drop(stream_id)

    # -- receiving ----------------------------------------------------------------------------

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                await self._take_request(event)
            elif isinstance(event, h2.events.DataReceived):
                await self._take_data(event)
            elif isinstance(event, h2.events.StreamReset):
                await self._drop(event.stream_id)
                await self._close_stream(event.stream_id)
            else:
                await super()._handle_events([event])
        await self._flush()

    async def _take_request(self, event: h2.events.RequestReceived) -> None:
        if self._is_leaving or self.context.terminated.is_set():
            await self._leave(event.stream_id - 2)
            # The client may repeat it elsewhere (RFC 9113, 8.7).
            self._reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        await self._create_stream(event)
        if self.keep_alive_requests >= self.config.keep_alive_max_requests:
            await self._leave(event.stream_id)

    async def _leave(self, last_stream_id: int) -> None:
        """Tell the client that no further request will be served on this connection."""
        if self._is_leaving:
            return
        self._is_leaving = True
        # After a GOAWAY frame of its own, h2 would treat every stream as ended.
        frame = GoAwayFrame(0, last_stream_id=max(last_stream_id, 0))
        await self._flush()
        await self.send(RawData(frame.serialize()))

    async def _take_data(self, event: h2.events.DataReceived) -> None:
        """Pass on a piece of a body; if the request was already answered, it is discarded."""
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            await stream.handle(Body(stream_id=event.stream_id, data=event.data))
        self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        stream_id = request.stream_id
        read = _read(request.headers)
        if read is None:
            self._reset(stream_id, ErrorCodes.PROTOCOL_ERROR)
            return
        method, path = read
        kind: type[HTTPStream | GuardedWebSocket]
        kind = GuardedWebSocket if method == "CONNECT" else HTTPStream
        stream = self.streams[stream_id] = kind(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            stream_id,
        )
        self.stream_buffers[stream_id] = _Buffer(self.context.event_class)
        self.priority.insert_stream(stream_id)
        self.priority.block(stream_id)
        await stream.handle(
            Request(
                stream_id=stream_id,
                headers=filter_pseudo_headers(request.headers),
                http_version="2",
                method=method,
                raw_path=path,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1

    # -- sending ------------------------------------------------------------------------------

    async def stream_send(self, event: Event) -> None:
        with trio.move_on_after(self._send_seconds) as scope:
            if isinstance(event, EndBody | EndData):
                await self._send_end(event.stream_id)
            elif isinstance(event, StreamClosed):
                await self._end_stream(event.stream_id)
            else:
                await super().stream_send(event)
        if scope.cancelled_caught:
            logger.warning("a client read nothing for %g s: answer ended", self._send_seconds)
            self._reset(event.stream_id, ErrorCodes.CANCEL)
            await self._drop(event.stream_id)
            await self._close_stream(event.stream_id)
            await self._flush()

    async def _send_end(self, stream_id: int) -> None:
        """Wait until an answer has been sent completely."""
        buffer = self.stream_buffers.get(stream_id)
        if isinstance(buffer, _Buffer):
            buffer.set_complete()
            self.priority.unblock(stream_id)
            await self.has_data.set()
            await buffer.has_left.wait()

    async def _end_stream(self, stream_id: int) -> None:
        """Note that the application has ended; an incomplete answer is aborted."""
        buffer = self.stream_buffers.get(stream_id)
        if isinstance(buffer, _Buffer) and not buffer.is_whole:
            self._reset(stream_id, ErrorCodes.INTERNAL_ERROR)
            await self._drop(stream_id)
            await self._flush()
        await self._close_stream(stream_id)
        if not self.streams and (self._is_leaving or self.context.terminated.is_set()):
            await self.send(Closed())

    async def _send_data(self, stream_id: int) -> None:
        """Send a piece of an answer, as far as the client's window is open."""
        buffer = self.stream_buffers[stream_id]
        try:
            window = self.connection.local_flow_control_window(stream_id)
            size = min(window, self.connection.max_outbound_frame_size)
            data = await buffer.pop(max(0, size))
            is_whole = buffer.complete
            if data or is_whole:
                self.connection.send_data(stream_id, data, end_stream=is_whole)
            else:
                self.priority.block(stream_id)
        except h2.exceptions.ProtocolError:
            is_whole = True
        await self._flush()
        if is_whole:
            await self._drop(stream_id)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        try:
            self.connection.reset_stream(stream_id, error_code=code)
        except h2.exceptions.ProtocolError:
            # It has ended already.
            return

    async def _drop(self, stream_id: int) -> None:
        """Discard what waits to be sent on a stream."""
        buffer = self.stream_buffers.pop(stream_id, None)
        if buffer is not None:
            self.priority.remove_stream(stream_id)
            await buffer.close()


def _read(headers: list[tuple[bytes, bytes]]) -> tuple[str, bytes] | None:
    """The method and the path of a request; None if it is malformed."""
    found = dict(headers)
    method, path = found.get(b":method", _NOTHING), found.get(b":path", _NOTHING)
    is_websocket = found.get(b":protocol") == b"websocket"
    if not (path and path.isascii() and method.isascii()):
        return None
    if (method.upper() == b"CONNECT") != is_websocket:
        return None
    return method.decode().upper(), path
