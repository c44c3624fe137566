"""Requests read by h11, where httptools is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h11

from ._heads import BadRequest, check_lines, read_head, too_large
from ._parsing import END

if TYPE_CHECKING:
    from ._parsing import Event

__all__ = ["H11Parser"]

_END_OF_HEAD: Final = b"\r\n\r\n"


class H11Parser:
    """See `Parser`.

    h11 is given whole heads, each to a connection of its own, since it would accept lines that end
    with a line feed alone, and folded ones.

    Args:
        header_bytes: The most bytes that a head may have; as many may stand between two pieces of a
            body, as extensions of a chunk or as trailers.
    """

    def __init__(self, header_bytes: int) -> None:
        self.rest = b""
        self._limit = header_bytes
        #: The beginning of a head.
        self._begun = bytearray()
        #: Reads the request whose head is complete.
        self._connection: h11.Connection | None = None
        self._is_last = False
        self._is_over = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        try:
            while data and not self._is_over:
                data = self._read(data, events)
        except BadRequest as refusal:
            self._is_over = True
            events.append(refusal)
        except h11.RemoteProtocolError as error:
            self._is_over = True
            events.append(self._refusal_of(error))
        return events

    def _refusal_of(self, error: h11.RemoteProtocolError) -> BadRequest:
        status = error.error_status_hint
        if status == 431:
            return too_large(self._limit)
        return BadRequest(501 if status == 501 else 400, f"this is not HTTP/1.1: {error}")

    def _read(self, data: bytes, events: list[Event]) -> bytes:
        """Read until the next end of a head or request. Returns what follows."""
        if self._connection is None:
            return self._read_head(data, events)
        return self._read_body(self._connection, data, events)

    def _read_head(self, data: bytes, events: list[Event]) -> bytes:
        if not self._begun:
            # Empty lines before a request are skipped (RFC 9112, 2.2).
            data = data.lstrip(b"\r\n")
        seen = max(0, len(self._begun) - len(_END_OF_HEAD) + 1)
        self._begun += data
        end = self._begun.find(_END_OF_HEAD, seen)
        size = end + len(_END_OF_HEAD) if end >= 0 else len(self._begun)
        if size > self._limit:
            raise too_large(self._limit)
        check_lines(self._begun, seen, size)
        if end < 0:
            return b""
        whole, rest = bytes(self._begun[:size]), bytes(self._begun[size:])
        self._begun.clear()
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limit)
        connection.receive_data(whole)
        request = connection.next_event()
        assert isinstance(request, h11.Request), request
        version = request.http_version.decode()
        # As they were sent: h11 makes one length of several.
        headers = [_header(line) for line in whole.strip(b"\r\n").split(b"\r\n")[1:]]
        head = read_head(request.method, request.target, version, headers, self._limit)
        events.append(head)
        self._is_last = head.is_last
        if head.is_websocket:
            self.rest = rest
            self._is_over = True
            return b""
        self._connection = connection
        # A request without a body is complete.
        return self._read_body(connection, b"", events) + rest

    def _read_body(self, connection: h11.Connection, data: bytes, events: list[Event]) -> bytes:
        if data:
            connection.receive_data(data)
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                events.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                events.append(END)
                self._connection = None
                self._is_over = self._is_last
                return connection.trailing_data[0]
            else:
                assert event is h11.NEED_DATA, event
                return b""


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")
