"""Questions to the client where a handler uses Trio as other programs do, in both eras."""

from __future__ import annotations

from collections.abc import AsyncIterator  # noqa: TC003  the server reads it
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import CallNext, ConnectionLost, Context, Limits, Server, open_memory_client
from trimcp.errors import MCPError, RequestTimeout
from trimcp.protocol import LATEST, LATEST_HANDSHAKE

if TYPE_CHECKING:
    from trimcp.types import ElicitRequestFormParams

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])

PARKED_SECONDS = 600.0


@dataclass
class Text:
    value: str


async def answer_late(form: ElicitRequestFormParams) -> dict[str, Any]:
    await trio.sleep(2.5)
    return {"value": "answer"}


async def answer_never(form: ElicitRequestFormParams) -> dict[str, Any]:
    await trio.sleep_forever()
    raise AssertionError("not reached")


# -- middleware that gives up what it awaits ---------------------------------------------------


@by_era
async def test_a_handler_that_middleware_gives_up_is_cancelled(
    revision: str, autojump_clock: trio.abc.Clock
) -> None:
    server: Server[None] = Server("asking")
    ends: list[float] = []

    @server.tool
    async def job(ctx: Context) -> str:
        try:
            await trio.sleep(1000)
        finally:
            ends.append(trio.current_time())
        return "done"

    @server.middleware
    async def limit(ctx: Context, call_next: CallNext) -> Any:
        with trio.move_on_after(5):
            return await call_next()
        return {"content": [{"type": "text", "text": "too slow"}]}

    async with open_memory_client(server, revision=revision, elicitation=answer_late) as client:
        began = trio.current_time()
        result = await client.call_tool("job")
        assert result.text == "too slow"
        await trio.testing.wait_all_tasks_blocked()
        assert ends == [began + 5]
        assert server.statistics().parked == 0


@by_era
async def test_the_loser_of_a_race_is_cancelled(
    revision: str, autojump_clock: trio.abc.Clock
) -> None:
    server: Server[None] = Server("asking")
    entries: list[str] = []
    delays = iter([1000.0, 1.0])

    @server.tool
    async def job(ctx: Context) -> str:
        delay = next(delays)
        try:
            await trio.sleep(delay)
        except trio.Cancelled:
            entries.append(f"cancelled: {delay:g}")
            raise
        return f"done: {delay:g}"

    @server.middleware
    async def hedge(ctx: Context, call_next: CallNext) -> Any:
        results: list[Any] = []

        async def run() -> None:
            results.append(await call_next())
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await trio.sleep(3)
            nursery.start_soon(run)
        return results[0]

    async with open_memory_client(server, revision=revision, elicitation=answer_late) as client:
        assert (await client.call_tool("job")).text == "done: 1"
        await trio.testing.wait_all_tasks_blocked()
    assert entries == ["cancelled: 1000"]


# -- streaming tools that ask ------------------------------------------------------------------


def streaming() -> Server[None]:
    server: Server[None] = Server("asking")

    @server.tool
    async def between(ctx: Context) -> AsyncIterator[str]:
        yield "a"
        yield "b"
        yield (await ctx.elicit("who?", Text)).value
        yield "end"

    @server.tool
    async def meanwhile(ctx: Context) -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.elicit, "who?", Text)
            for number in range(5):
                yield number
                await trio.sleep(1)

    return server


@by_era
@pytest.mark.parametrize("buffer", [1, 100])
async def test_no_chunk_is_lost_around_a_question(
    buffer: int, revision: str, autojump_clock: trio.abc.Clock
) -> None:
    async with open_memory_client(
        streaming(), revision=revision, elicitation=answer_late
    ) as client:
        # Which task Trio runs first is left to chance.
        for _ in range(20):
            async with client.stream_tool("between", buffer=buffer) as stream:
                assert [chunk async for chunk in stream] == ["a", "b", "answer", "end"]


@by_era
async def test_chunks_of_the_time_of_a_question_come_after_it(
    revision: str, autojump_clock: trio.abc.Clock
) -> None:
    async with open_memory_client(
        streaming(), revision=revision, elicitation=answer_late
    ) as client:
        for _ in range(20):
            async with client.stream_tool("meanwhile") as stream:
                assert [chunk async for chunk in stream] == list(range(5))


# -- questions that cannot be answered any more ------------------------------------------------


def shielded(ends: list[str]) -> Server[None]:
    """A server whose tool asks in a shield, and notes what the question raises."""
    server: Server[None] = Server("asking", limits=Limits(parked_seconds=30))

    @server.tool
    async def job(ctx: Context, after: float = 0) -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(after)
            try:
                return (await ctx.elicit("who?", Text)).value
            except BaseException as error:
                ends.append(type(error).__name__)
                raise

    return server


@by_era
async def test_a_question_in_a_shield_ends_with_the_connection(
    revision: str, autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """That is no failure of the handler, which could not know it."""
    ends: list[str] = []
    server = shielded(ends)
    with trio.fail_after(10):
        async with open_memory_client(
            server, revision=revision, elicitation=answer_never
        ) as client:
            with trio.move_on_after(1):
                await client.call_tool("job")
    assert ends == ["ConnectionLost"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@by_era
@pytest.mark.parametrize("after", [0, 5])
async def test_a_question_in_a_shield_ends_with_the_server(
    after: float,
    revision: str,
    autojump_clock: trio.abc.Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also one that is asked when the server has been cancelled already."""
    ends: list[str] = []
    server = shielded(ends)

    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        async with server.application(signals=False):
            task_status.started()
            await trio.sleep(1)
            server.shutdown(grace=1)
            await trio.sleep_forever()

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        async with open_memory_client(
            server, revision=revision, elicitation=answer_never
        ) as client:
            with pytest.raises(MCPError):
                await client.call_tool("job", {"after": after})
    assert ends == ["ConnectionLost"]
    assert trio.current_time() <= began + max(after, 2) + 0.5
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@by_era
async def test_a_question_in_a_shield_ends_in_time(
    revision: str, autojump_clock: trio.abc.Clock
) -> None:
    ends: list[str] = []
    server = shielded(ends)
    async with open_memory_client(server, revision=revision, elicitation=answer_never) as client:
        with trio.move_on_after(31):
            await client.call_tool("job")
        await trio.testing.wait_all_tasks_blocked()
        assert ends == ["RequestTimeout"]
        assert server.statistics().parked == 0


async def test_who_outlives_the_handler_cannot_ask(autojump_clock: trio.abc.Clock) -> None:
    """Nor is a question answered that is open when the handler ends; nothing is kept of them."""
    ends: list[str] = []

    @asynccontextmanager
    async def lifespan(server: Server[trio.Nursery]) -> AsyncIterator[trio.Nursery]:
        async with trio.open_nursery() as nursery:
            yield nursery
            nursery.cancel_scope.cancel()

    server = Server("asking", lifespan=lifespan)

    @server.tool
    async def job(ctx: Context[trio.Nursery], seconds: float) -> str:
        async def ask() -> None:
            await trio.sleep(seconds)
            with pytest.raises((ConnectionLost, RequestTimeout)):
                await ctx.elicit("who?", Text)
            ends.append("refused")

        ctx.lifespan_context.start_soon(ask)
        await trio.sleep(1)
        return "started"

    async with open_memory_client(server, revision=LATEST.date, elicitation=answer_never) as client:
        await client.call_tool("job", {"seconds": 5})
        await trio.sleep(10)
        assert ends == ["refused"]
        with trio.move_on_after(5):
            await client.call_tool("job", {"seconds": 0})
        await trio.sleep(PARKED_SECONDS)
        assert ends == ["refused"] * 2
        assert server.statistics().parked == 0
