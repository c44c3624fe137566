"""A tool that says more than anybody wants to read."""

from __future__ import annotations

import trio

from tests.guarantees.programs.doors import arguments, say, serve
from trimcp import Context, Server

options = arguments()
server: Server[None] = Server("noisy", shutdown_grace=options.grace)


@server.tool
async def flood(ctx: Context[None]) -> None:
    """Reports progress for ever."""
    for number in range(1, 1_000_000_000):
        await ctx.report_progress(number, message="x" * 10_000)
        if number == 10:
            say("flooding")


@server.tool
async def add(a: int, b: int) -> int:
    """A sign of life."""
    return a + b


if __name__ == "__main__":
    trio.run(serve, server, options)
