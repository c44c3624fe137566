"""Requests read by httptools, which is Node's llhttp."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import httptools

from ._heads import BadRequest, RequestHead, read_head, too_large
from ._parsing import END

if TYPE_CHECKING:
    from ._parsing import Event

__all__ = ["LlhttpParser"]

#: What a method is made of (RFC 9110, 5.6.2).
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class LlhttpParser:
    """See `Parser`.

    httptools calls the methods that begin with `on_`, and does not expect them to raise anything:
    a refusal is noted, and what follows it is ignored.

    Args:
        header_bytes: The most bytes that a head may have; as many may stand between two pieces of a
            body, as extensions of a chunk or as trailers.
    """

    def __init__(self, header_bytes: int) -> None:
        self.rest = b""
        self._limit = header_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._events: list[Event] = []
        #: Bytes that were read without anything to show for it.
        self._silent = 0
        self._has_advanced = False
        self._is_over = False
        self._head: RequestHead | None = None
        #: Whether the head that comes is our own.
        self._is_resuming = False
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> list[Event]:
        self._events = []
        while data and not self._is_over:
            data = self._feed(data)
        return self._events

    def _feed(self, data: bytes) -> bytes:
        """Read data; returns what has not been read, because llhttp expects another protocol."""
        self._has_advanced = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserInvalidMethodError:
            self._refuse(_without_method(data))
        except httptools.HttpParserError as error:
            self._refuse(BadRequest(400, f"this is not HTTP/1.1: {error}"))
        self._silent = 0 if self._has_advanced else self._silent + len(data)
        if self._silent > self._limit:
            self._refuse(too_large(self._limit))
        return b""

    def _ignore_upgrade(self, rest: bytes) -> bytes:
        """Go on with HTTP/1.1, unless a WebSocket begins. Returns what there is to read.

        llhttp counts even a declared body to the other protocol, so a new parser gets the part of
        the head that declares it.
        """
        head = self._head
        if self._is_over or head is None:
            self.rest = rest
            return b""
        self._parser = httptools.HttpRequestParser(self)
        length = b"content-length: %d" % (head.length or 0)
        if head.length is None:
            length = b"transfer-encoding: chunked"
        self._is_resuming = True
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n\r\n" % length)
        return rest

    def _refuse(self, refusal: BadRequest) -> None:
        if not self._is_over:
            self._is_over = True
            self._events.append(refusal)

    # -- what httptools calls -----------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        if self._head is None:
            self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which is dropped."""
        if self._head is None:
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Judge the head."""
        if self._is_resuming:
            self._is_resuming = False
            return
        if self._is_over:
            return
        self._has_advanced = True
        parser = self._parser
        given = (parser.get_method(), self._target, parser.get_http_version(), self._headers)
        self._target, self._headers = b"", []
        try:
            head = self._head = read_head(*given, self._limit)
        except BadRequest as refusal:
            self._refuse(refusal)
            return
        self._events.append(head)
        self._is_over = head.is_websocket

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._has_advanced = True
        if not self._is_over:
            self._events.append(data)

    def on_message_complete(self) -> None:
        """Note the end of the request."""
        self._has_advanced = True
        head = self._head
        if self._is_over or head is None or self._parser.should_upgrade():
            return
        self._events.append(END)
        self._is_over = head.is_last
        self._head = None


def _without_method(data: bytes) -> BadRequest:
    """The refusal of what does not begin with a method that HTTP knows."""
    word, _, _ = data.lstrip(b"\r\n").partition(b" ")
    if _TOKEN.fullmatch(word):
        return BadRequest(501, "there is no such method")
    return BadRequest(400, "this is not HTTP/1.1: it does not begin with a method")
