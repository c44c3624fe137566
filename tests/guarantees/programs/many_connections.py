"""Says what it holds, before and after connections by the thousand.

`memory BEFORE AFTER` opens them in this process, one after another; `tcp` and `websocket` serve
a port, and tell whoever asks.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import attrs
import trio

from tests.guarantees.harness import Resources
from tests.guarantees.programs.doors import say
from trimcp import Limits, Server, open_client

# Whoever asks what is held answers no ping while others come and go, on a slow machine for long.
server: Server[None] = Server("many", limits=Limits(heartbeat_seconds=600))


@server.tool
async def hello() -> str:
    """A greeting."""
    return "hello"


@server.tool
async def hang() -> str:
    """Never ends by itself."""
    await trio.sleep_forever()
    return "never"


@server.tool
async def holds() -> dict[str, Any]:
    """What the process holds, and how many connections it serves."""
    return {"connections": server.statistics().connections, **attrs.asdict(Resources.now())}


async def in_memory() -> None:
    before, after = (int(text) for text in sys.argv[2:])
    async with server.application():
        for count in range(after):
            if count == before:
                first = Resources.now()
            revision = ("2025-11-25", "2026-07-28")[count % 2]
            async with open_client(server, revision=revision) as client:
                await client.call_tool("hello")
                if count % 10 == 0:
                    with trio.move_on_after(0):
                        await client.call_tool("hang")
        growth = Resources.now().since(first)
    say(f"grown {json.dumps(attrs.asdict(growth))}")


async def over_sockets() -> None:
    serve = server.serve_tcp if sys.argv[1] == "tcp" else server.serve_websocket
    async with trio.open_nursery() as nursery:
        [(_, port)] = await nursery.start(serve, "127.0.0.1", 0)
        say(f"listening {port}")


if __name__ == "__main__":
    trio.run(in_memory if sys.argv[1] == "memory" else over_sockets)
