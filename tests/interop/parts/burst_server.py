"""A trimcp server whose tool answers immediately after its last report of progress."""

from __future__ import annotations

import trio

from trimcp import Context, Server

server = Server("burst")


@server.tool
async def burst(steps: int, ctx: Context) -> str:
    """Report so many steps, without any pause."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps)
    return "done"


if __name__ == "__main__":
    trio.run(server.serve_stdio)
