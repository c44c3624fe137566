"""The same server with the official Python SDK of the 1.x generation, on standard streams.

Its first versions look at annotations as they are, so they must not be strings here.
"""

from mcp.server.fastmcp import Context, FastMCP

mcp = FastMCP("older-peer")


@mcp.tool()
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@mcp.tool()
async def steps(ctx: Context) -> str:
    """Report three steps."""
    for step in range(3):
        await ctx.report_progress(step + 1, 3)
    return "done"


@mcp.tool()
def fail() -> str:
    """Fail, as a tool may."""
    raise ValueError("this tool always fails")


@mcp.resource("note://one")
def note() -> str:
    """A note."""
    return "a note"


@mcp.prompt()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Greet {name}."


if __name__ == "__main__":
    mcp.run()
