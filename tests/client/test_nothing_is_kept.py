"""A call that has failed is gone with everything that its caller held: no reference cycle."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator  # noqa: TC003  the server reads it
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trimcp import Client, MCPError, RequestError, Server, open_stream_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Kept:
    """Something that a caller holds."""


alive: weakref.WeakSet[Kept] = weakref.WeakSet()


def make_server() -> Server[None]:
    server: Server[None] = Server("s")

    @server.tool
    async def fail() -> None:
        raise RequestError(7, "no")

    @server.tool
    async def hang() -> None:
        await trio.sleep_forever()

    @server.tool
    async def stream(fails: bool) -> AsyncIterator[int]:
        yield 1
        if fails:
            raise RequestError(7, "no")
        await trio.sleep_forever()

    server.resource("test://data")(lambda: "data")
    return server


async def call(client: Client, tool: str) -> None:
    kept = Kept()
    alive.add(kept)
    await client.call_tool(tool)


async def read_stream(client: Client, fails: bool) -> None:
    kept = Kept()
    alive.add(kept)
    async with client.stream_tool("stream", {"fails": fails}) as chunks:
        async for _ in chunks:
            pass


async def listen(client: Client) -> None:
    kept = Kept()
    alive.add(kept)
    async with client.listen(resources=["test://data"]) as changes:
        async for _ in changes:
            pass


USES: dict[str, tuple[Callable[..., Awaitable[None]], tuple[object, ...]]] = {
    "a call that fails": (call, ("fail",)),
    "a call that is lost": (call, ("hang",)),
    "a stream that fails": (read_stream, (True,)),
    "a stream that is lost": (read_stream, (False,)),
    "a subscription that is lost": (listen, ()),
}


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_failed_use_keeps_nothing(revision: str, name: str, autojump_clock: object) -> None:
    use, arguments = USES[name]
    ours, theirs = trio.testing.memory_stream_pair()

    async def fail() -> None:
        with suppress(MCPError):
            await use(client, *arguments)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(make_server().serve_stream, theirs)
        async with open_stream_client(ours, revision=revision) as client:
            await client.list_tools()
            gc.collect()
            gc.disable()
            try:
                async with trio.open_nursery() as calls:
                    calls.start_soon(fail)
                    await trio.testing.wait_all_tasks_blocked()
                    if name.endswith("lost"):
                        assert len(alive) == 1
                        await theirs.aclose()
                assert len(alive) == 0
            finally:
                gc.enable()
