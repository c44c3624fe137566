"""The duties of our HTTP/1.1, over streams in memory, whatever parser reads the requests."""

from __future__ import annotations

import logging
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import trustme

from tests.wire.engines import MemoryListener
from trimcp import Limits
from trimcp.http._hosting import host
from trimcp.http._http1._h11 import H11Parser
from trimcp.http._http1._llhttp import LlhttpParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

every_parser = pytest.mark.parametrize("make", [LlhttpParser, H11Parser], ids=["httptools", "h11"])

PATIENCE = 10.0

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Client:
    """The client's end of a connection."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._seen = b""

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def until(self, mark: bytes) -> bytes:
        """What the server sends to the end of the next mark."""
        with trio.fail_after(PATIENCE):
            while mark not in self._seen:
                piece = await self.stream.receive_some()
                if not piece:
                    raise EOFError(self._seen)
                self._seen += piece
        end = self._seen.index(mark) + len(mark)
        found, self._seen = self._seen[:end], self._seen[end:]
        return found

    async def answer(self, method: str = "GET") -> tuple[bytes, bytes]:
        """The next answer, without its date: its head, and its body of declared length."""
        lines = (await self.until(b"\r\n\r\n")).split(b"\r\n")
        kept = [line for line in lines if not line.startswith(b"date: ")]
        lengths = [line.partition(b": ")[2] for line in kept if line.startswith(b"content-length")]
        size = int(lengths[0]) if lengths and method != "HEAD" else 0
        with trio.fail_after(PATIENCE):
            while len(self._seen) < size:
                self._seen += await self.stream.receive_some()
        body, self._seen = self._seen[:size], self._seen[size:]
        return b"\n".join(kept[:-2]), body

    async def rest(self) -> bytes:
        """All until the server closes the connection."""
        with trio.fail_after(PATIENCE):
            while piece := await self.stream.receive_some():
                self._seen += piece
        return self._seen


class Served:
    """An application that is served."""

    def __init__(self) -> None:
        self.listener = MemoryListener()
        self.stop = trio.CancelScope()
        self.over = trio.Event()

    def connect(self, pair: Any = trio.testing.memory_stream_pair) -> Client:
        return Client(self.listener.connect(pair))


@asynccontextmanager
async def serving(app: Any, make: Any, **limits: Any) -> AsyncIterator[Served]:
    served = Served()
    started = trio.Event()

    async def run() -> None:
        await host(
            app,
            [served.listener],  # type: ignore[list-item]
            Limits(**limits),
            accepting=lambda: served.stop,
            started=started.set,
            make_parser=make,
        )
        served.over.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await started.wait()
        yield served
        nursery.cancel_scope.cancel()


def answering(
    body: bytes = b"ok", *headers: tuple[bytes, bytes], status: int = 200, length: int | None = None
) -> Any:
    """An application that answers without reading the request."""
    size = len(body) if length is None else length
    given = [(b"content-length", b"%d" % size), *headers]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": given})
        await send({"type": "http.response.body", "body": body})

    return app


async def body_of(receive: Any) -> bytes:
    body = b""
    while True:
        event = await receive()
        assert event["type"] == "http.request", event
        body += event["body"]
        if not event["more_body"]:
            return body


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what came, in two pieces of unknown length."""
    body = await body_of(receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode(), "more_body": True})
    await send({"type": "http.response.body", "body": body})


class Waiting:
    """Waits for the client's end, and says whether it came."""

    def __init__(self) -> None:
        self.began = trio.Event()
        self.gone = trio.Event()
        self.go = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        self.began.set()
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                assert (await receive())["type"] == "http.disconnect"
                if not self.go.is_set():
                    self.gone.set()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await self.go.wait()
            await answering(b"at last")(scope, receive, send)
            nursery.cancel_scope.cancel()


# -- what the application gets, and the client ------------------------------------------------


@every_parser
async def test_the_scope(make: Any) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await answering()(scope, receive, send)

    async with serving(app, make) as served:
        client = served.connect()
        await client.send(b"GET /a%20b%c3%a4/?c=%20d HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n")
        await client.answer()
    (scope,) = seen
    scope.pop("extensions")
    assert scope == {
        "type": "http",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a bä/",
        "raw_path": b"/a%20b%c3%a4/",
        "query_string": b"c=%20d",
        "root_path": "",
        "headers": [(b"host", b"x"), (b"a", b"b")],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


@every_parser
async def test_chunks_both_ways_without_trailers(make: Any) -> None:
    async with serving(echo, make) as served:
        client = served.connect()
        await client.send(
            b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\ntrailer: t\r\n\r\n"
        )
        top = await client.until(b"\r\n\r\n")
        assert b"\r\ntransfer-encoding: chunked\r\n" in top
        assert await client.until(b"0\r\n\r\n") == b"2\r\n/p\r\n5\r\nabcde\r\n0\r\n\r\n"


@every_parser
@pytest.mark.parametrize(
    ("method", "status", "length"),
    [("HEAD", 200, b"2"), ("GET", 204, None), ("GET", 304, b"2"), ("HEAD", 404, b"2")],
)
async def test_answers_without_a_body(
    make: Any, method: str, status: int, length: bytes | None
) -> None:
    async with serving(answering(status=status), make) as served:
        client = served.connect()
        await client.send(GET.replace(b"GET", method.encode()) * 2)
        told = b"" if length is None else b"\ncontent-length: " + length
        for _ in range(2):
            head = await client.until(b"\r\n\r\n")
            lines = [line for line in head.split(b"\r\n") if line and line[:5] != b"date:"]
            assert b"\n".join(lines) == b"HTTP/1.1 %d " % status + told
        await client.stream.aclose()


@every_parser
@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"connection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"connection: keep-alive\r\n", True),
    ],
)
async def test_which_connections_stay(
    make: Any, version: bytes, connection: bytes, stays: bool
) -> None:
    told = {(b"1.1", True): b"", (b"1.0", True): b"\nconnection: keep-alive"}
    data = b"GET / HTTP/%s\r\nhost: x\r\n%s\r\n" % (version, connection)
    async with serving(answering(), make) as served:
        client = served.connect()
        for _ in range(2 if stays else 1):
            await client.send(data)
            head, body = await client.answer()
            end = told.get((version, stays), b"\nconnection: close")
            assert head == b"HTTP/1.1 200 \ncontent-length: 2" + end
            assert body == b"ok"
        if not stays:
            assert await client.rest() == b""


@every_parser
async def test_an_answer_of_unknown_length_over_http_1_0_ends_with_the_connection(
    make: Any,
) -> None:
    async with serving(echo, make) as served:
        client = served.connect()
        await client.send(b"GET /p HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        head, _ = await client.answer()
        assert head == b"HTTP/1.1 200 \nconnection: close"
        assert await client.rest() == b"/p"


@every_parser
@pytest.mark.parametrize("own", [False, True])
async def test_each_answer_has_one_date(make: Any, own: bool) -> None:
    given = [(b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT")] if own else []
    async with serving(answering(b"ok", *given), make) as served:
        client = served.connect()
        await client.send(GET)
        head = (await client.until(b"ok")).lower()
        assert head.count(b"\r\ndate: ") == 1
        assert (b"1994" in head) == own


# -- bodies -----------------------------------------------------------------------------------


@every_parser
async def test_a_body_is_invited_when_the_application_asks_for_it(make: Any) -> None:
    asks = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asks.wait()
        await echo(scope, receive, send)

    async with serving(app, make) as served:
        client = served.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        )
        with trio.move_on_after(0.05):
            pytest.fail(str(await client.until(b"\r\n")))
        asks.set()
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        await client.send(b"abc")
        assert b"HTTP/1.1 200 " in await client.until(b"abc\r\n0\r\n\r\n")


@every_parser
async def test_a_body_that_was_not_invited_is_not_waited_for(make: Any) -> None:
    async with serving(answering(), make) as served:
        client = served.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        )
        head, _ = await client.answer()
        assert head == b"HTTP/1.1 200 \ncontent-length: 2\nconnection: close"
        assert await client.rest() == b""


@every_parser
async def test_a_body_that_nobody_reads_pauses_the_reader(make: Any) -> None:
    """And it is read on when the application asks for more."""
    goes_on = trio.Event()
    size = 1_000_000

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await goes_on.wait()
        body = b"%d" % len(await body_of(receive))
        await answering(body)(scope, receive, send)

    async with serving(app, make) as served, trio.open_nursery() as nursery:
        client = served.connect(trio.testing.lockstep_stream_pair)
        sent = 0

        async def upload() -> None:
            nonlocal sent
            await client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size)
            for _ in range(size // 1000):
                await client.send(b"a" * 1000)
                sent += 1000

        nursery.start_soon(upload)
        await trio.testing.wait_all_tasks_blocked()
        assert 60 * 1024 <= sent <= 80 * 1024
        goes_on.set()
        assert (await client.answer())[1] == b"%d" % size


@every_parser
async def test_a_body_that_is_left_unread_ends_the_connection(make: Any) -> None:
    async with serving(answering(), make) as served:
        client = served.connect()
        await client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 30\r\n\r\nabc")
        assert (await client.answer())[1] == b"ok"
        await client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await client.rest() == b""


@every_parser
async def test_a_body_that_is_malformed_is_refused(make: Any) -> None:
    """The application is told that nothing more comes; the client gets a reason."""
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (event := await receive())["type"] == "http.request":
            told.append(event["body"])
        told.append(event["type"])

    async with serving(app, make) as served:
        client = served.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"
        )
        await trio.testing.wait_all_tasks_blocked()
        await client.send(b"zz\r\n")
        head, body = await client.answer()
        assert head.startswith(b"HTTP/1.1 400 ")
        assert body.startswith(b"this is not HTTP/1.1")
        assert await client.rest() == b""
    assert told == [b"a", "http.disconnect"]


# -- several requests -------------------------------------------------------------------------


@every_parser
async def test_what_is_refused_waits_for_the_answers_before_it(make: Any) -> None:
    app = Waiting()
    async with serving(app, make) as served:
        client = served.connect()
        await client.send(GET + b"GET / HTTP/1.1\nhost: x\r\n\r\n" + GET)
        await app.began.wait()
        await trio.testing.wait_all_tasks_blocked()
        app.go.set()
        assert (await client.answer())[1] == b"at last"
        head, _ = await client.answer()
        assert head.startswith(b"HTTP/1.1 400 ")
        assert head.endswith(b"\nconnection: close")
        assert await client.rest() == b""


@every_parser
async def test_a_client_that_leaves_is_noticed_behind_pipelined_requests(make: Any) -> None:
    app = Waiting()
    async with serving(app, make) as served:
        client = served.connect()
        await client.send(GET * 4)
        await app.began.wait()
        await client.stream.aclose()
        with trio.fail_after(PATIENCE):
            await app.gone.wait()


@every_parser
async def test_not_many_requests_wait(make: Any) -> None:
    """Further ones stay where they are; all are answered in the end, in their order."""
    app = Waiting()
    async with serving(app, make) as served, trio.open_nursery() as nursery:
        client = served.connect(trio.testing.lockstep_stream_pair)
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for _ in range(100):
                await client.send(GET)
                sent += 1

        nursery.start_soon(flood)
        await trio.testing.wait_all_tasks_blocked()
        assert 5 <= sent <= 20
        app.go.set()
        for _ in range(100):
            assert (await client.answer())[1] == b"at last"


# -- what an application may do wrong ---------------------------------------------------------


@every_parser
@pytest.mark.parametrize(
    "pair",
    [
        (b"a", b"b\r\nc: d"),
        (b"a", b"b\nc"),
        (b"a", b"b\rc"),
        (b"a", b"b\0c"),
        (b"a\r\nb", b"c"),
        (b"a b", b"c"),
        (b"a:b", b"c"),
        (b"", b"c"),
        (b"content-length", b"2"),
        (b"content-length", b"-2"),
    ],
)
async def test_a_header_that_http_forbids_is_not_sent(
    make: Any, pair: tuple[bytes, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(answering(b"ok", pair), make) as served:
        client = served.connect()
        await client.send(GET)
        head, _ = await client.answer()
        assert head == b"HTTP/1.1 500 \ncontent-length: 0\nconnection: close"
        assert await client.rest() == b""
    assert "the ASGI application failed" in caplog.text


@every_parser
@pytest.mark.parametrize(
    "events",
    [
        [],
        [{"type": "http.response.body", "body": b"x"}],
        [{"type": "http.response.start", "status": 100, "headers": []}],
        [{"type": "http.response.start", "status": 200, "headers": []}] * 2,
        [{"type": "nonsense"}],
    ],
)
async def test_what_is_no_answer_is_answered_with_500(
    make: Any, events: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for event in events:
            await send(event)

    async with serving(app, make) as served:
        client = served.connect()
        await client.send(GET)
        head, _ = await client.answer()
        assert head == b"HTTP/1.1 500 \ncontent-length: 0\nconnection: close"


@every_parser
@pytest.mark.parametrize("length", [1, 3])
async def test_a_body_that_is_not_as_long_as_declared_ends_the_connection(
    make: Any, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    async with serving(app, make) as served:
        client = served.connect()
        await client.send(GET)
        assert (await client.rest()).endswith(b"\r\n\r\na")
    assert "Content-Length" in caplog.text


@every_parser
async def test_an_answer_that_is_left_incomplete_is_not_completed(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})

    async with serving(app, make) as served:
        client = served.connect()
        await client.send(GET)
        assert (await client.rest()).endswith(b"\r\n\r\n1\r\na\r\n")


# -- time -------------------------------------------------------------------------------------


@every_parser
@pytest.mark.parametrize("sent", [b"", b"GET", GET[:-2], GET, GET + GET[:-2]])
async def test_a_head_has_its_time(make: Any, sent: bytes, autojump_clock: MockClock) -> None:
    """From the beginning of the connection, or the end of the answer before it."""
    async with serving(answering(), make, header_seconds=8) as served:
        client = served.connect()
        began = trio.current_time()
        if sent:
            await client.send(sent)
        if sent.startswith(GET):
            await client.answer()
        with trio.fail_after(100):
            assert await client.stream.receive_some() == b""
        assert 8 <= trio.current_time() - began <= 9


@every_parser
async def test_an_answer_has_any_time(make: Any, autojump_clock: MockClock) -> None:
    app = Waiting()
    async with serving(app, make, header_seconds=8) as served:
        client = served.connect()
        await client.send(GET)
        await trio.sleep(1000)
        app.go.set()
        assert (await client.answer())[1] == b"at last"
        await trio.sleep(7)
        await client.send(GET)
        assert (await client.answer())[1] == b"at last"


@every_parser
@pytest.mark.parametrize("size", [1, 1_000_000])
async def test_an_answer_that_nobody_reads_has_its_time(
    make: Any, size: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(answering(b"x" * size), make, send_seconds=30) as served:
        client = served.connect(trio.testing.lockstep_stream_pair)
        await client.send(GET)
        await trio.sleep(29)
        assert not caplog.text
        await trio.sleep(5)
        assert "a client read nothing for 30 s" in caplog.text


async def test_a_tls_handshake_has_its_time(autojump_clock: MockClock) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    listener = MemoryListener()
    async with trio.open_nursery() as nursery:

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            await host(
                answering(),
                [listener],  # type: ignore[list-item]
                Limits(header_seconds=8),
                accepting=trio.CancelScope,
                started=task_status.started,
                tls=context,
            )

        await nursery.start(serve)
        stream = listener.connect()
        with trio.fail_after(9):
            assert await stream.receive_some() == b""
        assert trio.current_time() >= 8
        nursery.cancel_scope.cancel()


# -- the end of the server --------------------------------------------------------------------


@every_parser
@pytest.mark.parametrize("sent", [b"", GET[:-2], GET])
async def test_a_drain_ends_what_is_idle_at_once(make: Any, sent: bytes) -> None:
    async with serving(answering(), make) as served:
        client = served.connect()
        if sent:
            await client.send(sent)
        if sent == GET:
            await client.answer()
        await trio.testing.wait_all_tasks_blocked()
        served.stop.cancel()
        assert await client.rest() == b""
        with trio.fail_after(PATIENCE):
            await served.over.wait()


@every_parser
async def test_a_drain_lets_an_answer_be_the_last(make: Any) -> None:
    app = Waiting()
    async with serving(app, make) as served:
        client = served.connect()
        await client.send(GET * 2)
        await app.began.wait()
        served.stop.cancel()
        await trio.testing.wait_all_tasks_blocked()
        app.go.set()
        head, body = await client.answer()
        assert (head, body) == (
            b"HTTP/1.1 200 \ncontent-length: 7\nconnection: close",
            b"at last",
        )
        assert await client.rest() == b""
        with trio.fail_after(PATIENCE):
            await served.over.wait()


@every_parser
async def test_nothing_is_logged_about_clients_that_leave(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(answering(), make) as served:
        for data in (b"", b"GET", GET, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\na"):
            client = served.connect()
            await client.send(data)
            await client.stream.aclose()
            await trio.testing.wait_all_tasks_blocked()
    assert caplog.text == ""
