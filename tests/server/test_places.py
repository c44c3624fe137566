"""Whatever becomes of a request, its place among those in flight is free again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
import trio.testing
from pydantic import BaseModel

from trimcp import Client, Context, Limits, MCPError, Server
from trimcp.testing import open_memory_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PLACES: Final = 3

#: More often than there are places.
OFTEN: Final = 2 * PLACES + 1


class Word(BaseModel):
    word: str


class Crowd:
    """A server with few places.

    Attributes:
        most: How many of its handlers have run at the same time.
    """

    def __init__(self) -> None:
        self.server: Server[None] = Server("few places", limits=Limits(in_flight=PLACES))
        self.most = 0
        self._running = 0
        self.server.tool(self.wait)
        self.server.tool(self.ask)
        self.server.tool(self.might_ask)
        self.server.tool(self.fail)

    async def wait(self, seconds: float) -> str:
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            await trio.sleep(seconds)
        finally:
            self._running -= 1
        return "waited"

    async def ask(self, ctx: Context) -> str:
        return (await ctx.elicit("a word?", Word)).word

    async def might_ask(self, ctx: Context, seconds: float) -> str:
        return await self.wait(seconds)

    async def fail(self) -> str:
        raise RuntimeError("meant to fail")


async def answered(client: Client) -> None:
    await client.call_tool("wait", {"seconds": 1})


async def left(client: Client) -> None:
    with trio.move_on_after(1):
        await client.call_tool("wait", {"seconds": 1000})


async def late(client: Client) -> None:
    await client.call_tool("wait", {"seconds": 1000}, timeout=1)


async def left_at_once(client: Client) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.call_tool("wait", {"seconds": 1000})


async def left_before_asked(client: Client) -> None:
    with trio.move_on_after(1):
        await client.call_tool("might_ask", {"seconds": 1000})


async def left_while_asked(client: Client) -> None:
    with trio.move_on_after(1):
        await client.call_tool("ask")


async def failed(client: Client) -> None:
    await client.call_tool("fail")


async def wrong(client: Client) -> None:
    await client.call_tool("wait", {"seconds": "many"})


async def unknown(client: Client) -> None:
    await client.request("nobody/knows", {})


async def never(form: Any) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize(
    "becomes",
    [
        *(answered, left, late, left_at_once, left_before_asked, left_while_asked),
        *(failed, wrong, unknown),
    ],
)
async def test_its_place_is_free_again(
    becomes: Callable[[Client], Awaitable[None]],
    revision: str,
    autojump_clock: trio.testing.MockClock,
) -> None:
    crowd = Crowd()
    async with open_memory_client(crowd.server, revision=revision, elicitation=never) as client:
        for _ in range(OFTEN):
            with suppress(MCPError):
                await becomes(client)
            await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            for _ in range(PLACES):
                nursery.start_soon(answered, client)
    assert crowd.most == PLACES
