"""A server and its client that do everything there is to give up."""

from __future__ import annotations

from collections.abc import AsyncIterator  # noqa: TC003
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from pydantic import BaseModel
from trio.testing import wait_all_tasks_blocked

from tests.cancelling import add_waiting
from trimcp import Context, Limits, Server

if TYPE_CHECKING:
    from tests.cancelling import Ledger
    from trimcp import Client, Statistics

__all__ = [
    "REVISIONS",
    "USES",
    "a_server",
    "answer",
    "be_asked",
    "call",
    "held",
    "list_everything",
    "listen",
    "stop_streaming",
    "stream",
]

REVISIONS = ["2025-11-25", "2026-07-28"]


class Sure(BaseModel):
    sure: bool


def a_server(ledger: Ledger) -> Server[None]:
    """Its code tells the ledger where it is, and waits wherever it can."""

    @asynccontextmanager
    async def lifespan(_: Server[None]) -> AsyncIterator[None]:
        with ledger.entered("lifespan"):
            await trio.sleep(0.1)
            yield
            with trio.CancelScope(shield=True, relative_deadline=1):
                await trio.sleep(0.1)

    @asynccontextmanager
    async def session_lifespan(_: Any) -> AsyncIterator[None]:
        with ledger.entered("session"):
            await trio.sleep(0.1)
            yield

    server: Server[None] = Server("s", lifespan=lifespan, session_lifespan=session_lifespan)

    @server.background_task
    async def ticking() -> None:
        with ledger.entered("background"):
            await trio.sleep_forever()

    add_waiting(server, ledger)

    @server.tool
    async def ask(ctx: Context) -> str:
        with ledger.entered("ask"):
            answer = await ctx.elicit("Sure?", Sure)
            return str(answer.sure)

    return server


# -- what a client does -------------------------------------------------------------------------


async def call(client: Client) -> None:
    seen: list[float] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        await trio.sleep(0.1)
        seen.append(done)

    result = await client.call_tool("work", progress=on_progress)
    assert result.text == "done"
    assert seen == [1]


async def stream(client: Client) -> None:
    async with client.stream_tool("count") as chunks:
        assert [chunk async for chunk in chunks] == [0, 1, 2]
        assert chunks.result.text == "2"


async def stop_streaming(client: Client) -> None:
    async with client.stream_tool("count") as chunks:
        assert await anext(chunks) == 0


async def be_asked(client: Client) -> None:
    result = await client.call_tool("ask")
    assert result.text == "True"


async def listen(client: Client) -> None:
    async with client.listen(resources=["test://data"], tools_list_changed=True):
        await trio.sleep(1)


async def list_everything(client: Client) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.list_tools)
        nursery.start_soon(client.list_resources)
        nursery.start_soon(client.read_resource, "test://data")


USES = [call, stream, stop_streaming, be_asked, listen, list_everything]


async def answer(form: Any) -> dict[str, Any]:
    await trio.sleep(0.1)
    return {"sure": True}


async def held(server: Server[None], ledger: Ledger) -> tuple[list[str], Statistics]:
    """What is held when nothing happens any more, and nobody waits for an answer any more."""
    await trio.sleep(Limits().parked_seconds + 10)
    await wait_all_tasks_blocked()
    return sorted(ledger.open), server.statistics()
