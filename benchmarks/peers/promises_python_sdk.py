"""The server of the experiments with the official Python SDK, the way its documentation does it.

Usage: `python promises_python_sdk.py stdio`, `… http PORT`, or `… deadline` for standard streams
under a cancel scope that ends after a second.
"""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel


class Answer(BaseModel):
    """What `ask` wants to know."""

    ok: bool


def say(text: str) -> None:
    """Tell the experiment what happens."""
    print(text, file=sys.stderr, flush=True)


@asynccontextmanager
async def lifespan(server: MCPServer) -> AsyncIterator[None]:
    """Say when it is left."""
    try:
        yield
    finally:
        say("lifespan left")


mcp = MCPServer("promises", lifespan=lifespan)


@mcp.tool()
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@mcp.tool()
async def hang() -> str:
    """Never ends by itself."""
    say("hang began")
    try:
        await anyio.sleep_forever()
    finally:
        say("hang finally")
    return "never"


@mcp.tool()
async def wait(seconds: float) -> str:
    """Ends after so many seconds."""
    say("wait began")
    await anyio.sleep(seconds)
    return "waited"


@mcp.tool()
def block(seconds: float) -> str:
    """Blocks its thread."""
    time.sleep(seconds)
    return "blocked"


@mcp.tool()
async def thread() -> str:
    """Needs a thread itself."""
    return await anyio.to_thread.run_sync(lambda: "from a thread")


@mcp.tool()
async def big(size: int) -> str:
    """A long text."""
    return "x" * size


@mcp.tool()
async def fail() -> str:
    """Fails as nobody meant it to."""
    raise ValueError("the password is swordfish")


async def no_such_city() -> None:
    """Raise the error that is meant for the model."""
    raise ToolError("no such city")


async def no_such_shelf() -> None:
    """Raise the error of the protocol."""
    raise MCPError(4711, "no such shelf")


@mcp.tool()
async def tool_error() -> str:
    """Raises the error for the model in a task of its own."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(no_such_city)
    return "never"


@mcp.tool()
async def request_error() -> str:
    """Raises the error of the protocol in a task of its own."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(no_such_shelf)
    return "never"


@mcp.tool()
def prints() -> str:
    """`print`, flushed and not."""
    print("noise, flushed", flush=True)
    print("noise in the buffer")
    return "printed"


@mcp.tool()
def child() -> str:
    """A child that copies its input to its output, and inherits both."""
    subprocess.run(["sh", "-c", "cat; echo noise of a child"], check=True)
    return "ended"


@mcp.tool()
async def countdown(steps: int, ctx: Context) -> str:
    """Report so many steps."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps)
    return "done"


@mcp.tool()
async def chat(lines: int, size: int, ctx: Context) -> str:
    """Log so many lines."""
    for number in range(1, lines + 1):
        await ctx.info(f"{number}".ljust(size))
    return "said"


@mcp.tool()
async def ask(ctx: Context) -> str:
    """Ask the user."""
    say("ask began")
    try:
        await ctx.elicit("Go on?", Answer)
    finally:
        say("ask finally")
    return "answered"


async def under_a_deadline() -> None:
    """Serve for a second."""
    began = anyio.current_time()
    with anyio.move_on_after(1):
        say("serving")
        await mcp.run_stdio_async()
    say(f"returned {anyio.current_time() - began - 1:.3f}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stdio"]:
            mcp.run()
        case ["http", port]:
            mcp.run("streamable-http", port=int(port))
        case ["deadline"]:
            anyio.run(under_a_deadline)
