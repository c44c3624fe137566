"""A server with many tools. Usage: `python tools_trimcp.py COUNT`."""

import sys

import trio
from trimcp_server import server


async def other(text: str, number: int = 1) -> str:
    """Another tool."""
    return text * number


if __name__ == "__main__":
    for count in range(int(sys.argv[1]) - 1):
        server.tool(name=f"other_{count}")(other)
    trio.run(server.serve_stdio)
