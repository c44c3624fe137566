"""Guarantee 23: nothing outlives its owner.

"After every test the task tree is as it was; between connection 2,000 and 10,000 memory grows
by less than 200 bytes each."
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from trio.testing import memory_stream_pair

from trimcp import (
    ConnectionLost,
    RequestError,
    RequestTimeout,
    Server,
    client_for,
    open_client,
    open_stdio_client,
    open_stream_client,
    open_tcp_client,
    open_unix_client,
    open_websocket_client,
)

from .harness import (
    ERAS,
    HANDSHAKE,
    PATIENCE,
    PROMPT,
    ROOT,
    Resources,
    Wire,
    command,
    connect_to,
    handshake,
    line,
    started,
    stream_wire,
    tasks,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REVISIONS = ["2025-11-25", "2026-07-28"]
BEFORE, AFTER = 2_000, 10_000


def busy_server() -> Server[None]:
    server: Server[None] = Server("busy")

    @server.tool
    async def hello() -> str:
        return "hello"

    @server.tool
    def in_thread() -> str:
        return "hello"

    @server.tool
    async def hang() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)

    @server.tool
    async def fail() -> None:
        raise RequestError(1, "failed")

    @server.background_task
    async def ticking() -> None:
        await trio.sleep_forever()

    return server


async def use(client: Any) -> None:
    """Everything that may happen to a call."""
    await client.call_tool("hello")
    await client.call_tool("in_thread")
    with pytest.raises(RequestError):
        await client.call_tool("fail")
    with pytest.raises(RequestTimeout):
        await client.call_tool("hang", timeout=0.01)
    with trio.move_on_after(0.01):
        await client.call_tool("hang")


@asynccontextmanager
async def as_it_was() -> AsyncIterator[None]:
    """The same tasks and descriptors after the block as before it."""
    # Trio's own thread for waking up and the like are there from now on.
    await trio.to_thread.run_sync(int)
    before, held = tasks(), Resources.now()
    yield
    await trio.testing.wait_all_tasks_blocked()
    assert tasks() == before
    after = Resources.now()
    assert after.descriptors == held.descriptors


# -- the task tree ----------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
async def test_in_memory(revision: str) -> None:
    async with as_it_was():
        for _ in range(3):
            async with open_client(busy_server(), revision=revision) as client:
                await use(client)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_inside_an_application(revision: str) -> None:
    server = busy_server()
    async with as_it_was(), server.application():
        inside = tasks()
        async with as_it_was(), trio.open_nursery() as nursery:
            clients = [
                await nursery.start(client_for(server, revision=revision).run) for _ in range(5)
            ]
            for client in clients:
                await use(client)
            assert server.statistics().connections == 5
            # First in, first out.
            for client in clients:
                client.close()
        assert tasks() == inside
        assert server.statistics().connections == 0


@pytest.mark.parametrize("door", ["tcp", "unix", "websocket"])
async def test_over_sockets(door: str, tmp_path: Path) -> None:
    server = busy_server()
    async with as_it_was(), trio.open_nursery() as nursery:
        address: Any
        if door == "tcp":
            [address] = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
        elif door == "websocket":
            [address] = await nursery.start(server.serve_websocket, "127.0.0.1", 0)
        else:
            address = await nursery.start(server.serve_unix, tmp_path / "socket")

        async def connect(revision: str) -> None:
            way: Any
            if door == "tcp":
                way = open_tcp_client(*address, revision=revision)
            elif door == "websocket":
                host, port = address
                way = open_websocket_client(f"ws://{host}:{port}/ws", revision=revision)
            else:
                way = open_unix_client(address, revision=revision)
            async with way as client:
                await use(client)

        idle = tasks()
        async with trio.open_nursery() as clients:
            for number in range(10):
                clients.start_soon(connect, REVISIONS[number % 2])
        with trio.fail_after(PROMPT):
            while server.statistics().connections:
                await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        assert tasks() == idle
        server.shutdown()


async def test_over_a_stream_that_breaks() -> None:
    server = busy_server()
    async with as_it_was():
        for dialect in ERAS:
            ours, theirs = memory_stream_pair()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.serve_stream, theirs)
                async with stream_wire(ours) as wire:
                    await wire.shake_hands()
                    await wire.send(*(dialect.call(number, "hang") for number in range(10)))
                    await wire.ask(dialect.ping("ping"))


async def test_a_client_whose_server_is_gone() -> None:
    async with as_it_was(), trio.open_nursery() as nursery:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(busy_server().serve_stream, theirs)
        async with open_stream_client(ours) as client:
            await client.call_tool("hello")
            await theirs.aclose()
            with pytest.raises(ConnectionLost):
                await client.call_tool("hello")


async def test_a_client_of_a_process() -> None:
    async with as_it_was():
        for revision in REVISIONS:
            argv = command("waiting", "stdio")
            async with open_stdio_client(argv, cwd=ROOT, revision=revision) as client:
                with trio.move_on_after(0.05):
                    await client.call_tool("hang", {"label": "hang"})
                await client.ping()


# -- memory -----------------------------------------------------------------------------------


def check(growth: Resources) -> None:
    """Nothing grew: fewer than one object for every twenty connections is left."""
    connections = AFTER - BEFORE
    assert growth.tasks == 0
    assert growth.descriptors == 0
    assert growth.memory < 200 * connections, growth
    assert growth.blocks < connections / 20, growth


async def test_memory_of_connections() -> None:
    """In memory and over TCP, in two processes side by side."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(memory_of_connections_in_memory)
        nursery.start_soon(memory_of_connections_over, "tcp")


async def test_memory_of_websockets() -> None:
    await memory_of_connections_over("websocket")


async def memory_of_connections_in_memory() -> None:
    async with started(command("many_connections", "memory", BEFORE, AFTER)) as program:
        said = await program.stderr.wait_for(lambda text: text.startswith("grown"), within=100)
        check(Resources(**json.loads(said.removeprefix("grown "))))
        assert (await program.wait_exit(PATIENCE))[0] == 0


async def memory_of_connections_over(door: str) -> None:
    async with started(command("many_connections", door)) as program:
        port = await program.port()
        async with stream_wire(await connect_to(door, port)) as control:
            await control.shake_hands()
            idle = await holds(control)
            await connect_often(door, port, BEFORE)
            first = await holds(control, idle.tasks)
            await connect_often(door, port, AFTER - BEFORE)
            check((await holds(control, idle.tasks)).since(first))


async def connect_often(door: str, port: int, count: int) -> None:
    """Connect, ask, and leave, in different ways; a few at a time."""
    opening = b"".join(line(each) for each in handshake())
    hellos = [line(each.call("hello", "hello")) for each in ERAS]
    hangs = [line(each.call("hang", "hang")) for each in ERAS]
    numbers = iter(range(count))

    async def connect_some() -> None:
        for number in numbers:
            async with await connect_to(door, port) as stream:
                wire = Wire(stream, stream)
                which = number % 2
                await wire.send(opening + hellos[which])
                await wire.answers("init", "hello")
                # Some leave in the middle of a call, and some after a broken line.
                if number % 10 == 0:
                    await wire.send(hangs[which])
                elif number % 10 == 5:
                    await wire.send(b"{broken")

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(connect_some)


async def holds(control: Wire, tasks: int | None = None) -> Resources:
    """What the server holds once only this connection is left, and that many tasks."""
    with trio.fail_after(PATIENCE):
        while True:
            answer = await control.ask(HANDSHAKE.call("holds", "holds"))
            found = dict(answer["result"]["structuredContent"])
            if found.pop("connections") == 1 and tasks in (None, found["tasks"]):
                return Resources(**found)
