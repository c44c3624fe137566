"""hypercorn's HTTP/1.1, without upgrades to cleartext HTTP/2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h11
import hypercorn.protocol.h11
import trio
from hypercorn.events import RawData
from hypercorn.protocol.events import Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream

from ._guard_websocket import GuardedWebSocket

if TYPE_CHECKING:
    from hypercorn.protocol.events import Event

__all__ = ["GuardedHTTP1", "origin_form"]

_Headers = list[tuple[bytes, bytes]]

_SCHEMES: Final = (b"http", b"https")


def origin_form(target: bytes, headers: _Headers) -> tuple[bytes, _Headers]:
    """A request's target as a path, and its headers.

    A target may be a whole URI; then its authority replaces the `Host` header.

    Args:
        target: The request's target.
        headers: Its headers, their names in lower case.

    Specification: RFC 9112, 3.2.2.
    """
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in _SCHEMES:
        return target, headers
    end = min((at for at in map(rest.find, (b"/", b"?")) if at >= 0), default=len(rest))
    authority, path = rest[:end], rest[end:]
    others = [pair for pair in headers if pair[0] != b"host"]
    return path if path.startswith(b"/") else b"/" + path, [(b"host", authority), *others]


def _wants_websocket(request: h11.Request) -> bool:
    headers = dict(request.headers)
    options = {each.strip() for each in headers.get(b"connection", b"").lower().split(b",")}
    upgrade = headers.get(b"upgrade", b"").strip().lower()
    return request.method == b"GET" and upgrade == b"websocket" and b"upgrade" in options


class _Connection(h11.Connection):
    """h11's connection, where the application decides when `100 Continue` is sent."""

    they_are_waiting_for_100_continue = False


class GuardedHTTP1(hypercorn.protocol.h11.H11Protocol):
    """HTTP/1.1 of one connection.

    The head of an answer with a known length waits for the body, so that both are sent in one
    write. `100 Continue` is sent when the application asks for the body, so never before a refusal.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        size = self.config.h11_max_incomplete_size
        self.connection = _Connection(h11.SERVER, max_incomplete_event_size=size)
        self._head = b""
        self._is_last = False

    async def say_continue(self) -> None:
        """Send `100 Continue`, if the client waits for it."""
        connection = self.connection
        if isinstance(connection, _Connection) and connection.client_is_waiting_for_100_continue:
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))

    async def stream_send(self, event: Event) -> None:
        if self._is_last and isinstance(event, Response):
            event.headers.append((b"connection", b"close"))
        await super().stream_send(event)

    async def _send_h11_event(self, event: Any) -> None:
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response) and b"content-length" in dict(event.headers):
            self._head = data or b""
            return
        data = self._head + (data or b"")
        self._head = b""
        if data:
            await self.send(RawData(data))

    async def _check_protocol(self, event: h11.Request) -> None:
        if event.http_version != b"1.1" and event.http_version != b"1.0":
            raise trio.BrokenResourceError("HTTP/2 in cleartext is not supported")

    async def _create_stream(self, request: h11.Request) -> None:
        target, headers = origin_form(request.target, list(request.headers))
        names = {name for name, _ in headers}
        # A proxy before us may have read another length (RFC 9112, 6.1).
        self._is_last = {b"content-length", b"transfer-encoding"} <= names
        kind: type[HTTPStream | GuardedWebSocket] = HTTPStream
        if _wants_websocket(request):
            kind = GuardedWebSocket
            assert isinstance(self.connection, h11.Connection)
            self.connection = H11WSConnection(self.connection)
        self.stream = kind(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
