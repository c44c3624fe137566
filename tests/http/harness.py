"""Talking HTTP/1.1 to a served server, byte by byte where it matters."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import h11
import trio

from trimcp.protocol.http import ServerSentEvent, SSEDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from trimcp import Server

#: A bound after which a promise counts as broken; never what makes a test right.
PATIENCE: Final = 10.0

LATEST: Final = "2026-07-28"
META: Final = {
    "io.modelcontextprotocol/protocolVersion": LATEST,
    "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_NAMES: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

Message = dict[str, Any]


@asynccontextmanager
async def served(server: Server[Any], **options: Any) -> AsyncIterator[Web]:
    """A server on a port of its own, and a way to it."""
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(
            lambda task_status: server.serve_http(
                "127.0.0.1", 0, task_status=task_status, **options
            )
        )
        port = int(urls[0].rpartition(":")[2])
        with trio.fail_after(60):
            yield Web(port)
        nursery.cancel_scope.cancel()


def request(
    method: str, params: Mapping[str, Any] | None = None, *, id: Any = 1, **meta: Any
) -> Message:
    """A request of the stateless era."""
    wire = {**(params or {}), "_meta": {**META, **meta}}
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": wire}


def call(tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> Message:
    """`tools/call`."""
    return request("tools/call", {"name": tool, "arguments": dict(arguments or {})}, **more)


def mirrored(message: Message) -> dict[str, str]:
    """The headers that repeat what a stateless request says."""
    params = message.get("params", {})
    headers = {"mcp-protocol-version": LATEST, "mcp-method": message["method"]}
    if message["method"] in _NAMES:
        headers["mcp-name"] = params[_NAMES[message["method"]]]
    return headers


@attrs.frozen
class Reply:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> int:
        """The error code in the body."""
        code: int = self.message["error"]["code"]
        return code


class Opened:
    """An answer that is being read."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.status = 0
        self.headers: dict[str, str] = {}
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        self._decoder = SSEDecoder(1 << 24)
        self._events: list[ServerSentEvent] = []
        self._last_id = ""
        self.raw = b""

    async def send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        """Send the request."""
        head = h11.Request(method=method, target=path, headers=list(headers.items()))
        data = self._parser.send(head) or b""
        data += self._parser.send(h11.Data(data=body)) or b""
        data += self._parser.send(h11.EndOfMessage()) or b""
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def send_raw(self, data: bytes) -> None:
        """Send a GET or POST as it is written here; the answer is read as one to it."""
        self._parser.send(h11.Request(method="POST", target="/", headers=[("host", "x")]))
        self._parser.send(h11.EndOfMessage())
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def begin(self) -> None:
        """Read the head of the answer."""
        event = await self._next()
        assert isinstance(event, h11.Response), event
        self.status = event.status_code
        self.headers = {name.decode(): value.decode() for name, value in event.headers}

    async def _next(self) -> Any:
        with trio.fail_after(PATIENCE):
            while True:
                event = self._parser.next_event()
                if event is not h11.NEED_DATA:
                    return event
                self._parser.receive_data(await self.stream.receive_some())

    async def body(self) -> bytes:
        """The rest of the body."""
        body = b""
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            assert isinstance(event, h11.Data), event
            body += bytes(event.data)
        return body

    async def reply(self) -> Reply:
        """The whole answer."""
        return Reply(self.status, self.headers, await self.body())

    async def event(self) -> ServerSentEvent:
        """The next event. Raises EOFError at the end of the stream."""
        while not self._events:
            event = await self._next()
            if not isinstance(event, h11.Data):
                raise EOFError
            self.raw += bytes(event.data)
            self._events = self._decoder.feed(bytes(event.data))
        event = self._events.pop(0)
        self._last_id = event.id
        return event

    async def comment(self) -> None:
        """Wait for the next piece of the stream, which is a comment."""
        event = await self._next()
        assert isinstance(event, h11.Data)
        assert bytes(event.data) == b":\n\n", event

    async def first_id(self) -> str:
        """The id of the first event of the stream, of which no more is read."""
        event = await self._next()
        assert isinstance(event, h11.Data)
        lines = bytes(event.data).split(b"\n")
        return next(line for line in lines if line.startswith(b"id: "))[4:].decode()

    async def message(self) -> Any:
        """The message in the next event that has one."""
        return json.loads((await self.event()).data)

    @property
    def last_id(self) -> str:
        """Where the stream could be resumed after the events that were taken."""
        return self._last_id if self._events else self._decoder.last_id

    @property
    def retry(self) -> int | None:
        """The pause that the stream asked for."""
        return self._decoder.retry

    async def messages(self) -> list[Any]:
        """All messages until the end of the stream."""
        found = []
        while True:
            try:
                found.append(await self.message())
            except EOFError:
                return found


@attrs.frozen
class Web:
    """The way to a server."""

    port: int

    async def connect(self) -> trio.SocketStream:
        """A bare connection."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    def headers(self, **more: str | None) -> dict[str, str]:
        """What every client sends; underscores in names stand for dashes, None removes."""
        headers: dict[str, str | None] = {
            "host": f"127.0.0.1:{self.port}",
            "accept": "application/json, text/event-stream",
        }
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        return {name: value for name, value in headers.items() if value is not None}

    @asynccontextmanager
    async def open(
        self, method: str, path: str = "/mcp", body: bytes = b"", **headers: str | None
    ) -> AsyncIterator[Opened]:
        """Send any request and read the head of its answer."""
        stream = await self.connect()
        try:
            opened = Opened(stream)
            sent = self.headers(**headers)
            if body:
                sent["content-length"] = str(len(body))
            await opened.send(method, path, sent, body)
            await opened.begin()
            yield opened
        finally:
            await trio.aclose_forcefully(stream)

    @asynccontextmanager
    async def open_post(self, message: Any, **headers: str | None) -> AsyncIterator[Opened]:
        """Post a message; a stateless request with the headers that mirror it."""
        given: dict[str, str | None] = {"content_type": "application/json"}
        if isinstance(message, dict) and "_meta" in message.get("params", {}):
            given |= mirrored(message)  # type: ignore[arg-type]
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if "content-type" in given:
            given.pop("content_type")
        async with self.open("POST", body=body, **given) as opened:
            yield opened

    async def send(self, method: str, path: str = "/mcp", **headers: str | None) -> Reply:
        """Send a request without a body and read the whole answer."""
        async with self.open(method, path, **headers) as opened:
            return Reply(opened.status, opened.headers, await opened.body())

    async def post(self, message: Any, **headers: str | None) -> Reply:
        """Post a message and read the whole answer."""
        async with self.open_post(message, **headers) as opened:
            return Reply(opened.status, opened.headers, await opened.body())
