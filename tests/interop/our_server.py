"""A stdio server made with trimcp, the peer of the clients of other SDKs.

Usage: ``python our_server.py``

It offers the tools of `server.mjs` and `server_sdk.py`; each request says its era itself.
"""

from __future__ import annotations

import sys

import attrs
import pydantic
import trio

from trimcp import AnswerRefused, Context, Server, ToolError

STEP_SECONDS = 0.05
"""Between two steps of progress, so that each is read by itself: the TypeScript SDK's client
drops progress that arrives in one chunk with the answer."""


class Confirmation(pydantic.BaseModel):
    """The form that `ask` sends."""

    ok: bool


@attrs.define
class Cancellations:
    """How many calls of `forever` this process has seen cancelled."""

    count: int = 0


async def report_steps(steps: int, ctx: Context) -> None:
    """Send 1 … `steps`."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await trio.sleep(STEP_SECONDS)


def add_tools(server: Server) -> None:
    """Register the tools that end by themselves."""

    @server.tool
    async def add(a: int, b: int) -> int:
        """Add two integers."""
        return a + b

    @server.tool
    async def slow(ctx: Context) -> str:
        """Report three steps of progress."""
        await report_steps(3, ctx)
        return "done"

    @server.tool
    async def countdown(steps: int, ctx: Context) -> str:
        """Report so many steps."""
        await report_steps(steps, ctx)
        return "liftoff"

    @server.tool
    async def fail() -> None:
        """Fail, as a tool may."""
        raise ToolError("this tool always fails")

    @server.tool
    async def ask(ctx: Context) -> str:
        """Ask the user yes or no."""
        try:
            answer = await ctx.elicit("Go on?", Confirmation)
        except AnswerRefused:
            return "no"
        return "yes" if answer.ok else "no"


def add_cancellation(server: Server) -> None:
    """Register a tool that never returns and one that tells how often it was cancelled."""
    seen = Cancellations()

    @server.tool
    async def forever() -> None:
        """Wait to be cancelled."""
        try:
            await trio.sleep_forever()
        finally:
            seen.count += 1

    @server.tool
    async def cancelled() -> str:
        """Cancelled calls of forever."""
        return str(seen.count)


def create_server() -> Server:
    """Build the server, with every tool registered."""
    server: Server = Server(
        "trimcp-peer", version="1.0.0", instructions="A peer for interoperability tests."
    )
    add_tools(server)
    add_cancellation(server)
    return server


async def serve_websocket() -> None:
    """Serve on a WebSocket, and say where."""
    async with trio.open_nursery() as nursery:
        [(host, port)] = await nursery.start(create_server().serve_websocket, "127.0.0.1", 0)
        print(f"ws://{host}:{port}/ws", flush=True)


async def serve_http() -> None:
    """Serve over HTTP, and say where."""
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(create_server().serve_http, "127.0.0.1", 0)
        print(f"{url}/mcp", flush=True)


if __name__ == "__main__":
    ways = {"--ws": serve_websocket, "--http": serve_http}
    trio.run(ways[sys.argv[1]] if sys.argv[1:] else create_server().serve_stdio)
