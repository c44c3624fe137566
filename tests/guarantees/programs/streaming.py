"""Streaming tools that never end by themselves, and tools beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator  # noqa: TC003  the server reads them
from typing import Any

import attrs
import trio

from tests.guarantees.harness import Resources
from tests.guarantees.programs.doors import arguments, say, serve
from trimcp import Limits, Server

server: Server[None] = Server("streaming", limits=Limits(outbox_bytes=100_000), eof_grace=0.1)
yielded = 0


@server.tool
async def endless(size: int, every: float = 0) -> AsyncIterator[str]:
    """Chunks of that size, as fast as they are taken."""
    global yielded
    yielded = 0
    say("began")
    try:
        while True:
            yield "x" * size
            yielded += 1
            await trio.sleep(every)
    finally:
        say("closed")


@server.tool
def endless_in_a_thread(size: int) -> Iterator[str]:
    """The same without `async`."""
    say("began")
    try:
        while True:
            yield "x" * size
    finally:
        say("closed")


@server.tool
async def failing(after: int) -> AsyncIterator[int]:
    """Fails after so many chunks."""
    for number in range(after):
        yield number
    raise ValueError("a secret")


@server.tool
async def holds() -> dict[str, Any]:
    """How far the generator is, what the server counts, and what the process holds."""
    counts = attrs.asdict(server.statistics()) | attrs.asdict(Resources.now())
    return {"yielded": yielded, **counts}


if __name__ == "__main__":
    trio.run(serve, server, arguments())
