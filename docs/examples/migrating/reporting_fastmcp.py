"""Progress and logging, made with FastMCP."""

import asyncio

from fastmcp import Context, FastMCP

mcp = FastMCP("copier", version="1.0")


@mcp.tool
async def copy(files: list[str], ctx: Context) -> int:
    """Copy files."""
    for done, name in enumerate(files, start=1):
        await asyncio.sleep(0.01)  # the work
        await ctx.report_progress(done, len(files), name)
    await ctx.warning("The disk is nearly full.", logger_name="disk")
    return len(files)


if __name__ == "__main__":
    mcp.run()
