"""Tools that wait: for ever, for a signal, for a moment, in a thread."""

from __future__ import annotations

import os
import signal
import threading

import trio

from tests.guarantees.programs.doors import arguments, noted_lifespan, say, serve
from trimcp import Context, Server

options = arguments()
server: Server[None] = Server(
    "waiting",
    lifespan=noted_lifespan,
    shutdown_grace=options.grace,
    eof_grace=options.eof_grace,
)
released = trio.Event()


@server.on_shutdown
async def closing() -> None:
    say("on_shutdown")


@server.background_task
async def watch_release() -> None:
    """SIGUSR1 lets the calls of `until_released` end."""
    with trio.open_signal_receiver(signal.SIGUSR1) as received:
        say("release armed")
        async for _ in received:
            released.set()


@server.tool
async def hang(label: str, ctx: Context[None]) -> str:
    """Never ends by itself; when it is cancelled it still tries to send something."""
    say(f"{label} began")
    await ctx.report_progress(1)
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        say(f"{label} cancelled")
        raise
    finally:
        with trio.CancelScope(shield=True, relative_deadline=1):
            await ctx.report_progress(2)
        say(f"{label} finally")
    return "never"


@server.tool
async def hold(label: str, ctx: Context[None]) -> str:
    """Never ends by itself, and says so whenever it is cancelled."""
    try:
        await ctx.report_progress(1)
        say(f"{label} began")
        await trio.sleep_forever()
    finally:
        say(f"{label} finally")
    return "never"


@server.tool
def hang_in_thread(label: str) -> str:
    """Blocks its thread for ever."""
    say(f"{label} began")
    threading.Event().wait()
    return "never"


@server.tool
async def until_released(label: str) -> str:
    """Ends when the process gets SIGUSR1."""
    say(f"{label} began")
    await released.wait()
    return f"{label} released"


@server.tool
async def released_after_progress(ctx: Context[None]) -> str:
    """Reports progress, and ends when the process gets SIGUSR1."""
    await ctx.report_progress(1)
    await released.wait()
    return "released"


@server.tool
async def moment(seconds: float) -> str:
    """Ends after that time."""
    await trio.sleep(seconds)
    return f"waited {seconds}"


@server.tool
def add(a: int, b: int) -> int:
    """A synchronous tool."""
    return a + b


@server.tool
async def pid() -> int:
    """The process id."""
    return os.getpid()


if __name__ == "__main__":
    trio.run(serve, server, options)
