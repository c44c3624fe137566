"""Guarantee 11: subscribers are told.

"Shutdown with an open `subscriptions/listen`: the stream ends with its completion result inside
the grace period (on streams followed by `notifications/cancelled`)."
"""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import (
    ResourceUpdated,
    open_stdio_client,
    open_tcp_client,
    open_unix_client,
    open_websocket_client,
)

from .harness import (
    PROMPT,
    ROOT,
    STATELESS,
    Wire,
    command,
    connect_to,
    listen,
    opened,
    started,
    stream_wire,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trimcp import Client

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
DOORS = ["stdio", "tcp", "unix", "websocket"]

#: A grace that no test lives to see the end of.
LONG = 600


async def expect_end(wire: Wire, *identities: str) -> None:
    """The result of each subscription, and then its cancellation; nothing else."""
    answered: list[str] = []
    cancelled: list[str] = []
    while len(cancelled) < len(identities):
        message = await wire.receive(PROMPT)
        if "result" in message:
            assert message["result"]["resultType"] == "complete"
            assert message["result"]["_meta"][SUBSCRIPTION] == message["id"]
            answered.append(message["id"])
        else:
            assert message["method"] == "notifications/cancelled"
            assert message["params"]["requestId"] in answered, "cancelled before it was answered"
            cancelled.append(message["params"]["requestId"])
    assert sorted(answered) == sorted(cancelled) == sorted(identities)


async def subscribe(wire: Wire, identity: str, **wanted: Any) -> None:
    await wire.send(listen(identity, **wanted))
    acknowledged = await wire.receive()
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "shutdown"])
@pytest.mark.parametrize("door", DOORS)
async def test_the_stream_ends_with_its_result(door: str, way: str, tmp_path: Path) -> None:
    """At once, though the grace is long; the call in flight beside it goes on meanwhile."""
    path = tmp_path / "socket"
    argv = command("notifying", door, "--path", path, "--grace", LONG)
    async with (
        started(argv) as program,
        opened(program, door, path) as wire,
        stream_wire(await connect_to("tcp", await program.port())) as control,
    ):
        await subscribe(wire, "one", resourceSubscriptions=["thing://1"])
        await subscribe(wire, "two", toolsListChanged=True)
        await wire.send(STATELESS.call("call", "until_released", {"label": "call"}))
        await program.stderr.wait("call began")
        # What happened before is told before.
        await control.ask(STATELESS.call("change", "change", {"resources": 2, "rounds": 1}))
        assert (await wire.receive())["params"]["uri"] == "thing://1"

        if way == "shutdown":
            await control.send(STATELESS.call("down", "shut_down", {"grace": LONG}))
        else:
            program.signal(signal.Signals[way])
        await expect_end(wire, "one", "two")
        assert program.process.returncode is None

        program.signal(signal.SIGUSR1)
        assert (await wire.answer("call", PROMPT))["result"]["content"][0]["text"]
        assert await wire.receive_all(PROMPT) == []
        status, _ = await program.wait_exit(PROMPT)
        assert status == 0


@pytest.mark.parametrize("door", ["stdio", "tcp"])
async def test_default_grace(door: str, tmp_path: Path) -> None:
    """Nothing but subscriptions open: the server is gone at once."""
    async with (
        started(command("notifying", door)) as program,
        opened(program, door, tmp_path) as wire,
    ):
        await subscribe(wire, "one", resourceSubscriptions=["thing://1"])
        program.signal(signal.SIGTERM)
        await expect_end(wire, "one")
        status, _ = await program.wait_exit(PROMPT)
        assert status == 0
        assert "Traceback" not in await program.stderr.whole()


@asynccontextmanager
async def client_of(door: str, path: Path) -> AsyncIterator[Client]:
    """Our own client of the program, over a door."""
    argv = command("notifying", door, "--path", path, "--grace", LONG)
    if door == "stdio":
        async with open_stdio_client(argv, cwd=ROOT) as client:
            yield client
        return
    async with started(argv) as program:
        port = await program.port(door)
        if door == "unix":
            opening = open_unix_client(path)
        elif door == "tcp":
            opening = open_tcp_client("127.0.0.1", port)
        else:
            opening = open_websocket_client(f"ws://127.0.0.1:{port}/ws")
        async with opening as client:
            yield client


@pytest.mark.parametrize("door", DOORS)
async def test_a_client_knows_a_graceful_end(door: str, tmp_path: Path) -> None:
    """Iterating ends without an error; what was pending is not lost."""
    async with (
        client_of(door, tmp_path / "socket") as client,
        client.listen(resources=["thing://0"]) as changes,
    ):
        await client.call_tool("change", {"resources": 1, "rounds": 1})
        await client.call_tool("shut_down", {"grace": LONG})
        with trio.fail_after(PROMPT):
            assert [change async for change in changes] == [ResourceUpdated("thing://0")]
