"""A tool that streams: chunks as it goes, and a result at the end."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio

from trimcp import Final, Server

server = Server("streaming")


@dataclass
class Chunk:
    current: int
    total: int
    data: str


@dataclass
class Done:
    message: str
    status: str


@server.tool
async def stream_data(items: int = 5, delay: float = 1.0) -> AsyncIterator[Chunk | Final[Done]]:
    """Stream some items."""
    for i in range(items):
        yield Chunk(current=i + 1, total=items, data=f"Item {i + 1}")
        await trio.sleep(delay)
    yield Final(Done(message=f"Completed {items} items", status="done"))


if __name__ == "__main__":
    trio.run(server.serve_stdio)
