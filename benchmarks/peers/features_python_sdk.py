"""The features of `features_trimcp.py` with the official Python SDK, as its documentation has them.

Usage: `python features_python_sdk.py`, or `… PORT` for HTTP. It has no streaming tools.
"""

import sys

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("bench", log_level="WARNING")


@server.tool()
async def large(size: int) -> str:
    """A text of a certain length."""
    return "x" * size


@server.tool()
async def progress(count: int, ctx: Context) -> int:
    """Reports how far it is."""
    for number in range(count):
        await ctx.report_progress(number + 1, count)
    return count


@server.resource("bench://data")
async def data() -> str:
    """Something that changes."""
    return "data"


@server.tool()
async def touch(ctx: Context) -> str:
    """Say that it has changed."""
    await ctx.notify_resource_updated("bench://data")
    return "touched"


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
