"""An HTTPS server that answers as it is told, and clients that answer themselves."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
import msgspec
import trio
import trustme

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

AUTHORITY = trustme.CA()


def trusting() -> ssl.SSLContext:
    """A context that trusts the servers of these tests."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@asynccontextmanager
async def https_server(answer: Callable[[bytes], bytes], name: str = "localhost") -> AsyncIterator:
    """Answer each request with bytes, and close the connection.

    Args:
        answer: Gets the head and body of a request as they came, and gives a whole answer.
        name: What its certificate says.

    Yields:
        The port.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(name).configure_cert(context)

    async def serve(stream: trio.SSLStream) -> None:
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                data += await stream.receive_some()
            head, _, body = data.partition(b"\r\n\r\n")
            length = int((head.lower().partition(b"content-length:")[2].split() or [b"0"])[0])
            while len(body) < length:
                body += await stream.receive_some()
            await stream.send_all(answer(head + b"\r\n\r\n" + body))
            await stream.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # refused the certificate, or left early

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listeners[0].transport_listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def plain(body: object, head: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    """An answer with a JSON body, to its end as HTTP/1.1 tells it."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return head + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(data) + data


def answering(
    answer: Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]],
) -> httpx2.AsyncClient:
    """A client without network, whose requests are answered by a function."""
    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
