"""Synchronous tools that block, beside asynchronous ones that must not notice."""

from __future__ import annotations

import threading

import trio

from tests.guarantees.programs.doors import arguments, say, serve
from trimcp import Limits, Server

options = arguments()
server: Server[None] = Server("blocking", eof_grace=0.2, limits=Limits(threads=40))
release = threading.Event()


@server.tool
def block() -> str:
    """Blocks until `let_go`."""
    release.wait()
    return "let go"


@server.tool
async def let_go() -> str:
    """Ends all that `block`."""
    release.set()
    return "done"


@server.tool
async def counts() -> dict[str, int]:
    """How many threads run, and how many requests there are."""
    now = server.statistics()
    return {"threads": now.threads, "abandoned": now.abandoned_threads, "open": now.in_flight}


@server.tool
async def own_thread() -> str:
    """An asynchronous tool that needs a thread itself."""
    return await trio.to_thread.run_sync(lambda: "from a thread")


@server.tool
async def hang() -> str:
    """Never ends by itself."""
    say("hang began")
    try:
        await trio.sleep_forever()
    finally:
        say("hang finally")
    return "never"


if __name__ == "__main__":
    trio.run(serve, server, options)
