"""The same server with FastMCP, written the way its documentation does.

Usage: `python fastmcp_server.py`, or `… PORT` for HTTP.
"""

import sys

from fastmcp import FastMCP

mcp = FastMCP("bench")


@mcp.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


if __name__ == "__main__":
    if sys.argv[1:]:
        # At its default level it would write a line for each request, which the others do not.
        port = int(sys.argv[1])
        mcp.run(transport="http", port=port, log_level="warning", show_banner=False)
    else:
        mcp.run(show_banner=False)
