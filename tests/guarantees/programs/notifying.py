"""Tells of changes, as many as it is told to.

Beside the door that the command line names there is always a port, for those who watch what
becomes of a subscriber that does not read.
"""

from __future__ import annotations

import signal
from typing import Any

import attrs
import trio

from tests.guarantees.harness import Resources
from tests.guarantees.programs.doors import arguments, say
from trimcp import Limits, Server

options = arguments()
limits = Limits(outbox_bytes=100_000)
server: Server[None] = Server("notifying", limits=limits, shutdown_grace=options.grace)
released = trio.Event()


@server.resource("thing://{number}")
async def thing(number: int) -> str:
    """Something that changes."""
    return str(number)


@server.tool
async def change(resources: int, rounds: int) -> str:
    """Tell of the first so many resources, so many times."""
    for _ in range(rounds):
        for number in range(resources):
            await server.notify_resource_updated(f"thing://{number}")
    return "changed"


@server.tool
async def holds() -> dict[str, Any]:
    """What the server counts, and what the process holds."""
    return {**attrs.asdict(server.statistics()), **attrs.asdict(Resources.now())}


@server.background_task
async def watch_release() -> None:
    """SIGUSR1 lets the calls of `until_released` end."""
    with trio.open_signal_receiver(signal.SIGUSR1) as received:
        async for _ in received:
            released.set()


@server.tool
async def until_released(label: str) -> str:
    """Ends when the process gets SIGUSR1."""
    say(f"{label} began")
    await released.wait()
    return f"{label} released"


@server.tool
async def shut_down(grace: float) -> str:
    """Shut the server down."""
    server.shutdown(grace=grace)
    return "shutting down"


async def main() -> None:
    async with server.application(), trio.open_nursery() as nursery:
        if options.door == "stdio":
            await nursery.start(server.serve_stdio)
        elif options.door == "unix":
            await nursery.start(server.serve_unix, options.path)
        elif options.door == "websocket":
            [(_, port)] = await nursery.start(server.serve_websocket, "127.0.0.1", 0)
            say(f"websocket {port}")
        [(_, port)] = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
        say(f"listening {port}")


if __name__ == "__main__":
    trio.run(main)
