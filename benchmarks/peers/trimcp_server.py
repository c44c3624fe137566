"""The server under test, written the way a user of trimcp writes one."""

import trio

from trimcp import Server

server = Server("bench")


@server.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


if __name__ == "__main__":
    trio.run(server.serve_stdio)
