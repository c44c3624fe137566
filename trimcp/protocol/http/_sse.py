"""Server-sent events, to bytes and from bytes.

Specification: HTML Living Standard, Server-sent events; 2025-11-25, Streamable HTTP.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

__all__ = ["SSEDecoder", "ServerSentEvent", "encode_comment", "encode_event"]

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = b"\xef\xbb\xbf"

#: How many bytes are kept of an event that is longer than the limit.
_HEAD: Final = 256

#: The longest known field name, with its colon and space, and a BOM before it.
_FIELD_START: Final = 16

#: The longest `retry`, in milliseconds: about 30 years. A longer one is reduced to it.
_LONGEST_RETRY: Final = 10**12


class ServerSentEvent(msgspec.Struct, gc=False, frozen=True):
    """An event that arrived.

    Attributes:
        data: Its data; only the beginning if it is too long.
        event: Its type, `message` by default.
        id: The stream's last event id, after this event.
        size: The number of bytes of data that arrived.
    """

    data: bytes
    event: str
    id: str
    size: int

    @property
    def is_oversized(self) -> bool:
        """Whether data beyond the limit was discarded."""
        return self.size > len(self.data)


def encode_event(
    data: bytes | None = None,
    *,
    event: str | None = None,
    id: str | None = None,
    retry: int | None = None,
) -> bytes:
    """One event.

    Args:
        data: Its data. With `b""` the reader dispatches no event, but it takes the id.
        event: Its type; a reader uses `message` if it is absent.
        id: The event id from which a reader can resume.
        retry: Milliseconds that a reader should wait before it reconnects.

    Raises:
        ValueError: An id or type holds a character that would end it.
    """
    lines: list[bytes] = []
    for name, text in ((b"event", event), (b"id", id)):
        if text is None:
            continue
        if any(character in text for character in "\r\n\0"):
            raise ValueError(f"{text!r} does not fit on one line")
        lines.append(name + b": " + text.encode())
    if retry is not None:
        lines.append(b"retry: %d" % retry)
    if data is not None:
        lines += [b"data: " + line for line in _LINE_END.split(data)]
    return b"\n".join([*lines, b"", b""])


def encode_comment(text: str = "") -> bytes:
    """A comment, which every reader skips: it keeps a connection alive. Drops line ends."""
    return b":" + "".join(text.splitlines()).encode() + b"\n\n"


class SSEDecoder:
    """Splits a byte stream into events, regardless of where the received pieces end.

    Args:
        limit: The maximum data of one event that is kept, in bytes. Data beyond it is counted and
            discarded.

    Attributes:
        last_id: The id of the last complete event that had an id, even if it had no data.
        retry: Milliseconds to wait before reconnecting, if the stream has said so.
    """

    def __init__(self, limit: int) -> None:
        self.last_id = ""
        self.retry: int | None = None
        self._limit = limit
        self._line = bytearray()
        self._line_size = 0
        self._data = bytearray()
        self._size = -1
        self._event = ""
        self._id: str | None = None
        self._after_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take some bytes; return the events they complete."""
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                data = data[1:]
        self._after_cr = self._after_cr or data.endswith(b"\r")
        events: list[ServerSentEvent] = []
        *complete, rest = _LINE_END.split(data)
        for piece in complete:
            self._add(piece)
            self._end_line(events)
        self._add(rest)
        return events

    def _add(self, piece: bytes) -> None:
        """Keep a piece of a line, up to the longest line that can be valid."""
        room = self._limit + _FIELD_START - self._line_size
        self._line_size += len(piece)
        if piece and room > 0:
            self._line += piece[:room]

    def _end_line(self, events: list[ServerSentEvent]) -> None:
        line = bytes(self._line)
        size, self._line_size = self._line_size, 0
        self._line = bytearray()
        if self._at_start:
            self._at_start = False
            if line.startswith(_BOM):
                line, size = line[len(_BOM) :], size - len(_BOM)
        if line:
            self._on_field(line, size)
        else:
            self._dispatch(events)

    def _on_field(self, line: bytes, size: int) -> None:
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._on_data(value, len(value) + size - len(line))
        elif size > len(line):
            return  # no other field is that long and means something
        elif name == b"event":
            self._event = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit():
            # Python refuses to parse numbers of thousands of digits.
            digits = value.lstrip(b"0")[: len(str(_LONGEST_RETRY))]
            self.retry = min(int(digits or b"0"), _LONGEST_RETRY)

    def _on_data(self, value: bytes, size: int) -> None:
        is_first = self._size < 0
        self._size += 1 + size
        if self._size > self._limit:
            # Too long: from now on only the beginning matters.
            del self._data[_HEAD:]
            value = value[:_HEAD]
        if len(self._data) < _HEAD or self._size <= self._limit:
            self._data += value if is_first else b"\n" + value

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if self._id is not None:
            self.last_id = self._id
        data = bytes(self._data)
        if self._size > self._limit:
            data = data[: min(_HEAD, self._limit)]
        if self._size > 0:
            events.append(ServerSentEvent(data, self._event or "message", self.last_id, self._size))
        self._data = bytearray()
        self._size = -1
        self._event = ""
        self._id = None
