"""Cancelled at whichever checkpoint, everything ends as it should.

Guarantees 2, 10, 21, 22, 23 and 24, for each moment at which a client, a server or a connection can
be given up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator  # noqa: TC003
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from pydantic import BaseModel
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.cancelling import Ledger, add_waiting, at_each_checkpoint
from trimcp import Context, Limits, MCPError, Server, open_client, open_stream_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.cancelling import Moment
    from trimcp import Client, Statistics

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


@asynccontextmanager
async def connected(server: Server[None], revision: str) -> AsyncIterator[Client]:
    """A client over a stream, where messages may be cut anywhere."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        async with open_stream_client(ours, revision=revision, elicitation=answer) as client:
            yield client
    # The server has ended by itself, since its client is gone.


async def held(server: Server[None], ledger: Ledger) -> tuple[list[str], Statistics]:
    """What is held when nothing happens any more, and nobody waits for an answer any more."""
    await trio.sleep(Limits().parked_seconds + 10)
    await wait_all_tasks_blocked()
    return sorted(ledger.open), server.statistics()


# -- the promises -------------------------------------------------------------------------------


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_request_that_is_given_up(
    revision: str, use: Callable[[Client], Awaitable[None]]
) -> None:
    """Its handler ends, and the connection serves the next one."""

    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        async with connected(server, revision) as client:
            before = await held(server, ledger)
            with moment.inside():
                await use(client)
            assert await held(server, ledger) == before
            await use(client)
            assert await held(server, ledger) == before
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 5


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_client_that_is_given_up(revision: str, use: Callable[[Client], Awaitable[None]]) -> None:
    """Opening, using and closing it: the server ends, for it served nobody else."""

    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        ours, theirs = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_stream, theirs)
            with moment.inside():
                async with open_stream_client(
                    ours, revision=revision, elicitation=answer
                ) as client:
                    await use(client)
            await ours.aclose()
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 20


@pytest.mark.parametrize("how", ["cancelled", "shut down"])
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_server_that_is_given_up(
    revision: str, use: Callable[[Client], Awaitable[None]], how: str
) -> None:
    """Its handlers and lifespans end; its client has its answer, or an error instead of waiting."""

    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        ours, theirs = memory_stream_pair()

        async def serve() -> None:
            with moment.inside(server.shutdown if how == "shut down" else None):
                await server.serve_stream(theirs)
            assert ledger.open == []
            await theirs.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            try:
                async with open_stream_client(
                    ours, revision=revision, elicitation=answer, timeout=1000
                ) as client:
                    await use(client)
            except* MCPError:
                assert moment.has_come
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 20


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("revision", REVISIONS)
def test_both_in_memory(revision: str, use: Callable[[Client], Awaitable[None]]) -> None:
    """A client and its server in one scope."""

    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        with moment.inside():
            async with open_client(server, revision=revision, elicitation=answer) as client:
                await use(client)
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 20
