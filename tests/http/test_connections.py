"""Connections of clients: each is bounded in time, and what ends gives its slot back.

The limits that would end a connection by themselves are far away, unless a test is about them.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.raw_websocket import TEXT, frame, upgrade
from trimcp import Context, HttpRequest, HttpResponse, Limits, Server

from .harness import PATIENCE, Web, call, mirrored, request, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.usefixtures("parser")

FAR = 60.0


class Shop:
    """A server whose handlers tell that they began, and wait."""

    def __init__(self, **limits: Any) -> None:
        given = {"header_seconds": FAR, "body_seconds": FAR, "send_seconds": FAR, **limits}
        self.server: Server[Any] = Server("shop", version="1", limits=Limits(**given))
        self.began = 0
        self.ended = 0
        self.server.tool(self.wait)
        self.server.tool(self.stream)
        self.server.tool(self.flood)
        self.server.tool(self.fail)
        self.server.custom_route("/wait")(self.wait_route)
        self.server.custom_route("/now")(self.now_route)
        self.server.custom_route("/fail")(self.fail_route)
        self.server.custom_route("/empty")(self.empty_route)

    async def wait(self) -> None:
        self.began += 1
        try:
            await trio.sleep_forever()
        finally:
            self.ended += 1

    async def stream(self) -> Any:
        self.began += 1
        try:
            yield "one"
            await trio.sleep_forever()
        finally:
            self.ended += 1

    async def flood(self) -> Any:
        self.began += 1
        try:
            while True:
                yield "x" * 65536
        finally:
            self.ended += 1

    async def fail(self) -> None:
        raise SystemExit(3)

    async def wait_route(self, request: HttpRequest) -> str:
        await self.wait()
        return "never"

    async def now_route(self, request: HttpRequest) -> str:
        return "now"

    async def fail_route(self, request: HttpRequest) -> str:
        raise ExceptionGroup("several", [ValueError("one"), ValueError("two")])

    async def empty_route(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=204)


def get(path: str, **headers: str) -> bytes:
    return head("GET", path, **headers)


def head(method: str, target: str, **headers: str) -> bytes:
    given = {"host": "localhost", **headers}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items()]
    return f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


def post(message: Any, target: str = "/mcp", **headers: str) -> bytes:
    """A POST, with the headers of its era."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    given = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "content-length": str(len(body)),
    }
    if isinstance(message, dict) and "_meta" in message.get("params", {}):
        given |= mirrored(message)
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return head("POST", target, **given) + body


HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "1"},
    },
}


class Caller:
    """One connection of a client, read with a parser of one regular expression."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.seen = b""

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def until(self, mark: bytes) -> bytes:
        """Everything to the end of the next mark."""
        with trio.fail_after(PATIENCE):
            while mark not in self.seen:
                data = await self.stream.receive_some()
                if not data:
                    raise EOFError(self.seen)
                self.seen += data
        end = self.seen.index(mark) + len(mark)
        taken, self.seen = self.seen[:end], self.seen[end:]
        return taken

    async def answer(self) -> tuple[bytes, bytes]:
        """The next whole answer: its head, and its body of declared length."""
        top = await self.until(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", top, re.I)
        size = 0 if found is None else int(found[1])
        with trio.fail_after(PATIENCE):
            while len(self.seen) < size:
                self.seen += await self.stream.receive_some()
        body, self.seen = self.seen[:size], self.seen[size:]
        return top, body

    async def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        with trio.fail_after(PATIENCE):
            try:
                while data := await self.stream.receive_some():
                    self.seen += data
            except trio.BrokenResourceError:
                pass
        return self.seen

    async def open_session(self) -> str:
        """Shake hands; the session's id."""
        await self.send(post(HELLO))
        top, _ = await self.answer()
        found = re.search(rb"mcp-session-id: (\S+)", top)
        assert found is not None, top
        return found[1].decode()


@asynccontextmanager
async def caller(web: Web) -> AsyncIterator[Caller]:
    stream = await web.connect()
    try:
        yield Caller(stream)
    finally:
        await trio.aclose_forcefully(stream)


async def a_slot_is_free(web: Web) -> None:
    """Whoever connects is served, at the latest as soon as the server comes to it."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                async with caller(web) as other:
                    await other.send(get("/healthz"))
                    assert (await other.answer())[1] == b"ok\n"
                    return
            except (EOFError, trio.BrokenResourceError):
                await trio.testing.wait_all_tasks_blocked(0.01)


# -- what a connection may be doing, and how it may end ------------------------------------------


async def nothing(shop: Shop, peer: Caller) -> None:
    pass


async def half_a_head(shop: Shop, peer: Caller) -> None:
    await peer.send(get("/now")[:-2])


async def half_a_body(shop: Shop, peer: Caller) -> None:
    await peer.send(post(request("tools/list"))[:-2])


async def answered(shop: Shop, peer: Caller) -> None:
    await peer.send(get("/now"))
    await peer.answer()


async def answered_by_a_session(shop: Shop, peer: Caller) -> None:
    await peer.open_session()


async def answered_then_half_a_head(shop: Shop, peer: Caller) -> None:
    await peer.open_session()
    await peer.send(get("/now")[:-2])


async def refused(shop: Shop, peer: Caller) -> None:
    await peer.send(post(request("tools/list"), host="evil.example"))
    await peer.answer()


async def failed(shop: Shop, peer: Caller) -> None:
    await peer.send(get("/fail"))
    await peer.answer()


async def a_call(shop: Shop, peer: Caller) -> None:
    await peer.send(post(call("wait")))
    await begun(shop)


async def a_stream(shop: Shop, peer: Caller) -> None:
    await peer.send(post(call("stream", progressToken=1)))
    await peer.until(b"data: ")


async def an_unread_stream(shop: Shop, peer: Caller) -> None:
    await peer.send(post(call("flood", progressToken=1)))
    await begun(shop)
    await trio.testing.wait_all_tasks_blocked(0.05)


async def a_custom_route(shop: Shop, peer: Caller) -> None:
    await peer.send(get("/wait"))
    await begun(shop)


async def a_call_of_a_session(shop: Shop, peer: Caller) -> None:
    id = await peer.open_session()
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "wait"}}
    await peer.send(post(body, mcp_session_id=id))
    await begun(shop)


async def the_stream_of_a_session(shop: Shop, peer: Caller) -> None:
    id = await peer.open_session()
    await peer.send(get("/mcp", mcp_session_id=id, accept="text/event-stream"))
    await peer.until(b"\r\n\r\n")


async def the_old_stream(shop: Shop, peer: Caller) -> None:
    await peer.send(get("/sse", accept="text/event-stream"))
    await peer.until(b"event: endpoint")


async def a_websocket(shop: Shop, peer: Caller) -> None:
    await peer.send(upgrade("localhost"))
    await peer.until(b"\r\n\r\n")


async def half_a_websocket_message(shop: Shop, peer: Caller) -> None:
    await a_websocket(shop, peer)
    await peer.send(frame(TEXT, b"x" * 1000, last=False))


async def an_unread_websocket(shop: Shop, peer: Caller) -> None:
    """More is to be sent than the connection and the outbox hold."""
    await a_websocket(shop, peer)
    await peer.send(frame(TEXT, json.dumps(call("flood", progressToken=1)).encode()))
    await begun(shop)
    await trio.testing.wait_all_tasks_blocked(0.05)


async def frames_before_the_websocket(shop: Shop, peer: Caller) -> None:
    await peer.send(upgrade("localhost") + frame(TEXT, b"{}"))
    await peer.until(b"\r\n\r\n")


async def no_such_websocket(shop: Shop, peer: Caller) -> None:
    await peer.send(upgrade("localhost", "/nowhere"))
    await peer.until(b"\r\n\r\n")


async def a_websocket_of_another_version(shop: Shop, peer: Caller) -> None:
    head = upgrade("localhost", "/ws", without=["Sec-WebSocket-Version"])
    await peer.send(head)
    await peer.until(b"\r\n\r\n")


async def begun(shop: Shop) -> None:
    with trio.fail_after(PATIENCE):
        while not shop.began:
            await trio.testing.wait_all_tasks_blocked()


#: What a connection is doing when its end comes.
DOING: list[Callable[[Shop, Caller], Awaitable[None]]] = [
    nothing,
    half_a_head,
    half_a_body,
    answered,
    answered_by_a_session,
    answered_then_half_a_head,
    refused,
    failed,
    a_call,
    a_stream,
    an_unread_stream,
    a_custom_route,
    a_call_of_a_session,
    the_stream_of_a_session,
    the_old_stream,
    a_websocket,
    half_a_websocket_message,
    an_unread_websocket,
    frames_before_the_websocket,
    no_such_websocket,
    a_websocket_of_another_version,
]

#: What a handler was still doing for a client that has gone: it is cancelled, unless its session
#: lives on without the connection.
AT_WORK = (a_call, a_stream, an_unread_stream, a_custom_route, an_unread_websocket)


@pytest.mark.parametrize("end", ["close", "reset", "half-close"])
@pytest.mark.parametrize("doing", DOING, ids=lambda doing: doing.__name__)
async def test_what_a_client_ends_gives_its_slot_back(doing: Any, end: str) -> None:
    shop = Shop(connections=1)
    async with served(shop.server) as web, caller(web) as peer:
        await doing(shop, peer)
        if end == "reset":
            linger = struct.pack("ii", 1, 0)
            peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if end == "half-close":
            with suppress(trio.BrokenResourceError):
                await peer.stream.send_eof()
        else:
            await peer.stream.aclose()
        await a_slot_is_free(web)
        if doing in AT_WORK:
            assert shop.ended == shop.began
        statistics = shop.server.statistics()
        assert (statistics.http_requests, statistics.connections) == (0, 0)


#: What nobody but the server's own bounds would end.
BOUNDED: dict[Any, dict[str, float]] = {
    nothing: {"header_seconds": 0.1},
    half_a_head: {"header_seconds": 0.1},
    half_a_body: {"body_seconds": 0.1, "header_seconds": 0.1},
    answered: {"header_seconds": 0.1},
    answered_by_a_session: {"header_seconds": 0.1},
    answered_then_half_a_head: {"header_seconds": 0.1},
    refused: {"header_seconds": 0.1},
    failed: {"header_seconds": 0.1},
    an_unread_stream: {"send_seconds": 0.1},
    a_websocket: {"heartbeat_seconds": 0.1},
    half_a_websocket_message: {"heartbeat_seconds": 0.1},
    an_unread_websocket: {"heartbeat_seconds": 0.1},
    frames_before_the_websocket: {},
    no_such_websocket: {},
    a_websocket_of_another_version: {},
}


@pytest.mark.parametrize("doing", BOUNDED, ids=lambda doing: doing.__name__)
async def test_what_a_client_does_not_end_is_ended(doing: Any) -> None:
    """The client holds its socket and does nothing more."""
    shop = Shop(connections=1, **BOUNDED[doing])
    async with served(shop.server) as web, caller(web) as peer:
        await doing(shop, peer)
        await a_slot_is_free(web)
        assert shop.ended == shop.began


@pytest.mark.parametrize("doing", DOING, ids=lambda doing: doing.__name__)
async def test_nobody_holds_a_shutdown_up(doing: Any) -> None:
    """What has nothing to finish ends at once, although its client holds its socket."""
    shop = Shop()
    over = trio.Event()

    async def serve(task_status: trio.TaskStatus[list[str]]) -> None:
        await shop.server.serve_http("127.0.0.1", 0, task_status=task_status)
        over.set()

    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(serve)
        async with caller(Web(int(url.rpartition(":")[2]))) as peer:
            await doing(shop, peer)
            is_working = doing in (*AT_WORK, a_call_of_a_session, half_a_body)
            shop.server.shutdown(grace=0.1 if is_working else FAR)
            with trio.fail_after(PATIENCE):
                await over.wait()


# -- one connection, several requests ------------------------------------------------------------


async def test_kept_alive_connections_time_out_after_every_kind_of_answer() -> None:
    """As many as there may be at once, all of them silent after their answer."""
    shop = Shop(connections=30, header_seconds=2)
    kinds = itertools.cycle([answered, answered_by_a_session, refused, failed])
    async with served(shop.server) as web:
        async with trio.open_nursery() as nursery:

            async def one(doing: Any) -> None:
                async with caller(web) as peer:
                    await doing(shop, peer)
                    assert await peer.rest() == b""

            for doing in itertools.islice(kinds, 30):
                nursery.start_soon(one, doing)
        await a_slot_is_free(web)


async def test_several_answers_on_one_connection_byte_by_byte() -> None:
    async with served(Shop().server) as web, caller(web) as peer:
        for body in (b"now", b"ok\n", b"now"):
            await peer.send(get("/now" if body == b"now" else "/healthz"))
            top, found = await peer.answer()
            lines = top.decode().split("\r\n")
            names = sorted(line.partition(":")[0] for line in lines[1:-2])
            assert lines[0] == "HTTP/1.1 200 "
            assert names == ["content-length", "content-type", "date"]
            assert (found, peer.seen) == (body, b"")


NOTE = {"jsonrpc": "2.0", "method": "notifications/x", "params": {}}

#: Requests whose answers leave the connection open, each of another form.
EXCHANGES = {
    "a body": get("/now"),
    "another body": get("/healthz"),
    "no content": get("/empty"),
    "a head alone": head("HEAD", "/healthz"),
    "one JSON object": post(request("tools/list")),
    "an event stream": post(call("report", progressToken=1)),
    "accepted": post(NOTE, mcp_protocol_version="2026-07-28"),
    "a session": post(HELLO),
    "an error": post(request("no/such/method")),
    "not found": get("/nowhere"),
    "refused": get("/now", host="evil.example"),
    "failed": get("/fail"),
    "a preflight": head("OPTIONS", "/mcp"),
    "a body that is invited": post(request("tools/list"), expect="100-continue"),
}

#: What differs from answer to answer.
CHANGING = re.compile(rb"(?im)^(date|mcp-session-id): [^\r]*")


async def whole_answer(peer: Caller, name: str) -> bytes:
    """The bytes of the next answer, by its own framing, with what changes left out."""
    data = await peer.until(b"\r\n\r\n")
    if name == "a head alone":
        return CHANGING.sub(rb"\1: ?", data)
    while data.startswith(b"HTTP/1.1 100 ") and data.count(b"HTTP/1.1 ") == 1:
        data += await peer.until(b"\r\n\r\n")
    if re.search(rb"transfer-encoding: chunked\r\n", data, re.I):
        data += await peer.until(b"\r\n0\r\n\r\n")
    elif (found := re.search(rb"content-length: (\d+)\r\n", data, re.I)) is not None:
        while len(peer.seen) < int(found[1]):
            peer.seen += await peer.stream.receive_some()
        data, peer.seen = data + peer.seen[: int(found[1])], peer.seen[int(found[1]) :]
    return CHANGING.sub(rb"\1: ?", data)


async def test_an_answer_does_not_depend_on_those_before_it_byte_by_byte() -> None:
    """Each kind of answer after each other kind is what it is on a connection of its own."""
    shop = Shop()

    @shop.server.tool
    async def report(ctx: Context) -> str:
        await ctx.report_progress(1)
        return "done"

    async with served(shop.server) as web, trio.open_nursery() as nursery:
        alone: dict[str, bytes] = {}
        for name, data in EXCHANGES.items():
            async with caller(web) as peer:
                await peer.send(data)
                with trio.fail_after(PATIENCE):
                    alone[name] = await whole_answer(peer, name)
                await trio.testing.wait_all_tasks_blocked()
                assert peer.seen == b"", name
            heads = alone[name].count(b"HTTP/1.1 ") - alone[name].count(b"HTTP/1.1 100 ")
            assert heads == 1, name
        assert alone["a body"] == (
            b"HTTP/1.1 200 \r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"content-length: 3\r\ndate: ?\r\n\r\nnow"
        )

        async def after(first: str) -> None:
            async with caller(web) as peer:
                for second in EXCHANGES:
                    for name in (first, second):
                        await peer.send(EXCHANGES[name])
                        with trio.fail_after(PATIENCE):
                            answer = await whole_answer(peer, name)
                        assert answer == alone[name], (first, second)
                assert peer.seen == b""

        for first in EXCHANGES:
            nursery.start_soon(after, first)


async def test_requests_that_come_in_one_piece_are_answered_in_their_order() -> None:
    async with served(Shop().server) as web, caller(web) as peer:
        pings = [post(request("tools/list", id=id)) for id in range(5)]
        await peer.send(b"".join(pings))
        for id in range(5):
            assert json.loads((await peer.answer())[1])["id"] == id
        assert peer.seen == b""


@pytest.mark.parametrize("cut", range(1, 60, 7))
async def test_a_request_in_two_pieces_is_one(cut: int) -> None:
    data = get("/now")
    async with served(Shop().server) as web, caller(web) as peer:
        await peer.send(data[:cut])
        await trio.testing.wait_all_tasks_blocked()
        await peer.send(data[cut:])
        assert (await peer.answer())[1] == b"now"


# -- what HTTP/1.1 asks for ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/now", "localhost", 200),
        ("HTTP://localhost/now", "localhost", 200),
        ("https://localhost/now?x=1", "localhost", 200),
        ("http://localhost:1234/now", "other.example", 200),
        ("http://evil.example/now", "localhost", 403),
        ("http://evil@localhost/now", "localhost", 403),
        ("http:///now", "localhost", 403),
        ("http://localhost", "localhost", 404),
        ("http://localhost?x=/now", "localhost", 404),
        ("ftp://localhost/now", "localhost", 404),
        ("/http://localhost/now", "localhost", 404),
    ],
)
async def test_a_target_may_be_a_whole_uri(target: str, host: str, status: int) -> None:
    """RFC 9112, 3.2.2: the authority in it stands for the Host header."""
    async with served(Shop().server) as web, caller(web) as peer:
        await peer.send(head("GET", target, host=host))
        assert (await peer.answer())[0].startswith(b"HTTP/1.1 %d " % status)


async def test_a_call_with_a_whole_uri() -> None:
    async with served(Shop().server) as web, caller(web) as peer:
        await peer.send(post(request("tools/list"), f"http://127.0.0.1:{web.port}/mcp"))
        assert json.loads((await peer.answer())[1])["result"] is not None


async def test_two_lengths_are_refused_and_end_the_connection() -> None:
    """RFC 9112, 6.1 and 11.2: a proxy before us may have believed the other one."""
    body = json.dumps(request("tools/list")).encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    async with served(Shop().server) as web, caller(web) as peer:
        top = post(request("tools/list"), content_length="3", transfer_encoding="chunked")
        await peer.send(top.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + chunks + get("/now"))
        top, found = await peer.answer()
        assert top.startswith(b"HTTP/1.1 400 ")
        assert b"\r\nconnection: close\r\n" in top.lower()
        assert found
        assert await peer.rest() == b""


@pytest.mark.parametrize("data", [get("/empty"), head("OPTIONS", "/mcp")])
async def test_an_answer_without_content_has_no_length(data: bytes) -> None:
    async with served(Shop().server) as web, caller(web) as peer:
        await peer.send(data)
        top, _ = await peer.answer()
        assert top.startswith(b"HTTP/1.1 204 ")
        assert b"content-length" not in top.lower()
        assert b"transfer-encoding" not in top.lower()
        await peer.send(get("/now"))
        assert (await peer.answer())[1] == b"now"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_length": "999999"}, 413),
        ({"host": "evil.example"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"accept": "text/html"}, 406),
    ],
)
async def test_a_body_that_is_refused_is_not_invited(headers: dict[str, str], status: int) -> None:
    async with served(Shop(message_bytes=1000).server) as web, caller(web) as peer:
        data = post(request("tools/list"), expect="100-continue", **headers)
        await peer.send(data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        assert (await peer.answer())[0].startswith(b"HTTP/1.1 %d " % status)


async def test_a_body_that_is_wanted_is_invited_once() -> None:
    async with served(Shop().server) as web, caller(web) as peer:
        top, _, body = post(request("tools/list"), expect="100-continue").partition(b"\r\n\r\n")
        await peer.send(top + b"\r\n\r\n")
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await peer.send(body[:10])
        await trio.testing.wait_all_tasks_blocked()
        await peer.send(body[10:])
        assert (await peer.answer())[0].startswith(b"HTTP/1.1 200 ")
        assert peer.seen == b""
