"""A server made with FastMCP, on standard streams, or on HTTP at the port that is given."""

from __future__ import annotations

import sys

from fastmcp import Context, FastMCP

mcp: FastMCP = FastMCP("fastmcp-peer")


@mcp.tool
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@mcp.tool
async def steps(ctx: Context) -> str:
    """Report three steps."""
    for step in range(3):
        await ctx.report_progress(step + 1, 3)
    return "done"


@mcp.tool
def fail() -> str:
    """Fail, as a tool may."""
    raise ValueError("this tool always fails")


@mcp.resource("note://one")
def note() -> str:
    """A note."""
    return "a note"


@mcp.prompt
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Greet {name}."


if __name__ == "__main__":
    if sys.argv[1:]:
        mcp.run(transport="http", port=int(sys.argv[1]))
    else:
        mcp.run()
