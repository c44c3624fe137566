"""h2's connection, changed so that an error of one stream only ends that stream.

h2 ends the whole connection for a malformed request, for one stream too many and for a malformed
WINDOW_UPDATE or PRIORITY frame. RFC 9113 makes all of these stream errors (5.1.2, 5.3, 6.9, 8.1.1):
here the stream is reset. Its header block is decoded first, since the compression state belongs to
the connection; a block that cannot be decoded ends the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h2.connection
import h2.events
import h2.exceptions
import h2.frame_buffer
from h2.errors import ErrorCodes
from h2.stream import StreamClosedBy
from hpack import HPACKError
from hyperframe.frame import PriorityFrame, RstStreamFrame, WindowUpdateFrame

if TYPE_CHECKING:
    from h2.config import H2Configuration
    from h2.settings import Settings
    from hyperframe.frame import DataFrame, Frame, HeadersFrame

__all__ = ["StreamwiseConnection"]

_FRAME_HEADER: Final = 9
_EVERY_BIT_BUT_THE_RESERVED: Final = 0x7FFFFFFF

#: The maximum size of a decoded header block. A block over the announced limit resets its stream; a
#: block over this size ends the connection, since a small block can decode to gigabytes.
_DECODED_BYTES: Final = 256 * 1024

#: Bytes that a header field counts in addition to its name and value (RFC 9113, 6.5.2).
_FIELD_BYTES: Final = 32

_Outcome = tuple[list["Frame"], list[h2.events.Event]]


class _Frames(h2.frame_buffer.FrameBuffer):
    """The frames of a connection: PRIORITY frames are dropped, a WINDOW_UPDATE of 0 is accepted."""

    def __next__(self) -> Frame:
        while not self._headers_buffer and len(self._data) >= _FRAME_HEADER:
            size = int.from_bytes(self._data[:3], "big")
            id = int.from_bytes(self._data[5:9], "big") & _EVERY_BIT_BUT_THE_RESERVED
            end = _FRAME_HEADER + size
            if not id or size > self.max_frame_size or len(self._data) < end:
                break
            kind, body = self._data[3], self._data[_FRAME_HEADER:end]
            if kind == PriorityFrame.type:
                # Priorities are deprecated (RFC 9113, 5.3), also malformed ones.
                del self._data[:end]
                continue
            if kind == WindowUpdateFrame.type and body == bytes(4):
                del self._data[:end]
                return WindowUpdateFrame(id)
            break
        return super().__next__()


class StreamwiseConnection(h2.connection.H2Connection):
    """The server's side of an HTTP/2 connection.

    The caller gets a `StreamReset` event for a stream that is reset here.

    Args:
        config: h2's configuration.
        settings: The settings that are announced to the client.
    """

    def __init__(self, config: H2Configuration, settings: Settings) -> None:
        super().__init__(config)
        self.local_settings = settings
        self.incoming_buffer = _Frames(server=True)
        self.decoder.max_header_list_size = _DECODED_BYTES

    def _receive_headers_frame(self, frame: HeadersFrame) -> _Outcome:
        id = frame.stream_id
        frame.flags.discard("PRIORITY")
        stream = self.streams.get(id)
        if stream is not None and stream.closed:
            return super()._receive_headers_frame(frame)
        try:
            frames, events = super()._receive_headers_frame(frame)
        except h2.exceptions.TooManyStreamsError:
            return self._refuse(frame)
        except h2.exceptions.ProtocolError as error:
            if id not in self.streams or isinstance(error.__cause__, HPACKError):
                raise
            return self._reset(id, error.error_code)
        limit = self.local_settings.max_header_list_size
        if limit is not None and _size(events) > limit:
            return self._reset(id, ErrorCodes.ENHANCE_YOUR_CALM)
        return frames, events

    def _refuse(self, frame: HeadersFrame) -> _Outcome:
        """Refuse a stream above the limit; the client may try again (RFC 9113, 8.7)."""
        id = frame.stream_id
        if not id % 2 or id <= self.highest_inbound_stream_id:
            raise h2.exceptions.ProtocolError(f"stream {id} cannot be opened")
        h2.connection._decode_headers(self.decoder, frame.data)
        self.highest_inbound_stream_id = id
        self._closed_streams[id] = StreamClosedBy.SEND_RST_STREAM
        return [RstStreamFrame(id, error_code=ErrorCodes.REFUSED_STREAM)], []

    def _receive_data_frame(self, frame: DataFrame) -> _Outcome:
        try:
            return super()._receive_data_frame(frame)
        except h2.exceptions.InvalidBodyLengthError as error:
            # Its bytes were taken from the connection's window, which other streams need.
            size = frame.flow_controlled_length
            increment = self._inbound_flow_control_window_manager.process_bytes(size)
            frames, events = self._reset(frame.stream_id, error.error_code)
            if increment:
                frames.append(WindowUpdateFrame(0, window_increment=increment))
            return frames, events

    def _receive_window_update_frame(self, frame: WindowUpdateFrame) -> _Outcome:
        stream = self.streams.get(frame.stream_id)
        if frame.window_increment or stream is None or stream.closed:
            return super()._receive_window_update_frame(frame)
        return self._reset(frame.stream_id, ErrorCodes.PROTOCOL_ERROR)

    def _reset(self, id: int, code: ErrorCodes | int) -> _Outcome:
        """A stream error."""
        frames = self.streams[id].reset_stream(code)
        event = h2.events.StreamReset(stream_id=id)
        event.error_code = code
        event.remote_reset = False
        return frames, [event]


def _size(events: list[h2.events.Event]) -> int:
    """The size of the received header block, as the limit counts it."""
    headers = getattr(events[0], "headers", None) or ()
    return sum(len(name) + len(value) + _FIELD_BYTES for name, value in headers)
