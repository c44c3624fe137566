"""Guarantee 2: cancelling works.

"`move_on_after(1)` around `serve_stdio()` returns within 100 ms of the deadline though stdin
stays open." The bound here is generous; the benchmark publishes the distribution.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from trimcp import Server

from .harness import (
    ERAS,
    PATIENCE,
    PROMPT,
    STATELESS,
    command,
    connect_to,
    started,
    stream_wire,
)


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_serve_stdio_is_cancelled_though_stdin_stays_open(busy: bool) -> None:
    async with started(command("cancelled_scope")) as program:
        await program.stderr.wait("serving")
        if busy:
            await program.send(*(each.call(each.revision, "hang") for each in ERAS[1:]))
            await program.stderr.wait("hang began")
        said = await program.stderr.wait_for(lambda text: text.startswith("returned"))
        _, was_cancelled, late = said.split()
        assert was_cancelled == "True"
        assert 0 <= float(late) < PROMPT

        status, _ = await program.wait_exit(PATIENCE)
        assert status == 0
        assert "lifespan left" in program.stderr.seen
        assert ("hang finally" in program.stderr.seen) is busy
        # Standard output belongs to the program again, and blocks as ever.
        with trio.fail_after(PROMPT):
            assert await program.receiving.receive_some() == b"goodbye True True\n"


async def test_serve_stream_is_cancelled_in_the_middle_of_calls(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ended: list[str] = []
    server: Server[None] = Server("memory")

    @server.tool
    async def hang(label: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(label)

    ours, theirs = memory_stream_pair()
    async with stream_wire(ours) as wire, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def talk() -> None:
            await wire.shake_hands()
            await wire.send(
                *(each.call(each.revision, "hang", {"label": each.revision}) for each in ERAS)
            )

        with trio.move_on_after(1) as scope:
            await server.serve_stream(theirs)
        assert scope.cancelled_caught
        assert trio.current_time() == scope.deadline
        assert sorted(ended) == [each.revision for each in ERAS]
        assert server.statistics().connections == 0


@pytest.mark.parametrize("door", ["tcp", "websocket"])
async def test_serving_sockets_is_cancelled_in_the_middle_of_calls(door: str) -> None:
    """Nor need the client say goodbye."""
    ended: list[str] = []
    began = trio.Event()
    server: Server[None] = Server("sockets")

    @server.tool
    async def hang(label: str) -> None:
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.append(label)

    serve: Any = server.serve_tcp if door == "tcp" else server.serve_websocket
    async with trio.open_nursery() as outer:

        async def serve_until_cancelled(*, task_status: Any) -> None:
            with trio.CancelScope() as scope:
                scopes.append(scope)
                await serve("127.0.0.1", 0, task_status=task_status)

        scopes: list[trio.CancelScope] = []
        [(_, port)] = await outer.start(serve_until_cancelled)
        async with stream_wire(await connect_to(door, port)) as wire:
            await wire.send(STATELESS.call(1, "hang", {"label": "hang"}))
            with trio.fail_after(PATIENCE):
                await began.wait()
            scopes[0].cancel()
            with trio.fail_after(PROMPT):
                while ended != ["hang"] or server.statistics().connections:
                    await trio.lowlevel.checkpoint()
            assert await wire.receive_all(PROMPT) == []
