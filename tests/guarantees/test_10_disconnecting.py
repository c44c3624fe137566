"""Guarantee 10: disconnecting cancels.

"The client goes away in the middle of a stateless call, […] on TCP, Unix socket and WebSocket, or
sends `notifications/cancelled` (stdio): the handler's `finally` has run at once and nothing more
is sent for it."
"""

from __future__ import annotations

import signal
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from .harness import (
    ERAS,
    HANDSHAKE,
    PROMPT,
    STATELESS,
    Dialect,
    cancelled,
    command,
    line,
    serving,
    started,
    stream_wire,
)

if TYPE_CHECKING:
    from pathlib import Path

    import trio

SOCKETS = ["tcp", "unix", "websocket", "http"]


@pytest.mark.parametrize("door", ["stdio", *SOCKETS])
async def test_a_cancellation_cancels_and_silences(door: str, tmp_path: Path) -> None:
    async with serving("waiting", door, tmp_path) as peer:
        program, wire = peer.program, peer.wire
        for dialect in ERAS:
            name = dialect.revision
            await wire.send(
                dialect.call(name, "hang", {"label": name}, _meta={"progressToken": "token"})
            )
            progress = await wire.receive(PROMPT)
            assert progress["method"] == "notifications/progress"
            await wire.send(cancelled(name))
            await program.stderr.wait(f"{name} cancelled", f"{name} finally", within=PROMPT)
            # The handler tried to report progress in its `finally`; only this ping is answered.
            await wire.ask(dialect.ping("ping"), PROMPT)
            # The id may be used again, so nothing of the old request is left.
            await wire.ask(dialect.call(name, "add", {"a": 1, "b": 2}), PROMPT)

        # A synchronous tool cannot be stopped, but nothing is sent for it.
        await wire.send(HANDSHAKE.call("thread", "hang_in_thread", {"label": "thread"}))
        await program.stderr.wait("thread began")
        await wire.send(cancelled("thread"))
        await wire.ask(HANDSHAKE.call("thread", "add", {"a": 1, "b": 2}), PROMPT)


async def test_a_cancellation_of_nothing_is_ignored(tmp_path: Path) -> None:
    async with serving("waiting", "stdio", tmp_path) as peer:
        wire = peer.wire
        await wire.send(cancelled("unknown"), cancelled("init"), cancelled(None), cancelled([1]))
        await wire.send(HANDSHAKE.call("hang", "hang", {"label": "hang"}))
        await peer.program.stderr.wait("hang began")
        await wire.send(cancelled("han"), cancelled(1))
        await wire.ask(STATELESS.ping("ping"), PROMPT)
        assert "hang cancelled" not in peer.program.stderr.seen


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
@pytest.mark.parametrize("door", SOCKETS)
async def test_going_away_cancels(door: str, dialect: Dialect, tmp_path: Path) -> None:
    """Closed, half-closed, reset: one server, three connections that end."""
    async with serving("waiting", door, tmp_path) as peer:
        said = peer.program.stderr

        async def call_and(label: str) -> trio.SocketStream:
            stream = await peer.connect()
            wire = stream_wire(stream)
            async with wire as talk:
                if not dialect.is_stateless:
                    await talk.shake_hands()
                await talk.send(
                    dialect.call(label, "hang", {"label": label}, _meta={"progressToken": 7})
                )
                assert (await talk.receive())["method"] == "notifications/progress"
                if label == "half-closed":
                    await stream.send_eof()
                    await said.wait(f"{label} cancelled", f"{label} finally", within=PROMPT)
                    assert await talk.receive_all(PROMPT) == []
                if label == "reset":
                    now = struct.pack("ii", 1, 0)
                    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            return stream

        for label in ("closed", "half-closed", "reset"):
            await call_and(label)
            await said.wait(f"{label} cancelled", f"{label} finally", within=PROMPT)

        # The other connection was not touched.
        await peer.wire.ask(HANDSHAKE.ping("ping"), PROMPT)
        assert not any("Traceback" in text for text in said.seen), said.seen


@pytest.mark.parametrize("door", SOCKETS)
async def test_a_killed_peer_cancels(door: str, tmp_path: Path) -> None:
    async with serving("waiting", door, tmp_path) as peer:
        call = STATELESS.call(1, "hang", {"label": "killed"})
        argv = command("raw_peer", door, peer.address, line(call).decode().strip())
        async with started(argv) as client:
            await client.stderr.wait("sent")
            await peer.program.stderr.wait("killed began")
            assert "killed cancelled" not in peer.program.stderr.seen
            client.signal(signal.SIGKILL)
            await peer.program.stderr.wait("killed cancelled", "killed finally", within=PROMPT)
        await peer.wire.ask(HANDSHAKE.ping("ping"), PROMPT)
