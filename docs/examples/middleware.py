"""What wraps every request: how long it takes, and how many there may be."""

import logging
from typing import Any
from weakref import WeakKeyDictionary

import trio

from trimcp import CallNext, Context, LimitExceeded, Server

logger = logging.getLogger("middleware")

server = Server("middleware", version="1.0")


@server.middleware
async def timed(ctx: Context, call_next: CallNext) -> Any:
    """The first is the outermost, so this one also sees what the next one refuses."""
    began = trio.current_time()
    outcome = "failed"
    try:
        result = await call_next()
        outcome = "done"
        return result
    finally:
        logger.info("%s %s in %.3f s", ctx.method, outcome, trio.current_time() - began)


class RateLimit:
    """So many calls at once, and one more every so many seconds, for each client."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._calls = calls
        self._seconds = seconds
        # When the calls made so far will have been paid off.
        self._paid: WeakKeyDictionary[object, float] = WeakKeyDictionary()

    async def __call__(self, ctx: Context, call_next: CallNext) -> Any:
        if ctx.method == "tools/call":
            # Stateless requests over HTTP belong to no session: they share the server's limit.
            self._charge(ctx.session or server)
        return await call_next()

    def _charge(self, client: object) -> None:
        now = trio.current_time()
        paid = max(self._paid.get(client, now), now) + self._seconds
        wait = paid - now - self._calls * self._seconds
        if wait > 0:
            raise LimitExceeded(f"too many calls: wait {wait:.1f} s", {"seconds": wait})
        self._paid[client] = paid


server.middleware(RateLimit(calls=5, seconds=10))


@server.tool
async def roll(sides: int = 6) -> int:
    """Roll a die."""
    await trio.sleep(0.01)
    return sides // 2 + 1


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    trio.run(server.serve_stdio)
