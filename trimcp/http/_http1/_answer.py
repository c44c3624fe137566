"""The bytes of an answer, from the events of an ASGI application.

Specification: ASGI 3.0, HTTP; RFC 9112.
"""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._heads import BadRequest, RequestHead

__all__ = ["Answer", "refusal_of"]

#: A whole block of headers: names are tokens, and no value has control characters.
_HEADERS: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")

#: Statuses of answers that end with their head, and have no length either.
_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304

_EMPTY: Final = ((b"content-length", b"0"),)

_LAST_CHUNK: Final = b"0\r\n\r\n"


class _Date:
    """The `Date` header of this second."""

    def __init__(self) -> None:
        self._second = 0
        self._header = b""

    def header(self) -> bytes:
        """The whole line."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._header = b"date: %s\r\n" % formatdate(second, usegmt=True).encode()
        return self._header


_date: Final = _Date()


class Answer:
    """The answer to one request. The head waits for the first piece of the body.

    Args:
        head: The request.

    Attributes:
        has_begun: Whether bytes were returned, so that its status cannot be changed any more.
        is_complete: Whether all of its bytes were returned.
        is_last: Whether the connection has to be closed after it.
    """

    __slots__ = (
        "_has_content",
        "_is_chunked",
        "_left",
        "_request",
        "_start",
        "has_begun",
        "is_complete",
        "is_last",
    )

    def __init__(self, head: RequestHead) -> None:
        self._request = head
        self._start: Mapping[str, Any] | None = None
        #: Bytes that are still to come, if the length was declared.
        self._left: int | None = None
        self._is_chunked = False
        self._has_content = True
        self.has_begun = False
        self.is_complete = False
        self.is_last = head.is_last

    def encode(self, event: Mapping[str, Any]) -> bytes:
        """The bytes that an event of the application completes.

        Raises:
            ValueError: ASGI or HTTP do not allow it, such as a line feed in a header, or a body
                that is not as long as it was declared.
        """
        kind = event["type"]
        if kind == "http.response.start":
            if self._start is not None:
                raise ValueError("the answer has begun already")
            if not 200 <= event["status"] <= 999:
                raise ValueError(f"not the status of an answer: {event['status']!r}")
            self._start = event
            return b""
        if kind != "http.response.body":
            raise ValueError(f"unknown ASGI event {kind!r}")
        if self._start is None:
            raise ValueError("an answer begins with http.response.start")
        more = bool(event.get("more_body", False))
        head = b"" if self.has_begun else self._head(self._start)
        body = self._body(event.get("body", b""), more=more)
        self.has_begun = True
        self.is_complete = not more
        return head + body

    def fail(self) -> bytes:
        """The answer for an application that has failed before anything of its own was returned."""
        self._start = self._left = None
        self.is_last = True
        self.encode({"type": "http.response.start", "status": 500, "headers": _EMPTY})
        return self.encode({"type": "http.response.body"})

    def _head(self, start: Mapping[str, Any]) -> bytes:
        status, headers = start["status"], start.get("headers", ())
        has_date = closes = False
        lines = []
        for name, value in headers:
            lower = name.lower()
            if lower == b"connection":
                closes = closes or b"close" in value.lower()
                continue
            if lower == b"transfer-encoding":
                # Decided here.
                continue
            if lower == b"content-length":
                if status == _NO_CONTENT:
                    continue
                self._left = _declared(value, self._left)
            elif lower == b"date":
                has_date = True
            lines.append(b"%s: %s\r\n" % (name, value))
        block = b"".join(lines)
        # A line feed in a value would make another header, which alone is none to complain of.
        if block.count(b"\n") != len(lines) or not _HEADERS.fullmatch(block):
            raise ValueError("a header of the answer has a name or a value that HTTP forbids")
        self.is_last = self.is_last or closes
        block += b"" if has_date else _date.header()
        return b"HTTP/1.1 %d \r\n%s%s\r\n" % (status, block, self._framing(status))

    def _framing(self, status: int) -> bytes:
        """The headers that say where the answer ends, and whether the connection goes on."""
        self._has_content = not (
            status in (_NO_CONTENT, _NOT_MODIFIED) or self._request.method == "HEAD"
        )
        is_old = self._request.version == "1.0"
        if self._has_content and self._left is None:
            self._is_chunked = not is_old
            self.is_last = self.is_last or is_old
        if self.is_last:
            connection = b"connection: close\r\n"
        else:
            connection = b"connection: keep-alive\r\n" if is_old else b""
        return b"transfer-encoding: chunked\r\n" + connection if self._is_chunked else connection

    def _body(self, data: bytes, *, more: bool) -> bytes:
        if not self._has_content:
            return b""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0 or (self._left > 0 and not more):
                raise ValueError("the body is not as long as its Content-Length says")
            return data
        if not self._is_chunked:
            return data
        chunk = b"%x\r\n%s\r\n" % (len(data), data) if data else b""
        return chunk if more else chunk + _LAST_CHUNK


def _declared(value: bytes, before: int | None) -> int:
    if before is not None or not value.isdigit():
        raise ValueError(f"not the length of an answer: {value!r}")
    return int(value)


def refusal_of(refusal: BadRequest) -> bytes:
    """The whole answer to something that is no request that could be served."""
    body = f"{refusal.reason}\n".encode()
    return (
        b"HTTP/1.1 %d \r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
        b"%sconnection: close\r\n\r\n%s"
    ) % (refusal.status, len(body), _date.header(), body)
