"""Guarantee 20, over WebSocket: hostile HTTP is refused.

"Foreign Host or Origin (HTTP and WebSocket), oversized […] headers, slow headers […]: the server
goes on serving the others." Every frame and handshake that is refused, with its status or close
code: tests/transports/websocket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.raw_websocket import (
    BINARY,
    PING,
    TEXT,
    RawWebSocket,
    frame,
    raw_websocket,
    upgrade,
)

from .harness import ERAS, HANDSHAKE, PATIENCE, PROMPT, STATELESS, serving

if TYPE_CHECKING:
    from pathlib import Path

HEADS = {
    upgrade("evil.example"): 403,
    upgrade("localhost", "/ws", ("Origin", "https://evil.example")): 403,
    upgrade("localhost", "/ws", ("Origin", "null")): 403,
    upgrade("localhost", "/elsewhere"): 404,
    upgrade("localhost", "/ws", ("X", "x" * 100_000)): 400,
    upgrade("\xff"): 400,
    upgrade(without=["Host"]): 400,
    b"\x00" * 100_000: 400,
}

FRAMES = {
    frame(BINARY, b"{}"): 1003,
    frame(TEXT, b"{}", masked=False): 1002,
    frame(TEXT, b"\xff"): 1007,
    frame(7): 1002,
    bytes(range(256)) * 100: 1002,
}


async def test_the_others_are_served(tmp_path: Path) -> None:
    """All of it at once, while a call is in flight, and one process lives through it."""
    async with serving("waiting", "websocket", tmp_path) as peer:
        assert isinstance(peer.address, int)
        port = peer.address
        await peer.wire.send(STATELESS.call("hang", "hang", {"label": "hang"}))
        await peer.program.stderr.wait("hang began")

        async def refused(head: bytes, status: int) -> None:
            async with raw_websocket(port) as raw:
                await raw.send(head)
                assert (await raw.head())[0] == status
                await raw.ended(PROMPT)

        async def closed(data: bytes, code: int) -> None:
            async with raw_websocket(port) as raw:
                await raw.open()
                await raw.send(data)
                assert await raw.closed(PROMPT) == code

        async def flood() -> None:
            async with raw_websocket(port) as raw:
                await raw.open()
                for number in range(20_000):
                    await raw.send(frame(PING, b"%d" % number) * 5)

        async with trio.open_nursery() as nursery:
            for head, status in HEADS.items():
                nursery.start_soon(refused, head, status)
            for data, code in FRAMES.items():
                nursery.start_soon(closed, data, code)
            nursery.start_soon(flood)
            for dialect in ERAS:
                for number in range(20):
                    await peer.wire.ask(dialect.ping(number), PATIENCE)
        said = peer.program.stderr.seen
        assert "hang cancelled" not in said
        assert not any("Traceback" in line for line in said), said
        await peer.wire.ask(HANDSHAKE.ping("last"), PROMPT)


async def test_heads_without_an_end(tmp_path: Path) -> None:
    """The default deadline for them is five seconds."""
    async with serving("waiting", "websocket", tmp_path) as peer:
        assert isinstance(peer.address, int)

        async def drip(raw: RawWebSocket) -> None:
            """So slowly that it would take a minute."""
            head = upgrade()
            for start in range(len(head)):
                await raw.send(head[start : start + 1])
                await trio.sleep(60 / len(head))

        async with (
            raw_websocket(peer.address) as silent,
            raw_websocket(peer.address) as slow,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(drip, slow)
            for raw in (silent, slow):
                assert (await raw.head(PATIENCE))[0] == 408
            nursery.cancel_scope.cancel()
        await peer.wire.ask(HANDSHAKE.ping("ping"), PROMPT)
