"""Guarantee 21: generators end.

"A streaming tool whose consumer leaves has run its `finally`; […] in memory a slow consumer pauses
it; on a shared pipe it delays no sibling and costs bounded memory (sync generators end when their
thread does)."
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import (
    LimitExceeded,
    RequestError,
    open_client,
    open_stdio_client,
    open_stream_client,
    open_tcp_client,
)

from .harness import (
    ERAS,
    PATIENCE,
    PROMPT,
    ROOT,
    STATELESS,
    Dialect,
    Message,
    Resources,
    Serving,
    Wire,
    cancelled,
    command,
    serving,
    started,
    stream_wire,
)
from .programs import streaming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trimcp import Client

by_era = pytest.mark.parametrize("dialect", ERAS, ids=["handshake", "stateless"])
by_tool = pytest.mark.parametrize("tool", ["endless", "endless_in_a_thread"])

#: Bytes of `Limits.outbox_bytes` in the program.
OUTBOX = 100_000


async def start(peer: Serving, dialect: Dialect, tool: str, size: int = 10) -> None:
    """Begin to stream, and take the first chunk."""
    call = dialect.call("stream", tool, {"size": size}, _meta={"progressToken": "token"})
    await peer.wire.send(call)
    first = await peer.wire.receive()
    assert first["method"] == "notifications/progress"
    assert first["params"]["_meta"]["io.trimcp/chunk"] == "x" * size


# -- who leaves -----------------------------------------------------------------------------------


@by_era
@by_tool
@pytest.mark.parametrize("door", ["stdio", "tcp", "unix", "websocket"])
async def test_a_cancelled_stream(door: str, tool: str, dialect: Dialect, tmp_path: Path) -> None:
    async with serving("streaming", door, tmp_path) as peer:
        await start(peer, dialect, tool)
        await peer.wire.send(cancelled("stream"))
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:

                async def read_on() -> None:
                    while True:
                        await peer.wire.receive()

                nursery.start_soon(read_on)
                await peer.program.stderr.wait("closed", within=PROMPT)
                nursery.cancel_scope.cancel()
        await peer.wire.send(STATELESS.ping("after"))
        rest = [message async for message in until(peer.wire, "after")]
        assert not any(each.get("id") == "stream" for each in rest), "answered after all"


async def until(wire: Wire, identity: str) -> AsyncIterator[Message]:
    """What comes before this answer."""
    while (message := await wire.receive()).get("id") != identity:
        yield message


@by_tool
@pytest.mark.parametrize("door", ["stdio", "tcp", "unix", "websocket"])
async def test_a_client_that_goes(door: str, tool: str, tmp_path: Path) -> None:
    async with serving("streaming", door, tmp_path) as peer:
        await start(peer, STATELESS, tool)
        await peer.wire.aclose()
        await peer.program.stderr.wait("closed", within=PROMPT)


@asynccontextmanager
async def client_of(door: str, **options: Any) -> AsyncIterator[tuple[Client, Any]]:
    """Our own client, and the lines that the server says."""
    if door == "stdio":
        said: list[str] = []
        opening = open_stdio_client(
            command("streaming", "stdio"), cwd=ROOT, on_stderr=said.append, **options
        )
        async with opening as client:
            yield client, said
        return
    async with (
        started(command("streaming", door)) as program,
        open_tcp_client("127.0.0.1", await program.port(), **options) as client,
    ):
        yield client, program.stderr.seen


@by_era
@pytest.mark.parametrize("door", ["stdio", "tcp"])
async def test_our_client_leaves_the_block(door: str, dialect: Dialect) -> None:
    """And the connection is as good as before."""
    async with client_of(door, revision=dialect.revision) as (client, said):
        for _ in range(3):
            arguments = {"size": 10, "every": 0.01}
            async with client.stream_tool("endless", arguments) as stream:
                async for chunk in stream:
                    assert chunk == "x" * 10
                    break
            holds = await client.call_tool("holds")
            assert holds.structured_content["in_flight"] == 1, "only this very call"
        with trio.fail_after(PROMPT):
            while said.count("closed") < 3:
                await client.ping()


@by_era
@pytest.mark.parametrize("door", ["stdio", "tcp"])
async def test_a_generator_that_failed(door: str, dialect: Dialect) -> None:
    """The chunks before arrive, and it does not look finished."""
    async with client_of(door, revision=dialect.revision) as (client, _):
        async with client.stream_tool("failing", {"after": 3}) as stream:
            assert [chunk async for chunk in stream] == [0, 1, 2]
        assert stream.result.is_error
        assert "secret" not in stream.result.text


# -- who is slow --------------------------------------------------------------------------------


async def holds(wire: Wire) -> dict[str, int]:
    answer = await wire.ask(STATELESS.call("holds", "holds"), PROMPT)
    found: dict[str, int] = answer["result"]["structuredContent"]
    return found


@pytest.mark.parametrize("door", ["tcp", "unix", "websocket"])
async def test_a_pipe_that_nobody_reads(door: str, tmp_path: Path) -> None:
    """The pipe's own pace stops the generator; others are served; memory is bounded."""
    path = tmp_path / "socket"
    async with (
        serving("streaming", door, tmp_path) as peer,
        stream_wire(await peer.connect()) as other,
    ):
        before = await holds(other)
        await start(peer, STATELESS, "endless", size=10_000)
        found = await holds(other)
        while True:
            # It stands still between two looks, with many turns of the event loop between them.
            for number in range(50):
                await other.ask(STATELESS.ping(number), PROMPT)
            last, found = found, await holds(other)
            if last["yielded"] == found["yielded"] > 0:
                break
        assert found["outbox_bytes"] <= OUTBOX
        assert found["memory"] - before["memory"] < 8_000_000
        assert "closed" not in peer.program.stderr.seen
        await peer.wire.aclose()
        await peer.program.stderr.wait("closed", within=PROMPT)
    assert not path.exists() or door == "unix"


@by_era
async def test_siblings_on_the_same_pipe(dialect: Dialect) -> None:
    """A consumer that takes nothing delays no call, and at last fails with a clear error."""
    async with client_of("stdio", revision=dialect.revision) as (client, said):
        before = Resources.now()
        arguments = {"size": 1000, "every": 0.001}
        async with client.stream_tool("endless", arguments, buffer=500) as stream:
            calls = 0
            with trio.fail_after(PATIENCE):
                while "closed" not in said:
                    with trio.fail_after(PROMPT):
                        await client.ping()
                    calls += 1
            assert calls > 3
            for _ in range(500):
                await anext(stream)
            with pytest.raises(LimitExceeded):
                await anext(stream)
        assert Resources.now().since(before).memory < 8_000_000


@by_era
async def test_in_memory_it_is_paused(
    dialect: Dialect, autojump_clock: trio.testing.MockClock
) -> None:
    """For as long as its consumer likes, while siblings go on."""
    async with (
        open_client(streaming.server, revision=dialect.revision) as client,
        client.stream_tool("endless", {"size": 10}, buffer=3) as stream,
    ):
        for taken in range(1, 20):
            assert await anext(stream)
            await trio.sleep(3600)
            assert taken <= streaming.yielded + 1 <= taken + 5
            with trio.fail_after(PROMPT):
                await client.ping()
            assert streaming.server.statistics().in_flight == 1


async def test_a_disconnect_in_memory(autojump_clock: trio.testing.MockClock) -> None:
    """The client's nursery is cancelled in the middle of a stream that is paused."""
    async with streaming.server.application(signals=False):
        with trio.move_on_after(5):
            async with (
                open_client(streaming.server) as client,
                client.stream_tool("endless", {"size": 10}, buffer=1),
            ):
                await trio.sleep_forever()
        await trio.testing.wait_all_tasks_blocked()
        statistics = streaming.server.statistics()
        assert (statistics.connections, statistics.in_flight) == (0, 0)
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            await nursery.start(streaming.server.serve_stream, theirs)
            async with open_stream_client(ours) as client:
                with pytest.raises(RequestError, match="Unknown tool"):
                    await client.call_tool("nothing")
