"""The server of the experiments, as a user of trimcp writes one.

Usage: `python promises_trimcp.py stdio`, `… http PORT`, or `… deadline` for standard streams under
a cancel scope that ends after a second.
"""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from pydantic import BaseModel

from trimcp import Context, RequestError, Server, ToolError


class Answer(BaseModel):
    """What `ask` wants to know."""

    ok: bool


def say(text: str) -> None:
    """Tell the experiment what happens."""
    print(text, file=sys.stderr, flush=True)


@asynccontextmanager
async def lifespan(server: Server[None]) -> AsyncIterator[None]:
    """Say when it is left."""
    try:
        yield
    finally:
        say("lifespan left")


server = Server("promises", lifespan=lifespan)


@server.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@server.tool
async def hang() -> str:
    """Never ends by itself."""
    say("hang began")
    try:
        await trio.sleep_forever()
    finally:
        say("hang finally")
    return "never"


@server.tool
async def wait(seconds: float) -> str:
    """Ends after so many seconds."""
    say("wait began")
    await trio.sleep(seconds)
    return "waited"


@server.tool
def block(seconds: float) -> str:
    """Blocks its thread."""
    time.sleep(seconds)
    return "blocked"


@server.tool
async def thread() -> str:
    """Needs a thread itself."""
    return await trio.to_thread.run_sync(lambda: "from a thread")


@server.tool
async def big(size: int) -> str:
    """A long text."""
    return "x" * size


@server.tool
async def fail() -> str:
    """Fails as nobody meant it to."""
    raise ValueError("the password is swordfish")


async def no_such_city() -> None:
    """Raise the error that is meant for the model."""
    raise ToolError("no such city")


async def no_such_shelf() -> None:
    """Raise the error of the protocol."""
    raise RequestError(4711, "no such shelf")


@server.tool
async def tool_error() -> str:
    """Raises the error for the model in a task of its own."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(no_such_city)
    return "never"


@server.tool
async def request_error() -> str:
    """Raises the error of the protocol in a task of its own."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(no_such_shelf)
    return "never"


@server.tool
def prints() -> str:
    """`print`, flushed and not."""
    print("noise, flushed", flush=True)
    print("noise in the buffer")
    return "printed"


@server.tool
def child() -> str:
    """A child that copies its input to its output, and inherits both."""
    subprocess.run(["sh", "-c", "cat; echo noise of a child"], check=True)
    return "ended"


@server.tool
async def countdown(steps: int, ctx: Context) -> str:
    """Report so many steps."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps)
    return "done"


@server.tool
async def chat(lines: int, size: int, ctx: Context) -> str:
    """Log so many lines."""
    for number in range(1, lines + 1):
        await ctx.info(f"{number}".ljust(size))
    return "said"


@server.tool
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
    began = trio.current_time()
    with trio.move_on_after(1):
        say("serving")
        await server.serve_stdio()
    say(f"returned {trio.current_time() - began - 1:.3f}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stdio"]:
            trio.run(server.serve_stdio)
        case ["http", port]:
            trio.run(server.serve_http, "127.0.0.1", int(port))
        case ["deadline"]:
            trio.run(under_a_deadline)
