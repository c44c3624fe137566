"""A lifespan, made with trimcp."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from trimcp import Context, Server


@dataclass
class Store:
    values: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def lifespan(server: Server[Store]) -> AsyncIterator[Store]:
    store = Store({"start": 7})
    try:
        yield store
    finally:
        print(f"closed with {len(store.values)} values", file=sys.stderr)


server = Server("store", version="1.0", lifespan=lifespan)


@server.tool
async def keep(name: str, value: int, ctx: Context[Store]) -> int:
    """Keep a value; how many there are."""
    store = ctx.lifespan_context
    store.values[name] = value
    return len(store.values)


if __name__ == "__main__":
    trio.run(server.serve_stdio)
