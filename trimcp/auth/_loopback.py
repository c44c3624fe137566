"""The page on the loopback to which an authorization server sends the user's browser back.

Specification: RFC 8252, section 7.3.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio

from trimcp._groups import unwrapping

from ._codes import CodeRefused, answer_params

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ._codes import Authorization

__all__ = ["ANYWHERE", "Catcher", "listen", "open_catcher"]

#: A redirect URI on a port that is still to be found.
ANYWHERE: Final = "http://127.0.0.1/callback"

#: Bytes of a request that are read, seconds for one, and connections at a time.
_MOST_BYTES: Final = 16 * 1024
_SECONDS: Final = 10.0
_MOST_CONNECTIONS: Final = 20

_REQUEST: Final = re.compile(rb"GET (/[\x21-\x7e]*) HTTP/1\.[01]\r\n")

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""

_HEADERS: Final = (
    "Content-Type: text/html; charset=utf-8\r\n"
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Connection: close\r\n"
)


class Catcher:
    """Waits for the answer to one authorization request.

    Attributes:
        redirect_uri: Where the answer must go.
    """

    def __init__(self, redirect_uri: str) -> None:
        self.redirect_uri = redirect_uri
        self._path = urlsplit(redirect_uri).path or "/"
        self._awaited: Authorization | None = None
        self._caught = trio.Event()
        self._outcome: str | CodeRefused = ""
        self._connections: dict[trio.CancelScope, None] = {}

    def expect(self, authorization: Authorization) -> None:
        """Take the answer to this request; those to others are refused, and do not count."""
        self._awaited = authorization

    async def code(self) -> str:
        """Wait for the code.

        Raises:
            CodeRefused: The answer brought none.
        """
        await self._caught.wait()
        if isinstance(self._outcome, CodeRefused):
            raise self._outcome
        return self._outcome

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one connection of a browser.

        Browsers open connections that they may not use, and so may anybody else on this machine:
        where there are too many the oldest is dropped, so that the answer always gets in.
        """
        with trio.move_on_after(_SECONDS) as life:
            self._make_room()
            self._connections[life] = None
            try:
                async with stream:
                    await self._answer(stream, await _head(stream))
            except trio.BrokenResourceError:
                return
            finally:
                self._connections.pop(life, None)

    def _make_room(self) -> None:
        while len(self._connections) >= _MOST_CONNECTIONS:
            oldest = next(iter(self._connections))
            del self._connections[oldest]
            oldest.cancel(reason="there are newer connections")

    async def _answer(self, stream: trio.SocketStream, head: bytes) -> None:
        request = _REQUEST.match(head)
        if request is None:
            await stream.send_all(_page("400 Bad Request", "This is no page."))
            return
        target = request[1].decode()
        if urlsplit(target).path != self._path:
            # Browsers ask for /favicon.ico, for example.
            await stream.send_all(_page("404 Not Found", "There is nothing here."))
            return
        status, text, outcome = self._judge(target)
        try:
            await stream.send_all(_page(status, text))
        finally:
            if outcome is not None:
                self._outcome = outcome
                self._caught.set()

    def _judge(self, target: str) -> tuple[str, str, str | CodeRefused | None]:
        """The status, what the user reads, and the outcome, if this is the answer awaited."""
        foreign = ("400 Bad Request", "This is not the answer to the login under way.", None)
        if self._awaited is None or self._caught.is_set():
            return foreign
        try:
            params = answer_params(target)
        except CodeRefused:
            return foreign
        if not self._awaited.is_answered_by(params):
            return foreign
        try:
            code = self._awaited.code_of(params)
        except CodeRefused as error:
            # What the answer says of it is not shown: it may be anybody's word.
            text = "The login has failed. You may close this window."
            return "400 Bad Request", text, error
        return (
            "200 OK",
            "The answer has arrived. You may close this window and go back to the program.",
            code,
        )


async def _head(stream: trio.SocketStream) -> bytes:
    """The head of a request, or its beginning if it is too long."""
    head = bytearray()
    while len(head) < _MOST_BYTES and (piece := await stream.receive_some(_MOST_BYTES)):
        head += piece
        if b"\r\n\r\n" in head[-len(piece) - 3 :]:
            break
    return bytes(head)


def _page(status: str, text: str) -> bytes:
    body = _PAGE.format(title="trimcp", text=text).encode()
    head = f"HTTP/1.1 {status}\r\n{_HEADERS}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def listen(redirect_uri: str) -> list[trio.SocketListener]:
    """Listen at a redirect URI; one without a port gets a port that is free.

    Raises:
        OSError: The port is in use.
    """
    parts = urlsplit(redirect_uri)
    return await trio.open_tcp_listeners(parts.port or 0, host=parts.hostname)


@asynccontextmanager
async def open_catcher(
    redirect_uri: str, listeners: list[trio.SocketListener]
) -> AsyncIterator[Catcher]:
    """Serve the page of a redirect URI for the duration.

    Args:
        redirect_uri: What was listened at.
        listeners: What that gave; closed at the end.
    """
    parts = urlsplit(redirect_uri)
    if parts.port is None:
        port = listeners[0].socket.getsockname()[1]
        redirect_uri = f"{parts.scheme}://{parts.netloc}:{port}{parts.path}"
    catcher = Catcher(redirect_uri)
    with unwrapping():
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, catcher.serve, listeners)
            yield catcher
            nursery.cancel_scope.cancel(reason="the answer has come")
