"""How HTTP requests reach a server's application in the tests here: one engine for each way.

An engine is a context manager that serves a server and yields a `Web`. Tests take it as a
parameter, `every_engine`; another engine is one more entry of `STREAM_ENGINES`. None of them has
sockets, so the clock may jump.
"""

from __future__ import annotations

import itertools
import socket
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import attrs
import h11
import pytest
import trio
import trio.testing

from trimcp.http._hosting import host
from trimcp.http._http1._h11 import H11Parser
from trimcp.http._http1._llhttp import LlhttpParser
from trimcp.protocol import callers_of
from trimcp.protocol.http import SSEDecoder
from trimcp.server._accepting import serve_listeners
from trimcp.server._websocket import websocket_opener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from trimcp import Server
    from trimcp.http._http1 import MakeParser

#: The name under which the server is called.
HOST: Final = "localhost:8000"

HeaderList: TypeAlias = "Sequence[tuple[str, str]]"


@attrs.frozen
class Sent:
    """One HTTP request.

    Attributes:
        method: The HTTP method.
        path: The target.
        headers: As they are sent, `Host` included.
        pieces: The body as it arrives.
    """

    method: str
    path: str
    headers: HeaderList
    pieces: Sequence[bytes] = ()

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces)


@attrs.define
class Got:
    """What came back for one request.

    Attributes:
        status: 0 as long as there is no answer.
        headers: By their names in lower case.
        body: As much as there is of it.
        is_whole: Whether the answer is complete.
    """

    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    is_whole: bool = False

    @property
    def messages(self) -> list[bytes]:
        """The messages in the body, of an event stream or of a JSON answer."""
        if self.headers.get("content-type") == "text/event-stream":
            events = SSEDecoder(1 << 24).feed(self.body)
            return [event.data for event in events if event.data]
        return [self.body] if self.body else []


class Web(Protocol):
    """The way to a served server."""

    async def exchange(self, sent: Sent, got: Got) -> None:
        """Send a request and note the answer as it comes; cancelled, the client goes away."""


Engine: TypeAlias = "Callable[..., AbstractAsyncContextManager[Web]]"
Connect: TypeAlias = "Callable[[], trio.StapledStream[Any, Any]]"
StreamEngine: TypeAlias = "Callable[..., AbstractAsyncContextManager[Connect]]"


# -- the application alone --------------------------------------------------------------------


class _Direct:
    """Calls the ASGI application as the specification says, without a server."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def exchange(self, sent: Sent, got: Got) -> None:
        pieces = list(sent.pieces) or [b""]
        gone = trio.Event()

        async def receive() -> dict[str, Any]:
            await trio.lowlevel.checkpoint()
            if pieces:
                piece = pieces.pop(0)
                return {"type": "http.request", "body": piece, "more_body": bool(pieces)}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(event: dict[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            _note(got, event)

        async def leave() -> None:
            try:
                await trio.sleep_forever()
            finally:
                gone.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            # A client that goes away does not cancel the application, but tells it.
            with trio.CancelScope(shield=True, relative_deadline=100_000):
                await self._app(scope_of(sent), receive, send)
            nursery.cancel_scope.cancel()


def _note(got: Got, event: dict[str, Any]) -> None:
    assert not got.is_whole, "something follows the end of the answer"
    if event["type"] == "http.response.start":
        assert not got.status, "an answer begins twice"
        got.status = event["status"]
        got.headers = {name.decode(): value.decode() for name, value in event["headers"]}
    else:
        assert got.status
        got.body += event.get("body", b"")
        got.is_whole = not event.get("more_body", False)


def scope_of(sent: Sent) -> dict[str, Any]:
    """The ASGI scope of a request."""
    path, _, query = sent.path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": sent.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in sent.headers
        ],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


@asynccontextmanager
async def direct(server: Server[Any], **options: Any) -> AsyncIterator[Web]:
    """The ASGI application, called by the test."""
    app: Any = server.asgi_app(**options)
    async with server.application(signals=False):
        yield _Direct(app)


# -- HTTP/1.1 over a stream -------------------------------------------------------------------


class OverStreams:
    """Speaks HTTP/1.1 over streams, a new one for each request.

    Args:
        connect: Opens a stream to the server.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def exchange(self, sent: Sent, got: Got) -> None:
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        headers = [*sent.headers]
        if sent.pieces:
            headers.append(("content-length", str(len(sent.body))))
        head = h11.Request(method=sent.method, target=sent.path, headers=headers)
        stream = self._connect()
        try:
            await stream.send_all(parser.send(head) or b"")
            for piece in sent.pieces:
                await stream.send_all(parser.send(h11.Data(data=piece)) or b"")
            parser.send(h11.EndOfMessage())
            await _read(parser, stream, got)
        finally:
            await trio.aclose_forcefully(stream)


async def _read(parser: h11.Connection, stream: trio.abc.Stream, got: Got) -> None:
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            parser.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Response):
            got.status = event.status_code
            got.headers = {name.decode(): value.decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            got.body += bytes(event.data)
        else:
            assert isinstance(event, h11.EndOfMessage), event
            got.is_whole = True
            return


class _Socket:
    """What a server asks the socket of a connection."""

    family = socket.AF_INET

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 5

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 8000


class MemoryListener(trio.abc.Listener[Any]):
    """Accepts the connections that `connect` makes, all of them in memory."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Any](100)

    def connect(
        self, pair: Callable[[], Any] = trio.testing.memory_stream_pair
    ) -> trio.StapledStream[Any, Any]:
        """A connection to whoever listens, by default one that takes whatever is sent."""
        ours, theirs = pair()
        theirs.socket = _Socket()
        self._send.send_nowait(theirs)
        connection: trio.StapledStream[Any, Any] = ours
        return connection

    async def accept(self) -> Any:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self) -> None:
        self._receive.close()
        await trio.lowlevel.checkpoint()


def http_streams(
    make_parser: MakeParser, around: Callable[[Any], Any] = lambda app: app
) -> StreamEngine:
    """`serve_http` without its sockets, with that parser, and middleware around the application."""

    @asynccontextmanager
    async def opened(server: Server[Any], **options: Any) -> AsyncIterator[Connect]:
        listener = MemoryListener()
        app = around(server.asgi_app(**options))
        async with (
            server.joined(signals=False) as application,
            trio.open_nursery() as nursery,
        ):

            async def serve(*, task_status: trio.TaskStatus[None]) -> None:
                await host(
                    app,
                    [listener],  # type: ignore[list-item]
                    application.limits,
                    accepting=application.accepting,
                    started=task_status.started,
                    make_parser=make_parser,
                )

            await nursery.start(serve)
            yield listener.connect
            nursery.cancel_scope.cancel()

    return opened


def watching(app: Any) -> Any:
    """Middleware that sees all messages, so that hypercorn carries the frames of WebSockets."""

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        async def own_send(event: Any) -> None:
            await send(event)

        await app(scope, receive, own_send)

    return outer


@asynccontextmanager
async def own_websockets(server: Server[Any]) -> AsyncIterator[Connect]:
    """`serve_websocket` without its sockets."""
    listener = MemoryListener()
    async with (
        server.joined(signals=False) as application,
        trio.open_nursery() as nursery,
    ):
        opener = websocket_opener(application, "/ws", callers_of([], None, None))

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            await serve_listeners(application, [listener], opener, task_status.started)

        await nursery.start(serve)
        yield listener.connect
        nursery.cancel_scope.cancel()


#: Engines that are reached by a stream of bytes, for HTTP/1.1 and for WebSockets at `/ws`.
STREAM_ENGINES: Final[dict[str, StreamEngine]] = {
    "httptools": http_streams(LlhttpParser),
    "h11": http_streams(H11Parser),
}


def _http_over(engine: StreamEngine) -> Engine:
    @asynccontextmanager
    async def opened(server: Server[Any], **options: Any) -> AsyncIterator[Web]:
        async with engine(server, **options) as connect:
            yield OverStreams(connect)

    return opened


ENGINES: Final[dict[str, Engine]] = {
    "application": direct,
    **{name: _http_over(engine) for name, engine in STREAM_ENGINES.items()},
}

every_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)


# -- requests ---------------------------------------------------------------------------------


def post(body: bytes, *headers: tuple[str, str], pieces: int = 1) -> Sent:
    """A POST to the MCP endpoint, its body in so many pieces."""
    size = -(-len(body) // pieces) or 1
    starts = itertools.count(0, size)
    parts = [body[start : start + size] for start, _ in zip(starts, range(pieces), strict=False)]
    given = [
        ("host", HOST),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        *headers,
    ]
    return Sent("POST", "/mcp", given, parts)
