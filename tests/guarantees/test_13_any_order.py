"""Guarantee 13: clients may be opened and closed in any order and task.

`async with` closes last-in first-out, as Trio wants. Through `nursery.start(client.run)` and
`client.close()`: first-in first-out, opened concurrently, the first of two closed, opened in one
task and closed in another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.guarantees.harness import PATIENCE, PROMPT, command
from tests.guarantees.programs import chatty
from trimcp import ConnectionLost, MCPError, client_for, open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp import Client

DOORS = pytest.mark.parametrize("door", ["memory", "stdio"])

CALL: dict[str, Any] = {"progress": 0, "logs": 0}


@pytest.fixture
async def served() -> AsyncIterator[None]:
    """Several clients of one server in memory share its application."""
    async with chatty.server.application(signals=False):
        yield


def new_client(door: str) -> Client:
    return client_for(chatty.server if door == "memory" else command("chatty", "stdio"))


async def works(client: Client) -> None:
    with trio.fail_after(PATIENCE):
        assert not (await client.call_tool("report", CALL)).is_error


async def is_closed(client: Client) -> None:
    with pytest.raises(ConnectionLost):
        await client.call_tool("report", CALL)


@DOORS
async def test_first_in_first_out(door: str, served: None) -> None:
    async with trio.open_nursery() as nursery:
        clients = [await nursery.start(new_client(door).run) for _ in range(3)]
        for index, client in enumerate(clients):
            await works(client)
            client.close()
            client.close()
            for other in clients[index + 1 :]:
                await works(other)
    for client in clients:
        await is_closed(client)


@DOORS
async def test_opened_concurrently(door: str, served: None) -> None:
    clients: list[Client] = []
    async with trio.open_nursery() as nursery:

        async def open_one() -> None:
            clients.append(await nursery.start(new_client(door).run))

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as openers:
                for _ in range(3):
                    openers.start_soon(open_one)
        async with trio.open_nursery() as users:
            for client in clients:
                users.start_soon(works, client)
        for client in clients:
            client.close()


@DOORS
async def test_opened_in_one_task_and_closed_in_another(door: str, served: None) -> None:
    opened: trio.MemorySendChannel[Client]
    opened, received = trio.open_memory_channel(1)

    async with trio.open_nursery() as nursery:

        async def opener() -> None:
            await opened.send(await nursery.start(new_client(door).run))

        async def closer() -> None:
            client = await received.receive()
            await works(client)
            client.close()

        nursery.start_soon(opener)
        with trio.fail_after(PATIENCE):
            await closer()


@DOORS
async def test_closing_ends_what_is_in_flight(door: str, served: None) -> None:
    async with trio.open_nursery() as nursery:
        client = await nursery.start(new_client(door).run)
        failed = trio.Event()

        async def call() -> None:
            with pytest.raises(ConnectionLost):
                await client.call_tool("wait")
            failed.set()

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked(0.05)
        client.close()
        with trio.fail_after(PROMPT):
            await failed.wait()


async def test_async_with_closes_last_in_first_out(served: None) -> None:
    async with new_client("memory").opened() as first, new_client("memory").opened() as second:
        await works(first)
        await works(second)


async def test_a_client_that_cannot_be_opened_says_so_at_once() -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(FileNotFoundError):
            await nursery.start(client_for(["no-such-program-anywhere"]).run)
        with pytest.raises(MCPError):
            await nursery.start(client_for(command("no_such_module")).run)


async def test_options_that_nobody_knows() -> None:
    """A callback under a misspelt name is an error, and not a client that cannot answer."""
    options: dict[str, object] = {"elicitaton": print, "time_out": 5}
    with pytest.raises(TypeError, match="elicitaton, time_out"):
        async with open_client(chatty.server, **options):  # type: ignore[arg-type]
            pass
