"""An HTTP server that does exactly what a test says, also what no real one would do."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trimcp.protocol.http import encode_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

STATELESS = "2026-07-28"
HANDSHAKE = "2025-11-25"

#: Seconds within which everything happens; some tests have a clock that jumps.
SOON = 600.0

JSON_HEADERS = {"content-type": "application/json"}
SSE_HEADERS = {"content-type": "text/event-stream"}


@attrs.define
class Asked:
    """One HTTP request, and the way to answer it.

    Attributes:
        verb: GET, POST or DELETE.
        path: The request's target.
        headers: By their names in lower case.
        body: The message that was posted, if one was.
        left: Set when the client has closed the connection.
    """

    verb: str
    path: str
    headers: dict[str, str]
    body: Any
    _stream: trio.abc.Stream
    is_answered: bool = False
    is_closed: bool = False

    @property
    def method(self) -> str:
        """The method of the message, or the verb."""
        return str(self.body.get("method", "answer")) if self.body else self.verb

    async def send(self, data: bytes) -> None:
        self.is_answered = True
        await self._stream.send_all(data)

    async def head(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def plain(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.head(status, {**named, "content-length": str(len(body))})
        await self.send(body)

    async def json(self, message: Any, status: int = 200, **headers: str) -> None:
        """One JSON object."""
        body = json.dumps(message).encode()
        await self.plain(status, body, **{"content_type": "application/json", **headers})

    async def result(self, result: dict[str, Any], **headers: str) -> None:
        """A successful answer."""
        await self.json({"jsonrpc": "2.0", "id": self.body["id"], "result": result}, **headers)

    async def error(self, code: int, message: str = "no", status: int = 200, **more: Any) -> None:
        """An error answer."""
        error = {"code": code, "message": message, **more}
        await self.json({"jsonrpc": "2.0", "id": self.body["id"], "error": error}, status)

    async def begin(self, **headers: str) -> None:
        """Begin a stream of events, which ends with the connection."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.head(200, {**SSE_HEADERS, **named, "connection": "close"})

    async def event(self, message: Any, **fields: Any) -> None:
        """One event of a stream."""
        await self.send(encode_event(json.dumps(message).encode(), **fields))

    async def event_result(self, result: dict[str, Any], **fields: Any) -> None:
        """The event that answers the request."""
        message = {"jsonrpc": "2.0", "id": self.body["id"], "result": result}
        await self.event(message, **fields)

    async def cut(self) -> None:
        """Close the connection."""
        self.is_answered = self.is_closed = True
        await self._stream.aclose()

    async def wait_left(self) -> None:
        """Wait until the client has closed the connection."""
        self.is_answered = self.is_closed = True
        with suppress(trio.BrokenResourceError):
            assert await self._stream.receive_some(1) == b""


@attrs.define
class Site:
    """What happened at the server.

    Attributes:
        url: Where it is.
        requests: Every HTTP request, in order.
    """

    url: str
    requests: list[Asked] = attrs.field(factory=list)

    @property
    def methods(self) -> list[str]:
        return [each.method for each in self.requests]

    def of(self, method: str) -> list[Asked]:
        """The requests of a method."""
        return [each for each in self.requests if each.method == method]


@asynccontextmanager
async def site(
    script: Callable[[Asked], Awaitable[None]], *, within: float = SOON
) -> AsyncIterator[Site]:
    """Serve a script on the loopback: it is run for each HTTP request."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    served = Site(f"http://127.0.0.1:{port}/mcp")

    async def connection(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                while (asked := await read_request(stream)) is not None:
                    served.requests.append(asked)
                    await script(asked)
                    if asked.is_closed or not asked.is_answered:
                        return
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, connection, listeners)
        try:
            with trio.fail_after(within):
                yield served
        finally:
            nursery.cancel_scope.cancel()


async def read_request(stream: trio.abc.Stream) -> Asked | None:
    """The next request of a connection, whole; None when the client has closed it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await stream.receive_some()
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    verb, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    while len(body) < int(headers.get("content-length", 0)):
        body += await stream.receive_some()
    return Asked(verb, path, headers, json.loads(body) if body else None, stream)


# -- a well-behaved server, to be changed where a test wants it otherwise -------------------------

DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": [STATELESS],
    "capabilities": {"tools": {}, "resources": {}},
    "ttlMs": 0,
    "cacheScope": "private",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "scripted", "version": "1"}},
}
INITIALIZED = {
    "protocolVersion": HANDSHAKE,
    "capabilities": {"tools": {}, "logging": {}, "resources": {"subscribe": True}},
    "serverInfo": {"name": "scripted", "version": "1"},
}

Script = "Callable[[Asked], Awaitable[None]]"


def said(text: str, **more: Any) -> dict[str, Any]:
    """The result of a tool."""
    content = [{"type": "text", "text": text}]
    return {"resultType": "complete", "content": content, **more}


def listed(*tools: dict[str, Any]) -> dict[str, Any]:
    """The result of tools/list."""
    return {"resultType": "complete", "tools": list(tools), "ttlMs": 0, "cacheScope": "private"}


def stateless(script: Callable[[Asked], Awaitable[None]]) -> Callable[[Asked], Awaitable[None]]:
    """A script of a server of the stateless era; `server/discover` needs no script."""

    async def serve(asked: Asked) -> None:
        if asked.method == "server/discover":
            await asked.result(DISCOVERED)
        else:
            await script(asked)

    return serve


def sessions(
    script: Callable[[Asked], Awaitable[None]],
    *,
    revision: str = HANDSHAKE,
    ids: tuple[str, ...] = ("s-1", "s-2", "s-3"),
) -> Callable[[Asked], Awaitable[None]]:
    """A script of a server of the handshake era; what opens and closes sessions needs none."""
    fresh = iter(ids)

    async def serve(asked: Asked) -> None:
        if asked.method == "server/discover":
            await asked.plain(400, b"what?")
        elif asked.method == "initialize":
            identity = next(fresh, None)
            headers = {} if identity is None else {"mcp_session_id": identity}
            await asked.result({**INITIALIZED, "protocolVersion": revision}, **headers)
        elif asked.method.startswith("notifications/"):
            await asked.plain(202)
        elif asked.verb == "DELETE":
            await asked.plain(204)
        else:
            await script(asked)
            if not asked.is_answered and asked.verb == "GET":
                await asked.plain(405)

    return serve
