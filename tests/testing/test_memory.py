"""A client in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import ConnectionLost, Limits, Server
from trimcp.testing import Faults, Stall, faulty, open_memory_client, open_raw_peer

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_server_that_hangs_up(autojump_clock: MockClock) -> None:
    """A server whose answers are not read disconnects, and the client learns it at once."""
    server: Server[None] = Server("short", version="1", limits=Limits(in_flight=2, outbox_bytes=1))
    calls = 20
    began = trio.current_time()
    # After the answer to its first request the client reads nothing more.
    async with open_memory_client(faulty(server, Faults(receiving=[Stall(1)]))) as client:

        async def ask() -> None:
            with pytest.raises(ConnectionLost):
                await client.ping(timeout=1000)

        async with trio.open_nursery() as nursery:
            for _ in range(calls):
                nursery.start_soon(ask)
    assert trio.current_time() - began < 100


async def test_answers_that_nobody_reads_are_bounded() -> None:
    """Also when each request comes after the one before it was handled."""
    limits = Limits(in_flight=5, outbox_bytes=100)
    server: Server[None] = Server("bounded", version="1", limits=limits)
    async with server.application(signals=False), open_raw_peer(server) as peer:
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        most = 0

        async def ask_without_reading() -> None:
            nonlocal most
            for number in range(100):
                ping = {"jsonrpc": "2.0", "id": number, "method": "ping"}
                await peer.send(ping)
                await trio.testing.wait_all_tasks_blocked()
                most = max(most, trio.lowlevel.current_statistics().tasks_living - before)

        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            await ask_without_reading()
        # Those that wait with an answer, and as many that wait with a refusal.
        assert 5 < most <= 10
