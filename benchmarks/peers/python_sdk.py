"""The same server with the official Python SDK, written the way its documentation does.

Usage: `python python_sdk.py`, or `… PORT` for HTTP.
"""

import sys

from mcp.server import MCPServer

# At its default level it would write a line for each HTTP request, which the others do not.
server = MCPServer("bench", log_level="WARNING")


@server.tool()
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
