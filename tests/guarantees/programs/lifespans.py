"""A server that hangs where it is told to: `DOOR STAGE`.

The stages are entering the lifespan, a hook at the start, the bus, a hook at the end, and leaving
the lifespan. At each of them it says so, and `released` when it gets SIGUSR1.
"""

from __future__ import annotations

import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from tests.guarantees.programs.doors import say
from trimcp import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

door, stage = sys.argv[1:]


async def hang_at(name: str) -> None:
    """Wait for SIGUSR1, if this is the stage."""
    if name != stage:
        return
    with trio.open_signal_receiver(signal.SIGUSR1) as received:
        say(f"at {name}")
        await anext(aiter(received))
        say("released")


@asynccontextmanager
async def lifespan(server: Server[Any]) -> AsyncIterator[None]:
    """Hangs on either side, and cleans up."""
    try:
        await hang_at("entering")
        yield
    finally:
        try:
            # Cleaning up waits for something.
            await trio.lowlevel.checkpoint()
            say("cleaned up")
            await hang_at("leaving")
        finally:
            say("lifespan left")


class Bus:
    """Never connects, if this is the stage."""

    async def publish(self, change: Any) -> None:
        """To nobody."""

    async def run(self, deliver: Any, *, task_status: trio.TaskStatus[None]) -> None:
        """Run for ever."""
        await hang_at("bus")
        task_status.started()
        await trio.sleep_forever()


server: Server[None] = Server("lifespans", lifespan=lifespan, bus=Bus())


@server.on_startup
async def starting() -> None:
    await hang_at("on_startup")


@server.on_shutdown
async def closing() -> None:
    await hang_at("on_shutdown")
    say("closed")


async def main() -> None:
    """Serve, as a program that wants to know where it listens does."""
    doors: dict[str, Any] = {
        "stdio": server.serve_stdio,
        "tcp": lambda **given: server.serve_tcp("127.0.0.1", 0, **given),
        "http": lambda **given: server.serve_http("127.0.0.1", 0, **given),
    }
    if door == "application":
        async with server.application():
            await server.serve_tcp("127.0.0.1", 0)
        return
    async with trio.open_nursery() as nursery:
        listening = await nursery.start(doors[door])
        say(f"listening {listening}")


if __name__ == "__main__":
    trio.run(main)
