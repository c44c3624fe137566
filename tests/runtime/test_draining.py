"""A connection that is being drained, and whose peer goes away meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trimcp import ConnectionLost, Server, open_stream_client

if TYPE_CHECKING:
    from trio.testing import MockClock


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_peer_that_leaves_during_a_shutdown_is_not_worked_for(
    revision: str, autojump_clock: MockClock
) -> None:
    """Its handlers are cancelled at once, as at any other time, and not at the end of the grace."""
    server: Server[None] = Server("s")
    ended: list[float] = []

    @server.tool
    async def hang() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async def call() -> None:
        with pytest.raises(ConnectionLost):
            await client.call_tool("hang")

    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        async with open_stream_client(ours, revision=revision) as client:
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            server.shutdown(grace=50)
            await trio.sleep(10)
            left = trio.current_time()
            await ours.aclose()
            await trio.sleep(100)
    assert ended == [left]
