"""A server that reports a lot: progress and log messages, as many as it is told."""

from __future__ import annotations

import trio

from tests.guarantees.programs.doors import arguments, serve
from trimcp import Context, Server

server: Server[None] = Server("chatty")


@server.tool
async def report(progress: int, logs: int, ctx: Context) -> str:
    """Reports that often, then ends."""
    for number in range(max(progress, logs)):
        if number < progress:
            await ctx.report_progress(number, progress)
        if number < logs:
            await ctx.info(number)
    return "reported"


@server.tool
async def wait() -> str:
    """Never ends by itself."""
    await trio.sleep_forever()
    return "never"


if __name__ == "__main__":
    trio.run(serve, server, arguments())
