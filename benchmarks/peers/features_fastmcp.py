"""The features of `features_trimcp.py` with FastMCP, as its documentation has them.

It has no streaming tools, and no `subscriptions/listen`.
"""

from fastmcp import Context, FastMCP

mcp = FastMCP("bench")


@mcp.tool
async def large(size: int) -> str:
    """A text of a certain length."""
    return "x" * size


@mcp.tool
async def progress(count: int, ctx: Context) -> int:
    """Reports how far it is."""
    for number in range(count):
        await ctx.report_progress(number + 1, count)
    return count


if __name__ == "__main__":
    mcp.run(show_banner=False)
