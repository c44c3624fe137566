"""WebSocket under `serve_http`: what is broken ends it, and nothing of what is too large is kept.

The frames are carried by our own transport, or, where somebody stands between who wants to see the
messages, by hypercorn's protocol. What is the same for both is tried with both; what our own
promises beyond that is in `tests/transports/websocket/test_server.py`.
"""

from __future__ import annotations

import json
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    frame,
    raw_websocket,
    text,
    upgrade,
)
from tests.wire.engines import watching
from trimcp.testing import stateless

from .harness import PATIENCE, Web, served
from .test_connections import Shop, a_slot_is_free

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager


#: Who carries the frames.
CARRIERS = ["our own", "hypercorn"]


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def served_by(carrier: str, shop: Shop) -> AbstractAsyncContextManager[Web]:
    app = shop.server.asgi_app()
    return served(shop.server, app=app if carrier == "our own" else watching(app))


@asynccontextmanager
async def opened(shop: Shop, carrier: str) -> AsyncIterator[tuple[Web, RawWebSocket]]:
    async with served_by(carrier, shop) as web, raw_websocket(web.port) as raw:
        await raw.open(host="localhost")
        yield web, raw


async def lives(raw: RawWebSocket) -> None:
    message = {"jsonrpc": "2.0", "id": "alive", "method": "tools/list", "params": stateless({})}
    await raw.send(text(message))
    while (found := await raw.frame()) == (PING, b""):
        pass
    assert json.loads(found[1])["id"] == "alive"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(3, b"x"), 1002),
        (frame(11), 1002),
        (frame(TEXT, b"{}", rsv=4), 1002),
        (frame(TEXT, b"{}", rsv=1), 1002),
        (frame(TEXT, b"{}", masked=False), 1002),
        (frame(CONTINUATION, b"{}"), 1002),
        (frame(TEXT, b"{", last=False) + frame(TEXT, b"}"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, last=False), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x00\x05"), 1002),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(BINARY, b"{}"), 1003),
        (frame(CLOSE, b"\x03\xe8"), 1000),
        (frame(CLOSE, b"\x0f\xa0bye"), 4000),
    ],
)
async def test_a_websocket_that_ends_says_why(data: bytes, code: int, carrier: str) -> None:
    shop = Shop(connections=1)
    async with opened(shop, carrier) as (web, raw):
        await lives(raw)
        await raw.send(data)
        assert await raw.closed() == code
        await raw.ended()
        await a_slot_is_free(web)


async def test_pings_are_answered_and_pongs_are_not(carrier: str) -> None:
    async with opened(Shop(), carrier) as (_, raw):
        await raw.send(frame(PONG, b"unasked") + frame(PING, b"there?"))
        while (found := await raw.frame()) == (PING, b""):
            pass
        assert found == (PONG, b"there?")
        await lives(raw)


async def test_what_follows_a_message_that_is_too_long_is_not_kept() -> None:
    """However long the client goes on with it; its socket stays open.

    Our own transport skips such a message.
    """
    shop = Shop(connections=1, message_bytes=100_000)
    async with opened(shop, "hypercorn") as (web, raw), trio.open_nursery() as nursery:

        async def go_on() -> None:
            first = TEXT
            try:
                while True:
                    await raw.stream.send_all(frame(first, b"x" * 60_000, last=False))
                    first = CONTINUATION
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

        nursery.start_soon(go_on)
        assert await raw.closed() == 1009
        with trio.fail_after(PATIENCE):
            await a_slot_is_free(web)
        nursery.cancel_scope.cancel()


async def test_compression_is_not_agreed_to(carrier: str) -> None:
    """A few bytes of it can stand for any number."""
    shop = Shop(connections=1)
    async with served_by(carrier, shop) as web, raw_websocket(web.port) as raw:
        offer = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
        await raw.send(upgrade("localhost", "/ws", offer))
        status, headers = await raw.head()
        assert status == 101
        assert "sec-websocket-extensions" not in headers
        packer = zlib.compressobj(wbits=-15)
        bomb = packer.compress(b"x" * 50_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
        await raw.send(frame(TEXT, bomb[:-4], rsv=4))
        assert await raw.closed() == 1002
        await a_slot_is_free(web)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Host", "localhost")], 400),
        ([("Host", "evil.example")], 400),
        ([("Origin", "http://localhost"), ("Origin", "http://localhost")], 101),
        ([("Origin", "http://localhost"), ("Origin", "http://evil.example")], 403),
        ([("Origin", "http://evil.example"), ("Origin", "http://localhost")], 403),
        ([("Origin", "moz-extension://localhost")], 403),
        ([("Origin", "file://localhost")], 403),
        ([("Origin", "localhost")], 403),
        ([("Origin", "")], 403),
    ],
)
async def test_names_that_come_twice_and_origins_that_are_none(
    headers: list[tuple[str, str]], status: int
) -> None:
    """Each of them counts: which one a proxy or a browser meant cannot be known."""
    async with served(Shop().server) as web, raw_websocket(web.port) as raw:
        await raw.send(upgrade("localhost", "/ws", *headers))
        assert (await raw.head())[0] == status


HANDSHAKES = [
    (upgrade(without=["Sec-WebSocket-Key"]), 400),
    (upgrade("127.0.0.1", "/ws", ("Sec-WebSocket-Key", KEY)), 400),
    (upgrade().replace(KEY.encode(), b"x"), 400),
    (upgrade().replace(KEY.encode(), b"AAAA"), 400),
]


@pytest.mark.parametrize(("head", "status"), HANDSHAKES)
async def test_a_handshake_has_one_key_of_16_bytes(head: bytes, status: int) -> None:
    async with served(Shop().server) as web, raw_websocket(web.port) as raw:
        await raw.send(head)
        assert (await raw.head())[0] == status


async def test_a_client_of_another_version_is_told_the_version() -> None:
    async with served(Shop().server) as web, raw_websocket(web.port) as raw:
        await raw.send(upgrade().replace(b"Version: 13", b"Version: 8"))
        status, headers = await raw.head()
        assert (status, headers["sec-websocket-version"]) == (400, "13")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("origin", ["http://localhost", "http://evil.example"])
async def test_frames_before_the_answer_to_the_handshake(
    origin: str, count: int, carrier: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is refused once, by whoever is first, and the log has nothing to complain of."""
    shop = Shop(connections=1)
    async with served_by(carrier, shop) as web:
        async with raw_websocket(web.port) as raw:
            opening = upgrade("localhost", "/ws", ("Origin", origin))
            await raw.send(opening + frame(TEXT, b"{}") * count)
            assert (await raw.head())[0] in (400, 403)
            await raw.ended()
        await a_slot_is_free(web)
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []
