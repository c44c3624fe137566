"""The shortest server: `trio.run(server.serve_stdio)`, nothing else."""

from __future__ import annotations

import trio

from trimcp import Server

server: Server[None] = Server("plain", eof_grace=2)


@server.tool
def add(a: int, b: int) -> int:
    """A synchronous tool."""
    return a + b


@server.tool
async def moment(seconds: float) -> str:
    """Ends after that time."""
    await trio.sleep(seconds)
    return f"waited {seconds}"


if __name__ == "__main__":
    trio.run(server.serve_stdio)
