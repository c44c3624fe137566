"""The smallest server that shows something.

trimcp call docs/examples/quickstart.py add a=2 b=3
trimcp call docs/examples/quickstart.py count_to n=5
"""

import trio

from trimcp import Context, Server

server = Server("quickstart", version="1.0")


@server.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@server.tool
async def count_to(n: int, ctx: Context, seconds: float = 0.3) -> str:
    """Count slowly, and tell how far it is.

    Args:
        n: How far to count.
        seconds: How long each step takes.
    """
    for i in range(n):
        await trio.sleep(seconds)
        await ctx.report_progress(i + 1, n, f"counted to {i + 1}")
    return f"Counted to {n}."


if __name__ == "__main__":
    trio.run(server.serve_stdio)
