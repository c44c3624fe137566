"""The server of the experiments with FastMCP, the way its documentation does it.

Usage: `python promises_fastmcp.py stdio`, `… http PORT`, or `… deadline` for standard streams under
a cancel scope that ends after a second. `--mask` hides the details of errors, `--protect` looks at
Host and Origin.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from mcp import MCPError


@dataclass
class Answer:
    """What `ask` wants to know."""

    ok: bool


def say(text: str) -> None:
    """Tell the experiment what happens."""
    print(text, file=sys.stderr, flush=True)


@asynccontextmanager
async def lifespan(server: FastMCP) -> AsyncIterator[None]:
    """Say when it is left."""
    try:
        yield
    finally:
        say("lifespan left")


mcp = FastMCP("promises", lifespan=lifespan, mask_error_details="--mask" in sys.argv)


@mcp.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@mcp.tool
async def hang() -> str:
    """Never ends by itself."""
    say("hang began")
    try:
        await anyio.sleep_forever()
    finally:
        say("hang finally")
    return "never"


@mcp.tool
async def wait(seconds: float) -> str:
    """Ends after so many seconds."""
    say("wait began")
    await asyncio.sleep(seconds)
    return "waited"


@mcp.tool
def block(seconds: float) -> str:
    """Blocks its thread."""
    time.sleep(seconds)
    return "blocked"


@mcp.tool
async def thread() -> str:
    """Needs a thread itself."""
    return await asyncio.to_thread(lambda: "from a thread")


@mcp.tool
async def big(size: int) -> str:
    """A long text."""
    return "x" * size


@mcp.tool
async def fail() -> str:
    """Fails as nobody meant it to."""
    raise ValueError("the password is swordfish")


async def no_such_city() -> None:
    """Raise the error that is meant for the model."""
    raise ToolError("no such city")


async def no_such_shelf() -> None:
    """Raise the error of the protocol."""
    raise MCPError(4711, "no such shelf")


@mcp.tool
async def tool_error() -> str:
    """Raises the error for the model in a task of its own."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(no_such_city())
    return "never"


@mcp.tool
async def request_error() -> str:
    """Raises the error of the protocol in a task of its own."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(no_such_shelf())
    return "never"


@mcp.tool
def prints() -> str:
    """`print`, flushed and not."""
    print("noise, flushed", flush=True)
    print("noise in the buffer")
    return "printed"


@mcp.tool
def child() -> str:
    """A child that copies its input to its output, and inherits both."""
    subprocess.run(["sh", "-c", "cat; echo noise of a child"], check=True)
    return "ended"


@mcp.tool
async def countdown(steps: int, ctx: Context) -> str:
    """Report so many steps."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps)
    return "done"


@mcp.tool
async def chat(lines: int, size: int, ctx: Context) -> str:
    """Log so many lines."""
    for number in range(1, lines + 1):
        await ctx.info(f"{number}".ljust(size))
    return "said"


@mcp.tool
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
        await mcp.run_async(show_banner=False)
    say(f"returned {anyio.current_time() - began - 1:.3f}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stdio", *_]:
            mcp.run(show_banner=False)
        case ["http", port]:
            mcp.run(transport="http", port=int(port), show_banner=False)
        case ["http", port, "--protect"]:
            mcp.run("http", port=int(port), host_origin_protection=True, show_banner=False)
        case ["deadline"]:
            asyncio.run(under_a_deadline())
