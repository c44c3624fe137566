"""HTTP/2: what happens on one stream harms no other, and each gives back what it held."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
import trio
import trio.testing
import trustme
from hyperframe.frame import HeadersFrame

from tests.raw_websocket import TEXT, frame
from trimcp import Limits
from trimcp.http._hosting import config_for

from .harness import PATIENCE, call, mirrored, served
from .test_connections import Shop, begun
from .test_guard import server_context, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

GOAWAY = 7

Headers = list[tuple[bytes, bytes]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Client:
    """One connection, read by whoever waits for something."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        config = h2.config.H2Configuration(
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = h2.connection.H2Connection(config)
        self.events: list[Any] = []
        self.bodies: dict[int, bytes] = {}
        self.is_over = False
        self.opens_windows = True
        self.last_stream: int | None = None
        self._seen = b""

    async def flush(self) -> None:
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(self.h2.data_to_send())

    async def send(self, data: bytes) -> None:
        """Frames that h2 would not send."""
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def begin(self, window: int | None = None) -> None:
        self.h2.initiate_connection()
        if window is not None:
            code = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
            self.h2.update_settings({code: window})
        await self.flush()

    async def ask(self, path: bytes, method: bytes = b"GET", *, end: bool = True) -> int:
        headers = [
            (b":method", method),
            (b":path", path),
            (b":scheme", b"https"),
            (b":authority", b"localhost"),
        ]
        return await self.open(headers, end=end)

    async def open(self, headers: Headers, *, end: bool = True) -> int:
        id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(id, headers, end_stream=end)
        await self.flush()
        return id

    async def read(self) -> None:
        """Take what comes next."""
        with trio.fail_after(PATIENCE):
            data = await self.stream.receive_some()
        self.is_over = not data
        for event in self._events_of(bytes(data)):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived):
                id = event.stream_id
                self.bodies[id] = self.bodies.get(id, b"") + event.data
                if self.opens_windows:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, id)
        if not self.is_over:
            await self.flush()

    def _events_of(self, data: bytes) -> Iterator[Any]:
        """What h2 makes of it; a GOAWAY, which it takes for the end of all streams, is noted."""
        self._seen += data
        while len(self._seen) >= 9:
            size = 9 + int.from_bytes(self._seen[:3], "big")
            if len(self._seen) < size:
                return
            piece, self._seen = self._seen[:size], self._seen[size:]
            if piece[3] == GOAWAY:
                self.last_stream = int.from_bytes(piece[9:13], "big")
            else:
                yield from self.h2.receive_data(piece)

    async def goaway(self) -> int:
        """The last stream that will be served, as the server says it."""
        while self.last_stream is None:
            assert not self.is_over
            await self.read()
        return self.last_stream

    async def wait(self, kind: type[Any], id: int | None = None) -> Any:
        """The first event of a kind, of a stream if one is given."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and (id is None or event.stream_id == id):
                    return event
            assert not self.is_over, self.events
            await self.read()

    async def answer(self, id: int) -> bytes:
        """The whole body of an answer."""
        await self.wait(h2.events.StreamEnded, id)
        return self.bodies.get(id, b"")

    async def opened(self, id: int) -> None:
        """Wait for a first piece of an answer."""
        await self.wait(h2.events.DataReceived, id)

    async def rest(self) -> None:
        """Wait for the end of the connection."""
        while not self.is_over:
            await self.read()


@asynccontextmanager
async def connected(
    port: int, authority: trustme.CA, *, window: int | None = None
) -> AsyncIterator[Client]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    plain = await trio.open_tcp_stream("127.0.0.1", port)
    stream = trio.SSLStream(plain, context, server_hostname="localhost", https_compatible=True)
    try:
        await stream.do_handshake()
        assert stream.selected_alpn_protocol() == "h2"
        client = Client(stream)
        await client.begin(window)
        yield client
    finally:
        await trio.aclose_forcefully(stream)


def tls(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority, ["h2", "http/1.1"])


async def test_after_its_last_request_a_connection_ends_with_those_that_are_open(
    authority: trustme.CA,
) -> None:
    limits = Limits(header_seconds=60)
    config = config_for(limits)
    config.keep_alive_max_requests = 3
    async with serving(limits, tls=tls(authority), config=config) as site:
        async with connected(site.port, authority) as client:
            stream = await client.ask(b"/stream")
            await client.opened(stream)
            for _ in range(2):
                assert await client.answer(await client.ask(b"/")) == b"done"
            last = client.h2.highest_outbound_stream_id
            goaway = await client.goaway()
            assert goaway == last
            site.app.tick.set()
            assert await client.answer(stream) == b"opendone"
            await client.rest()
        async with connected(site.port, authority) as client:
            assert await client.answer(await client.ask(b"/")) == b"done"


async def test_a_request_beyond_the_last_may_be_repeated_elsewhere(authority: trustme.CA) -> None:
    config = config_for(Limits())
    config.keep_alive_max_requests = 1
    async with (
        serving(tls=tls(authority), config=config) as site,
        connected(site.port, authority) as client,
    ):
        stream = await client.ask(b"/stream")
        # Sent before the news of the end can have come.
        late = await client.ask(b"/", b"POST", end=False)
        client.h2.send_data(late, b"body", end_stream=True)
        await client.flush()
        await client.goaway()
        reset = await client.wait(h2.events.StreamReset, late)
        assert reset.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
        site.app.tick.set()
        assert (await client.answer(stream)).endswith(b"done")


async def test_a_request_in_the_drain_ends_nobody_else(authority: trustme.CA) -> None:
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        stream = await client.ask(b"/stream")
        await client.opened(stream)
        site.stop.cancel()
        await trio.testing.wait_all_tasks_blocked()
        late = await client.ask(b"/", b"POST", end=False)
        client.h2.send_data(late, b"x" * 10_000)
        client.h2.send_data(late, b"x" * 10_000, end_stream=True)
        await client.flush()
        await client.goaway()
        reset = await client.wait(h2.events.StreamReset, late)
        assert reset.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
        site.app.tick.set()
        assert await client.answer(stream) == b"opendone"
        await client.rest()
        with trio.fail_after(PATIENCE):
            await site.over.wait()


async def test_an_upload_that_was_answered_may_go_on(authority: trustme.CA) -> None:
    """More of it than any window holds; the stream beside it lives."""
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        stream = await client.ask(b"/stream")
        await client.opened(stream)
        upload = await client.ask(b"/", b"POST", end=False)
        assert await client.answer(upload) == b"done"
        for _ in range(20):
            while client.h2.local_flow_control_window(upload) < 16_384:
                await client.read()
            client.h2.send_data(upload, b"x" * 16_384)
            await client.flush()
        client.h2.end_stream(upload)
        await client.flush()
        assert await client.answer(await client.ask(b"/")) == b"done"
        site.app.tick.set()
        assert await client.answer(stream) == b"opendone"


@pytest.mark.parametrize("path", [b"/", b"/flood"])
async def test_a_window_that_stays_closed_ends_its_stream_alone(
    authority: trustme.CA, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(Limits(send_seconds=0.3), tls=tls(authority)) as site,
        connected(site.port, authority, window=0) as client,
    ):
        stream = await client.ask(b"/stream")
        client.h2.increment_flow_control_window(1000, stream)
        await client.flush()
        await client.opened(stream)
        stuck = await client.ask(path)
        await client.wait(h2.events.StreamReset, stuck)
        if path == b"/flood":
            with trio.fail_after(PATIENCE):
                await site.app.ended.wait()
        site.app.tick.set()
        assert await client.answer(stream) == b"opendone"
    assert "a client read nothing for 0.3 s" in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        [(b":method", b"GET"), (b":path", b"/\xff\xfe")],
        [(b":method", b"CONNECT"), (b":path", b"/"), (b":protocol", b"other")],
        [(b":method", b"\xff"), (b":path", b"/")],
    ],
    ids=["path-bytes", "other-protocol", "method-bytes"],
)
async def test_a_malformed_request_ends_nobody_else(
    authority: trustme.CA, headers: Headers
) -> None:
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        stream = await client.ask(b"/stream")
        await client.opened(stream)
        bad = await client.open([*headers, (b":scheme", b"https"), (b":authority", b"localhost")])
        await client.wait(h2.events.StreamReset, bad)
        site.app.tick.set()
        assert await client.answer(stream) == b"opendone"


async def test_an_application_that_fails_ends_its_answer(authority: trustme.CA) -> None:
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        stream = await client.ask(b"/stream")
        await client.opened(stream)
        await client.wait(h2.events.StreamReset, await client.ask(b"/half"))
        whole = await client.ask(b"/fail")
        response = await client.wait(h2.events.ResponseReceived, whole)
        assert (b":status", b"500") in response.headers
        site.app.tick.set()
        assert await client.answer(stream) == b"opendone"


async def test_priorities_are_of_no_account(authority: trustme.CA) -> None:
    """Also those of more streams than are kept in mind, and of a stream on itself."""
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        for id in range(1001, 6001, 2):
            client.h2.prioritize(id, weight=3, depends_on=id + 2)
        await client.flush()
        client.h2.prioritize(1, weight=1, depends_on=3, exclusive=True)
        await client.flush()
        assert await client.answer(await client.ask(b"/")) == b"done"


GOOD: Headers = [
    (b":method", b"GET"),
    (b":path", b"/"),
    (b":scheme", b"https"),
    (b":authority", b"localhost"),
]


def without(name: bytes) -> Headers:
    return [pair for pair in GOOD if pair[0] != name]


@pytest.mark.parametrize(
    "headers",
    [
        [*GOOD, (b"te", b"gzip")],
        [*GOOD, (b"connection", b"close")],
        [*GOOD, (b"transfer-encoding", b"chunked")],
        [*GOOD, (b"Upper-Case", b"x")],
        [*GOOD, (b":path", b"/x")],
        [*GOOD, (b":other", b"x")],
        [*GOOD, (b":status", b"404")],
        [*GOOD, (b"host", b"elsewhere")],
        [*GOOD, (b"content-length", b"abc")],
        [*GOOD, (b"content-length", b"3")],
        [*GOOD, (b"x", b" leading")],
        [*GOOD, (b"", b"x")],
        [(b"a", b"b"), *GOOD],
        without(b":method"),
        without(b":path"),
        without(b":authority"),
        [*without(b":path"), (b":path", b"")],
        [*GOOD, (b"x", b"y" * 70_000)],
        [*GOOD, *[(b"x%d" % each, b"y" * 15_000) for each in range(6)]],
    ],
    ids=lambda headers: repr(headers)[-40:],
)
async def test_a_malformed_header_block_ends_its_stream_alone(
    authority: trustme.CA, headers: Headers
) -> None:
    """And the compression state of the connection stays right."""
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        stream = await client.ask(b"/stream")
        await client.opened(stream)
        has_length = any(value == b"3" for _, value in headers)
        bad = await client.open(headers, end=not has_length)
        if has_length:
            client.h2.send_data(bad, b"longer", end_stream=True)
            await client.flush()
        await client.wait(h2.events.StreamReset, bad)
        assert await client.answer(await client.open([*GOOD, (b"x", b"y")])) == b"done"
        site.app.tick.set()
        assert await client.answer(stream) == b"opendone"


async def test_bodies_unlike_their_length_leave_the_window_of_the_connection_open(
    authority: trustme.CA,
) -> None:
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        for _ in range(12):
            bad = await client.open([*GOOD, (b"content-length", b"3")], end=False)
            client.h2.send_data(bad, b"x" * 10_000, end_stream=True)
            await client.flush()
            await client.wait(h2.events.StreamReset, bad)
        assert await client.answer(await client.ask(b"/")) == b"done"


@pytest.mark.parametrize("is_whole", [True, False], ids=["with-a-length", "without-an-end"])
async def test_malformed_trailers_end_their_stream_alone(
    authority: trustme.CA, is_whole: bool
) -> None:
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        stream = await client.ask(b"/stream")
        await client.opened(stream)
        bad = await client.open(GOOD, end=False)
        trailers = [(b"connection", b"close")] if is_whole else [(b"x", b"y")]
        block = client.h2.encoder.encode(trailers)
        frame = HeadersFrame(bad, block, flags=["END_HEADERS"] + ["END_STREAM"] * is_whole)
        await client.send(frame.serialize())
        await client.wait(h2.events.StreamReset, bad)
        site.app.tick.set()
        assert await client.answer(stream) == b"opendone"


async def test_one_stream_too_many_is_refused_alone(authority: trustme.CA) -> None:
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        first = await client.ask(b"/stream")
        await client.opened(first)
        code = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
        limit = client.h2.remote_settings.max_concurrent_streams
        client.h2.remote_settings[code] = 2 * limit
        client.h2.remote_settings.acknowledge()
        others = [await client.ask(b"/stream") for _ in range(limit - 1)]
        refused = await client.open([*GOOD, (b"seen-first", b"here")])
        reset = await client.wait(h2.events.StreamReset, refused)
        assert reset.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
        site.app.tick.set()
        for stream in (first, *others):
            assert await client.answer(stream) == b"opendone"
        again = await client.open([*GOOD, (b"seen-first", b"here")])
        assert await client.answer(again) == b"done"


@pytest.mark.parametrize(
    ("kind", "body", "is_reset"),
    [(8, bytes(4), True), (2, b"abc", False), (2, b"\0\0\0\3\1", False)],
    ids=["window-of-0", "short-priority", "priority-on-itself"],
)
async def test_a_malformed_frame_of_a_stream_ends_no_other(
    authority: trustme.CA, kind: int, body: bytes, is_reset: bool
) -> None:
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        stream = await client.ask(b"/stream")
        other = await client.ask(b"/stream")
        await client.opened(stream)
        await client.opened(other)
        head = len(body).to_bytes(3, "big") + bytes([kind, 0]) + other.to_bytes(4, "big")
        await client.send(head + body)
        if is_reset:
            await client.wait(h2.events.StreamReset, other)
        assert await client.answer(await client.ask(b"/")) == b"done"
        site.app.tick.set()
        assert await client.answer(stream) == b"opendone"


async def test_a_header_block_beyond_measure_ends_the_connection(authority: trustme.CA) -> None:
    """It is not decoded to its end, so that nothing that follows could be."""
    async with (
        serving(tls=tls(authority)) as site,
        connected(site.port, authority) as client,
    ):
        await client.open([*GOOD, *[(b"x%d" % each, b"y" * 15_000) for each in range(20)]])
        await client.goaway()


# -- what ends gives back what it held -----------------------------------------------------------


def post_headers(message: Any, size: int) -> Headers:
    given = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "content-length": str(size),
        **mirrored(message),
    }
    pseudo = {":method": "POST", ":path": "/mcp", ":scheme": "https", ":authority": "localhost"}
    return [(name.encode(), value.encode()) for name, value in {**pseudo, **given}.items()]


async def post(client: Client, message: Any, cut: int | None = None) -> int:
    """Post a message, or a part of it."""
    import json

    body = json.dumps(message).encode()
    id = await client.open(post_headers(message, len(body)), end=False)
    client.h2.send_data(id, body[:cut], end_stream=cut is None)
    await client.flush()
    return id


async def websocket(client: Client) -> int:
    """Open a WebSocket (RFC 8441)."""
    id = await client.open(
        [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", b"https"),
            (b":path", b"/ws"),
            (b":authority", b"localhost"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-protocol", b"mcp"),
        ],
        end=False,
    )
    response = await client.wait(h2.events.ResponseReceived, id)
    assert (b":status", b"200") in response.headers
    return id


async def nothing_is_open(shop: Shop) -> None:
    with trio.fail_after(PATIENCE):
        while True:
            now = shop.server.statistics()
            if (now.http_requests, now.connections) == (0, 0) and shop.began == shop.ended:
                return
            await trio.testing.wait_all_tasks_blocked(0.01)


@pytest.mark.parametrize("end", ["reset", "goaway", "close", "abort"])
@pytest.mark.parametrize("doing", ["call", "stream", "flood", "half-a-body", "websocket"])
async def test_what_a_client_ends_is_given_back(
    authority: trustme.CA, doing: str, end: str
) -> None:
    shop = Shop(connections=1)
    async with served(shop.server, tls=tls(authority)) as web:
        async with connected(web.port, authority) as client:
            if doing == "websocket":
                id = await websocket(client)
            elif doing == "half-a-body":
                id = await post(client, call("wait"), 10)
                await trio.testing.wait_all_tasks_blocked()
            else:
                tool = {"call": "wait"}.get(doing, doing)
                id = await post(client, call(tool, progressToken=1))
                await begun(shop)
            if end == "reset":
                client.h2.reset_stream(id)
                await client.flush()
                await nothing_is_open(shop)
                answer = await client.ask(b"/healthz")
                assert await client.answer(answer) == b"ok\n"
            elif end == "goaway":
                client.h2.close_connection()
                await client.flush()
            elif end == "close":
                await client.stream.aclose()
            else:
                await trio.aclose_forcefully(client.stream.transport_stream)
            await nothing_is_open(shop)
        await a_slot_is_free(web.port, authority)


async def a_slot_is_free(port: int, authority: trustme.CA) -> None:
    """Whoever connects is served, at the latest as soon as the server comes to it."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                async with connected(port, authority) as client:
                    assert await client.answer(await client.ask(b"/healthz")) == b"ok\n"
                    return
            except trio.BrokenResourceError:
                await trio.testing.wait_all_tasks_blocked(0.01)


@pytest.mark.parametrize("last", [b"", frame(TEXT, b"{}") + b"\xff\xff"])
async def test_a_websocket_ends_with_its_stream(authority: trustme.CA, last: bytes) -> None:
    """By the end of the stream, or by a frame that makes no sense."""
    shop = Shop()
    async with (
        served(shop.server, tls=tls(authority)) as web,
        connected(web.port, authority) as client,
    ):
        id = await websocket(client)
        assert shop.server.statistics().connections == 1
        client.h2.send_data(id, last, end_stream=not last)
        await client.flush()
        await client.wait(h2.events.StreamEnded, id)
        if last:
            assert client.bodies[id].endswith(b"\x03\xea")
        await nothing_is_open(shop)
