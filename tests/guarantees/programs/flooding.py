"""A tool that sends more than anybody reads."""

from __future__ import annotations

import trio

from tests.guarantees.programs.doors import arguments, noted_lifespan, say, serve
from trimcp import Context, Server

options = arguments()
server: Server[None] = Server(
    "flooding",
    lifespan=noted_lifespan,
    shutdown_grace=options.grace,
    eof_grace=options.eof_grace,
)


@server.tool
async def flood(ctx: Context[None]) -> str:
    """Reports progress for ever; says when there is no more room for it."""
    try:
        for step in range(1_000_000_000):
            with trio.move_on_after(0.2) as scope:
                await ctx.report_progress(step, message="x" * 100_000)
            if scope.cancelled_caught:
                say("stuck")
    finally:
        say("flood finally")
    return "never"


@server.tool
async def big(size: int) -> str:
    """A long answer."""
    return "x" * size


if __name__ == "__main__":
    trio.run(serve, server, options)
