"""WebSocket under an ASGI server.

Our own hosting offers the connection below a handshake over HTTP/1.1, and then
`trimcp.transports.websocket` carries the frames. Elsewhere the ASGI server handles frames, pings
and close codes: here it is not known whether a ping was answered, and what an application sends to
a client that is gone is lost without an error. So the reader always waits for events, and when the
client is gone, everything is cancelled at once.

Specification: 2026-07-28, Custom Transports; ASGI 3.0, WebSocket.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import trio

from trimcp._groups import unwrapping
from trimcp.errors import HandshakeFailed, NotServing, WebSocketClosed
from trimcp.protocol import callers_of
from trimcp.protocol.http import fold_headers
from trimcp.runtime import NETWORK_GRACE, Denied, HttpRequest
from trimcp.transports import Incoming, MessageChannel, Outbox, Oversized, write_out

from ._admitting import admitted
from ._takeover import takeover_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from trimcp.limits import Limits
    from trimcp.protocol import Callers
    from trimcp.runtime import Serving
    from trimcp.transports import Budget

    from ._asgi import Receive, Scope, Send

__all__ = ["refuse_websocket", "websocket_endpoint"]

logger = logging.getLogger("trimcp.http")

SUBPROTOCOL: Final = "mcp"

#: Seconds for sending the close code.
_CLOSE_SECONDS: Final = 1.0

_GOOD_ENDS: Final = (1000, 1001, 1005)
_GOING_AWAY: Final = 1001
_UNSUPPORTED_DATA: Final = 1003

#: Bytes kept of a message that is skipped.
_HEAD: Final = 256


async def websocket_endpoint(
    application: Serving,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    callers: Callers | None = None,
) -> None:
    """Serve one WebSocket of an ASGI server to its end.

    Args:
        application: The open application of a server.
        scope: The ASGI scope, of type `websocket`.
        receive: The ASGI callable.
        send: The ASGI callable.
        callers: Which clients may connect; by default those that use a loopback name, or the
            address at which the connection has arrived, and pages from there.

    Specification: 2026-07-28, Custom Transports.
    """
    if (await receive())["type"] != "websocket.connect":
        return
    refusal = _refusal(application, scope, callers or _default_callers(scope))
    if refusal is not None:
        await _refuse(scope, send, *refusal)
        return
    http = HttpRequest(fold_headers(scope["headers"]), scope)
    if application.authorization is not None:
        try:
            http = await admitted(application, application.authorization, http)
        except Denied as denied:
            await _refuse(scope, send, denied.status, denied.message, denied.headers)
            return
        except NotServing as error:
            await _refuse(scope, send, 503, str(error))
            return
        except ConnectionError:
            logger.debug("a client went away during its handshake")
            return
    try:
        async with await _accepted(application, scope, receive, send) as channel:
            await application.serve(channel, grace=NETWORK_GRACE, http=http)
    except NotServing:
        logger.debug("a connection arrived after the application was closed")
    except HandshakeFailed as failure:
        logger.debug("no connection: %s", failure)


def _default_callers(scope: Scope) -> Callers:
    server = scope.get("server")
    return callers_of([server[0]] if server else [], None, None)


def _refusal(application: Serving, scope: Scope, callers: Callers) -> tuple[int, str] | None:
    """Why the client is refused, as an HTTP status and a sentence."""
    hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
    host = hosts[0] if len(hosts) == 1 else ""
    refusal = application.refusal(callers, host, origins)
    if refusal is not None:
        return 403, refusal
    if scope.get("subprotocols") and SUBPROTOCOL not in scope["subprotocols"]:
        return 400, f"the only subprotocol is {SUBPROTOCOL!r}"
    limit = application.limits.connections
    if len(application.peers) >= limit:
        logger.warning("more than %d connections: one refused", limit)
        return 503, "too many connections"
    return (503, "the server is shutting down") if application.is_closing else None


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


async def refuse_websocket(
    scope: Scope, receive: Receive, send: Send, status: int, reason: str
) -> None:
    """Refuse one WebSocket of an ASGI server.

    Args:
        scope: The ASGI scope, of type `websocket`.
        receive: The ASGI callable.
        send: The ASGI callable.
        status: The HTTP status.
        reason: One sentence for the client.
    """
    if (await receive())["type"] == "websocket.connect":
        await _refuse(scope, send, status, reason)


async def _refuse(
    scope: Scope,
    send: Send,
    status: int,
    reason: str,
    more: Mapping[str, str] | None = None,
) -> None:
    """With that status where the server has the extension for it, elsewhere with 403."""
    logger.info("no connection: refused: %s", reason)
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    body = f"{reason}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    headers += [(name.encode(), value.encode()) for name, value in (more or {}).items()]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


# -- the channel ------------------------------------------------------------------------------


async def _accepted(
    application: Serving, scope: Scope, receive: Receive, send: Send
) -> AbstractAsyncContextManager[MessageChannel]:
    """Accept a handshake, or take the connection over to do so. Returns what opens the channel."""
    limits, budget = application.limits, application.budget
    subprotocol = SUBPROTOCOL if scope.get("subprotocols") else None
    takeover = takeover_of(scope, receive, send)
    if takeover is None:
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        return _open_channel(limits, receive, send, budget)
    from trimcp.transports.websocket import answer_websocket

    stream, rest = await takeover.take()
    return answer_websocket(
        stream, limits, takeover.key, subprotocol, rest=rest, peer="websocket", budget=budget
    )


@asynccontextmanager
async def _open_channel(
    limits: Limits, receive: Receive, send: Send, budget: Budget | None = None
) -> AsyncIterator[MessageChannel]:
    """The message channel of an accepted WebSocket, which is closed at the end."""
    feed, incoming = trio.open_memory_channel[list[Incoming]](1)
    channel = MessageChannel(incoming, Outbox(limits.outbox_bytes, budget), "websocket")
    is_gone = trio.Event()

    async def read_in() -> None:
        await _read_in(channel, feed, receive, limits.message_bytes)
        is_gone.set()

    async def deliver(batch: list[bytes]) -> None:
        for data in batch:
            if is_gone.is_set():
                raise trio.BrokenResourceError
            await send({"type": "websocket.send", "text": data.decode()})

    with unwrapping() as whole:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_in)
            nursery.start_soon(write_out, channel, deliver)
            try:
                with whole.block():
                    yield channel
            finally:
                # Shielded, as in `trimcp.transports.websocket`.
                with trio.CancelScope(shield=True, relative_deadline=_CLOSE_SECONDS):
                    await _send_close(channel, send)
                nursery.cancel_scope.cancel(reason="the connection was closed")


async def _read_in(
    channel: MessageChannel,
    feed: trio.MemorySendChannel[list[Incoming]],
    receive: Receive,
    limit: int,
) -> None:
    """The reader: pass on messages until the client is gone, or sends a binary message."""
    with feed, suppress(trio.BrokenResourceError):
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text")
            if text is None:
                channel.failure = WebSocketClosed(_UNSUPPORTED_DATA, "messages are text")
                return
            data = text.encode()
            is_short = len(data) <= limit
            await feed.send([data if is_short else Oversized(len(data), data[:_HEAD])])
        code = event.get("code") or 1005
        if code not in _GOOD_ENDS:
            channel.failure = WebSocketClosed(code, event.get("reason") or "")


async def _send_close(channel: MessageChannel, send: Send) -> None:
    """Close it, even if the client has closed it already, which is harmless."""
    failure = channel.failure
    is_refused = isinstance(failure, WebSocketClosed) and failure.code == _UNSUPPORTED_DATA
    code = _UNSUPPORTED_DATA if is_refused else _GOING_AWAY
    with suppress(OSError):
        await send({"type": "websocket.close", "code": code, "reason": channel.goodbye or ""})
