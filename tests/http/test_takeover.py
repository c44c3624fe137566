"""Who carries the frames of a WebSocket under `serve_http`: our transport, or the ASGI server.

Both answer the same calls. A message that is too long tells them apart: it is answered, or ends the
connection.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.raw_websocket import KEY, PING, TEXT, RawWebSocket, frame, raw_websocket, text, upgrade
from trimcp.http._http1 import Upgrade
from trimcp.http._http1._heads import RequestHead
from trimcp.http._sending import Sender
from trimcp.http._takeover import Takeover, takeover_of
from trimcp.testing import stateless

from .harness import PATIENCE, served
from .test_connections import Shop, a_slot_is_free

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.usefixtures("parser")

LIMIT = 100_000


def discover(identity: str) -> bytes:
    message = {"jsonrpc": "2.0", "id": identity, "method": "server/discover"}
    return text({**message, "params": stateless()})


async def next_frame(raw: RawWebSocket) -> tuple[int, bytes]:
    """The next frame that is no ping: hypercorn's protocol begins with one."""
    while (found := await raw.frame())[0] == PING:
        pass
    return found


async def is_taken_over(raw: RawWebSocket) -> bool:
    """Whether our own transport carries the frames; a call is answered in any case."""
    await raw.send(discover("first"))
    assert json.loads((await next_frame(raw))[1])["id"] == "first"
    long = b'{"jsonrpc": "2.0", "id": "long", "method": "%s"}' % (b"x" * LIMIT)
    await raw.send(frame(TEXT, long))
    opcode, payload = await next_frame(raw)
    if opcode != TEXT:
        return False
    assert json.loads(payload)["id"] == "long"
    await raw.send(discover("second"))
    assert json.loads((await next_frame(raw))[1])["id"] == "second"
    return True


class Between:
    """Middleware that replaces some of what an application is called with.

    Attributes:
        seen: The types of the events that have passed it.
    """

    def __init__(self, app: Any, *replaced: str) -> None:
        self.seen: list[str] = []
        self._app = app
        self._replaced = replaced

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def own_receive() -> Any:
            event = await receive()
            self.seen.append(event["type"])
            return event

        async def own_send(event: Any) -> None:
            self.seen.append(event["type"])
            if event["type"] == "websocket.accept":
                event = {**event, "headers": [(b"x-between", b"yes")]}
            await send(event)

        await self._app(
            {**scope, "user": "somebody"} if "scope" in self._replaced else scope,
            own_receive if "receive" in self._replaced else receive,
            own_send if "send" in self._replaced else send,
        )


@pytest.mark.parametrize(
    ("replaced", "seen"),
    [
        ((), None),
        (("scope",), None),
        (("receive",), {"websocket.connect", "websocket.receive", "websocket.disconnect"}),
        (("send",), {"websocket.accept", "websocket.send", "websocket.close"}),
    ],
)
async def test_who_replaces_a_callable_sees_the_messages(
    replaced: tuple[str, ...], seen: set[str] | None
) -> None:
    shop = Shop(message_bytes=LIMIT, connections=1)
    between = Between(shop.server.asgi_app(), *replaced)
    async with served(shop.server, app=between) as web:
        async with raw_websocket(web.port) as raw:
            headers = await raw.open(host="localhost")
            assert ("x-between" in headers) == ("send" in replaced)
            assert await is_taken_over(raw) == (seen is None)
        await a_slot_is_free(web)
    told = {each for each in between.seen if each.startswith("websocket.")}
    assert told == (seen or set())


async def test_below_a_framework() -> None:
    """Starlette replaces `send`, so it sees the messages."""
    shop = Shop(message_bytes=LIMIT)
    site = Starlette(routes=[Mount("/tools", app=shop.server.asgi_app())])
    async with served(shop.server, app=site) as web, raw_websocket(web.port) as raw:
        await raw.open(host="localhost", path="/tools/ws")
        assert not await is_taken_over(raw)


async def test_frames_while_the_handshake_is_judged_refuse_it() -> None:
    shop = Shop(connections=1)
    inner = shop.server.asgi_app()
    judging, judged = trio.Event(), trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            judging.set()
            await judged.wait()
        await inner(scope, receive, send)

    async with served(shop.server, app=app) as web:
        async with raw_websocket(web.port) as raw:
            await raw.send(upgrade("localhost"))
            await judging.wait()
            await raw.send(discover("early"))
            assert (await raw.head())[0] == 400
            judged.set()
            await raw.ended()
        await a_slot_is_free(web)


async def test_who_is_gone_when_the_handshake_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Gone:
        key = KEY.encode()

        def is_offered_to(self, *callables: Any) -> bool:
            return True

        async def take(self) -> tuple[trio.abc.Stream, bytes]:
            client, stream = trio.testing.memory_stream_pair()
            await client.aclose()
            return stream, b""

    async def connect() -> Any:
        return {"type": "websocket.connect"}

    server = Shop().server
    scope = {
        "type": "websocket",
        "path": "/ws",
        "headers": [(b"host", b"localhost")],
        "extensions": {"trimcp.takeover": Gone()},
    }
    async with server.application(signals=False):
        await server.asgi_app()(scope, connect, send)
        assert server.statistics().connections == 0
    assert [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")] == []


# -- the connection itself --------------------------------------------------------------------


@asynccontextmanager
async def offered(
    rest: bytes = b"",
) -> AsyncIterator[tuple[Takeover, dict[str, Any], Any, list[bytes]]]:
    """A connection that is offered, the scope with the offer, its client, and what hypercorn reads.

    The handshake has been read, and more is waited for.
    """
    client, stream = trio.testing.memory_stream_pair()
    head = RequestHead("GET", b"/ws", [(b"host", b"localhost")], "1.1")
    takeover = Takeover(stream, Sender(stream, PATIENCE), Upgrade(head, rest))
    scope: dict[str, Any] = {"extensions": {}}
    takeover.offer(scope, receive, send)
    read: list[bytes] = []

    async def read_all() -> None:
        while True:
            try:
                read.append(bytes(await takeover.receive_some()))
            except trio.BrokenResourceError:
                read.append(b"")
            if not read[-1]:
                return

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_all)
            await trio.testing.wait_all_tasks_blocked()
            assert read == [b"GET /ws HTTP/1.1\r\nhost: localhost\r\n\r\n" + rest]
            yield takeover, scope, client, read
            nursery.cancel_scope.cancel()


async def receive() -> Any:
    """The server's own callable."""


async def send(event: Any) -> None:
    """The server's own callable."""


async def test_what_arrives_in_the_moment_of_taking_is_kept() -> None:
    async with offered() as (takeover, scope, client, read):
        assert takeover_of(scope, receive, send) is takeover
        # The reader has got it, but has not run yet.
        await client.send_all(b"frame")
        stream, rest = await takeover.take()
        assert (rest, read[1:]) == (b"frame", [b""])
        await client.send_all(b"another")
        assert bytes(await stream.receive_some()) == b"another"


async def test_what_is_taken_is_neither_read_nor_written_by_the_server() -> None:
    async with offered() as (takeover, scope, client, read):
        stream, rest = await takeover.take()
        assert (rest, read[1:]) == (b"", [b""])
        assert not await takeover._sender.send(b"HTTP/1.1 500 \r\n\r\n")
        assert takeover_of(scope, receive, send) is None
        await client.send_all(b"frame")
        assert bytes(await stream.receive_some()) == b"frame"
        await stream.send_all(b"answer")
        assert bytes(await client.receive_some()) == b"answer"


@pytest.mark.parametrize("how", ["frames", "end", "reset"])
async def test_who_does_not_wait_or_is_gone_cannot_be_taken_over(how: str) -> None:
    async with offered() as (_, scope, client, _):
        if how == "frames":
            await client.send_all(b"frame")
        elif how == "end":
            await client.send_eof()
        else:
            client.receive_stream.close()
            client.send_stream.close()
        await trio.testing.wait_all_tasks_blocked()
        assert takeover_of(scope, receive, send) is None


async def test_what_came_with_the_handshake_belongs_to_the_server() -> None:
    async with offered(b"frame") as (_, scope, _, read):
        assert read[0].endswith(b"frame")
        assert takeover_of(scope, receive, send) is None
