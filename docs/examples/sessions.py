"""What each client has for itself, and a lifespan that is made of two."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import trio

from trimcp import Context, Server, Session, ToolError, combine_lifespans

Shelf: TypeAlias = Counter[str]
Till: TypeAlias = list[str]
Basket: TypeAlias = Counter[str]

Shop: TypeAlias = tuple[Shelf, Till]


@asynccontextmanager
async def shelf(server: Server) -> AsyncIterator[Shelf]:
    yield Counter(apple=3, pear=2)


@asynccontextmanager
async def till(server: Server) -> AsyncIterator[Till]:
    yield []


@asynccontextmanager
async def basket(session: Session[Shop]) -> AsyncIterator[Basket]:
    """Each client has one. What it does not buy goes back on the shelf when it leaves."""
    taken: Basket = Counter()
    try:
        yield taken
    finally:
        shelf, _ = session.lifespan_context
        shelf.update(taken)


server = Server(
    "sessions",
    version="1.0",
    lifespan=combine_lifespans(shelf, till),
    session_lifespan=basket,
)


@server.tool
async def take(fruit: str, ctx: Context[Shop, Basket]) -> dict[str, int]:
    """Put a fruit into the basket; return what is in it."""
    shelf, _ = ctx.lifespan_context
    if not shelf[fruit]:
        raise ToolError(f"There is no {fruit} left.")
    shelf[fruit] -= 1
    ctx.session_context[fruit] += 1
    return dict(ctx.session_context)


@server.tool
async def buy(ctx: Context[Shop, Basket]) -> int:
    """Buy what is in the basket; return how many fruits the shop has sold."""
    _, till = ctx.lifespan_context
    till.extend(ctx.session_context.elements())
    ctx.session_context.clear()
    return len(till)


@server.tool
async def left(ctx: Context[Shop]) -> dict[str, int]:
    """What is on the shelf."""
    shelf, _ = ctx.lifespan_context
    return dict(+shelf)


if __name__ == "__main__":
    trio.run(server.serve_stdio)
