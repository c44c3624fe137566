"""`move_on_after(1)` around `serve_stdio()`, and a line on standard output afterwards."""

from __future__ import annotations

import os

import trio

from tests.guarantees.programs.doors import noted_lifespan, say
from trimcp import Server

server: Server[None] = Server("cancelled", lifespan=noted_lifespan)


@server.tool
async def hang() -> str:
    """Never ends by itself."""
    say("hang began")
    try:
        await trio.sleep_forever()
    finally:
        say("hang finally")
    return "never"


async def main() -> None:
    with trio.move_on_after(1) as scope:
        say("serving")
        await server.serve_stdio()
    late = trio.current_time() - scope.deadline
    say(f"returned {scope.cancelled_caught} {late:.3f}")
    # The standard streams are this process's own again, and as they were.
    print("goodbye", os.get_blocking(0), os.get_blocking(1), flush=True)


if __name__ == "__main__":
    trio.run(main)
