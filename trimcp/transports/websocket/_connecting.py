"""The client's side of a WebSocket handshake."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from trimcp.errors import HandshakeFailed

from ._connection import NORMAL_CLOSURE, SUBPROTOCOL, MessageWebSocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from trimcp.limits import Limits

    from .._channel import MessageChannel
    from ._address import WebSocketAddress

__all__ = ["connect_websocket"]

#: Seconds for closing a stream, which normally takes no time.
_CLOSE_SECONDS: Final = 1.0


@asynccontextmanager
async def connect_websocket(
    address: WebSocketAddress,
    limits: Limits,
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    ssl_context: ssl.SSLContext | None = None,
    timeout: float,
    met: Callable[[Mapping[str, str]], None] | None = None,
) -> AsyncIterator[MessageChannel]:
    """Open the client's end of a WebSocket.

    Args:
        address: The server's address.
        limits: See `MessageWebSocket`.
        headers: Sent with the handshake.
        ssl_context: For `wss`; by default Python's default context.
        timeout: Seconds for the connection, and again for the handshake.
        met: Gets the headers with which the server accepted, by their names in lower case.

    Raises:
        OSError: The server cannot be reached.
        HandshakeFailed: The handshake failed.
    """
    try:
        with trio.fail_after(timeout):
            stream = await _connect(address, ssl_context)
    except trio.TooSlowError:
        raise HandshakeFailed(f"no connection within {timeout:g} s") from None
    except trio.BrokenResourceError as error:
        raise HandshakeFailed(f"no TLS connection: {error.__cause__}") from error.__cause__
    connection = MessageWebSocket(
        stream,
        limits,
        patience=timeout,
        peer=address.url,
        host=address.host_header,
        path=address.resource,
        client_subprotocols=[SUBPROTOCOL],
        client_extra_headers=list(headers),
    )
    async with connection.opened(connection._open_handshake.wait, NORMAL_CLOSURE) as channel:
        if met is not None:
            answered = connection.handshake_headers
            met({name.decode("latin-1"): value.decode("latin-1") for name, value in answered})
        yield channel


async def _connect(
    address: WebSocketAddress, ssl_context: ssl.SSLContext | None
) -> trio.abc.Stream:
    stream = await trio.open_tcp_stream(address.host, address.port)
    if not address.is_secure:
        return stream
    secure = trio.SSLStream(
        stream,
        ssl_context or ssl.create_default_context(),
        server_hostname=address.host,
        https_compatible=True,
    )
    try:
        await secure.do_handshake()
    except BaseException:
        with trio.CancelScope(shield=True, relative_deadline=_CLOSE_SECONDS):
            await trio.aclose_forcefully(stream)
        raise
    return secure
