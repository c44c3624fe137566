"""A lifespan, made with the official SDK."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mcp.server import MCPServer
from mcp.server.mcpserver import Context


@dataclass
class Store:
    values: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def lifespan(server: MCPServer) -> AsyncIterator[Store]:
    store = Store({"start": 7})
    try:
        yield store
    finally:
        print(f"closed with {len(store.values)} values", file=sys.stderr)


mcp = MCPServer("store", version="1.0", lifespan=lifespan)


@mcp.tool()
async def keep(name: str, value: int, ctx: Context[Store]) -> int:
    """Keep a value; how many there are."""
    store = ctx.request_context.lifespan_context
    store.values[name] = value
    return len(store.values)


if __name__ == "__main__":
    mcp.run()
