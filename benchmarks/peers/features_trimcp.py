"""A server with more than `add`: large results, streams, updates.

Usage: `python features_trimcp.py`, or `… PORT` for HTTP.
"""

import functools
import sys
from collections.abc import AsyncIterator

import trio

from trimcp import Context, Limits, Server

server = Server("bench", limits=Limits(connections=15_000))


@server.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@server.tool
async def large(size: int) -> str:
    """A text of a certain length."""
    return "x" * size


@server.tool
async def stream(count: int) -> AsyncIterator[int]:
    """Numbers, one after another."""
    for number in range(count):
        yield number + 1


@server.tool
async def progress(count: int, ctx: Context) -> int:
    """Reports how far it is."""
    for number in range(count):
        await ctx.report_progress(number + 1, count)
    return count


@server.resource("bench://data")
async def data() -> str:
    """Something that changes."""
    return "data"


@server.tool
async def touch() -> str:
    """Say that it has changed."""
    await server.notify_resource_updated("bench://data")
    return "touched"


if __name__ == "__main__":
    if sys.argv[1:]:
        trio.run(functools.partial(server.serve_http, "127.0.0.1", int(sys.argv[1])))
    else:
        trio.run(server.serve_stdio)
