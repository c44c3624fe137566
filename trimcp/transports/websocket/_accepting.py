"""The server's side of a WebSocket handshake."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs
import trio
from wsproto.utilities import generate_accept_token

from trimcp.errors import HandshakeFailed
from trimcp.protocol.http import has_websocket_key

from ._connection import GOING_AWAY, SUBPROTOCOL, MessageWebSocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from trio_websocket import WebSocketRequest

    from trimcp.limits import Limits

    from .._budget import Budget
    from .._channel import MessageChannel

__all__ = ["Refusal", "Upgrade", "accept_websocket", "answer_websocket"]


#: Seconds for closing a stream, which normally takes no time.
_CLOSE_SECONDS: Final = 1.0

#: How it shows that a client is gone, or does not read.
_UNREAD: Final = (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.frozen
class Upgrade:
    """A client's request to open a WebSocket.

    Attributes:
        path: What it asks for, without the query.
        query: What stands after the question mark.
        headers: The headers, their names in lower case.
        host: Its `Host` header.
        origins: Its `Origin` headers; a browser sends one, other programs none.
        subprotocols: The subprotocols that it offers.
    """

    path: str
    query: str = attrs.field(repr=False)
    headers: Sequence[tuple[bytes, bytes]] = attrs.field(repr=False)
    host: str
    origins: Sequence[str]
    subprotocols: Sequence[str] = attrs.field(repr=False)


@attrs.frozen
class Refusal:
    """Why a handshake is refused.

    Attributes:
        status: The HTTP status.
        reason: One sentence for the client.
        headers: Further headers of the answer.
    """

    status: int
    reason: str
    headers: Mapping[str, str] = attrs.field(factory=dict)


_KEYLESS: Final = Refusal(400, "one Sec-WebSocket-Key of 16 bytes in base64 is needed")


@asynccontextmanager
async def accept_websocket(
    stream: trio.abc.Stream,
    limits: Limits,
    judge: Callable[[Upgrade], Awaitable[Refusal | None]],
    *,
    peer: str,
    budget: Budget | None = None,
) -> AsyncIterator[MessageChannel]:
    """Open the server's end of a WebSocket over a stream, which is closed at the end.

    Args:
        stream: A connection on which nothing has been read yet.
        limits: See `MessageWebSocket`; the handshake gets `header_seconds`.
        judge: Returns why the client is refused, or None.
        peer: A name for logs.
        budget: See `open_stream_channel`.

    Raises:
        HandshakeFailed: There was no handshake, or it was refused.
    """
    connection = MessageWebSocket(
        stream, limits, patience=limits.header_seconds, peer=peer, budget=budget
    )

    async def shake_hands() -> None:
        request = await connection._get_request()
        is_keyed = has_websocket_key(request.headers)
        refusal = await judge(_upgrade(request)) if is_keyed else _KEYLESS
        if refusal is not None:
            await request.reject(
                refusal.status,
                extra_headers=[
                    (b"connection", b"close"),
                    (b"content-type", b"text/plain"),
                    *((name.encode(), text.encode()) for name, text in refusal.headers.items()),
                ],
                body=f"{refusal.reason}\n".encode(),
            )
            raise HandshakeFailed(f"refused: {refusal.reason}", refusal.status)
        is_asked = bool(request.proposed_subprotocols)
        await request.accept(subprotocol=SUBPROTOCOL if is_asked else None)

    async with connection.opened(shake_hands, GOING_AWAY) as channel:
        yield channel


@asynccontextmanager
async def answer_websocket(
    stream: trio.abc.Stream,
    limits: Limits,
    key: bytes,
    subprotocol: str | None,
    *,
    rest: bytes,
    peer: str,
    budget: Budget | None = None,
) -> AsyncIterator[MessageChannel]:
    """As `accept_websocket`, where somebody else has read the handshake and judged it.

    Args:
        stream: The connection, on which the handshake is answered first.
        limits: See `accept_websocket`.
        key: The key of the handshake.
        subprotocol: The one that is accepted, if any.
        rest: What was received after the handshake.
        peer: See `accept_websocket`.
        budget: See `accept_websocket`.

    Raises:
        HandshakeFailed: The client is gone, or does not read the answer.
    """
    connection = MessageWebSocket(
        stream, limits, patience=limits.header_seconds, peer=peer, budget=budget
    )
    connection.skip_handshake(rest)
    # Before anything of the rest is read, whose answers have to come later.
    await _answer(stream, _switching(key, subprotocol), limits.header_seconds)
    async with connection.opened(trio.lowlevel.checkpoint, GOING_AWAY) as channel:
        yield channel


async def _answer(stream: trio.abc.Stream, answer: bytes, seconds: float) -> None:
    """Answer a handshake, or close the stream. Raises HandshakeFailed."""
    try:
        try:
            with trio.fail_after(seconds):
                await stream.send_all(answer)
        except _UNREAD as error:
            raise HandshakeFailed("the client does not read the answer to its handshake") from error
    except BaseException:
        with trio.CancelScope(shield=True, relative_deadline=_CLOSE_SECONDS):
            await trio.aclose_forcefully(stream)
        raise


def _switching(key: bytes, subprotocol: str | None) -> bytes:
    """The answer to a handshake that is accepted.

    Specification: RFC 6455, 4.2.2.
    """
    token = generate_accept_token(key).decode()
    chosen = "" if subprotocol is None else f"sec-websocket-protocol: {subprotocol}\r\n"
    return (
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        f"sec-websocket-accept: {token}\r\n{chosen}\r\n"
    ).encode()


def _upgrade(request: WebSocketRequest) -> Upgrade:
    path, _, query = request.path.partition("?")
    return Upgrade(
        path=path,
        query=query,
        headers=request.headers,
        host=request._event.host,
        origins=[value.decode("latin-1") for name, value in request.headers if name == b"origin"],
        subprotocols=request.proposed_subprotocols,
    )
