"""Streaming tools that yield inside a nursery or a cancel scope, as a context manager may."""

from __future__ import annotations

from collections.abc import AsyncIterator  # noqa: TC003  the server reads it
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Server, ToolError, open_client

if TYPE_CHECKING:
    from trimcp.types import CallToolResult

ERAS = pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])


class Scoped:
    """A server whose tools yield in scopes.

    Attributes:
        entries: What happened.
    """

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.server: Server[None] = Server("scoped")
        for tool in (
            *(self.in_nursery, self.in_time, self.out_of_time, self.in_two_times),
            *(self.broken, self.endless, self.stubborn, self.open_scope),
        ):
            self.server.tool(tool)

    async def in_nursery(self, to: int) -> AsyncIterator[int]:
        """Its chunks are made by other tasks."""
        send, receive = trio.open_memory_channel[int](0)

        async def make(number: int) -> None:
            await trio.sleep(number)
            await send.send(number)

        async with trio.open_nursery() as nursery:
            for number in range(to):
                nursery.start_soon(make, number)
            for _ in range(to):
                yield await receive.receive()
        self.entries.append("closed")

    async def in_time(self, to: int) -> AsyncIterator[int]:
        with trio.fail_after(1000), trio.CancelScope(), trio.move_on_after(1000):
            for number in range(to):
                yield number

    async def out_of_time(self, seconds: float) -> AsyncIterator[int]:
        """Ends the counting after so many seconds, and yields one thing more."""
        with trio.move_on_after(seconds) as scope:
            for number in range(1000):
                yield number
                await trio.sleep(1)
        yield -1 if scope.cancelled_caught else -2

    async def in_two_times(self) -> AsyncIterator[int]:
        """Waits for its consumer in both scopes, until each has ended."""
        with trio.move_on_after(20):
            with trio.move_on_after(10):
                for number in range(1000):
                    yield number
                    await trio.sleep(1)
            yield -1
            yield -2
            yield -3
            await trio.sleep_forever()

    async def broken(self) -> AsyncIterator[int]:
        """One of its tasks fails while nobody takes what it has yielded."""

        async def fail() -> None:
            await trio.sleep(5)
            raise ToolError("a task failed")

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                for number in range(1000):
                    yield number
                    await trio.sleep(1)
        finally:
            self.entries.append("closed")

    async def endless(self) -> AsyncIterator[int]:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                number = 0
                while True:
                    yield number
                    number += 1
                    await trio.sleep(1)
        finally:
            self.entries.append("closed")

    async def stubborn(self) -> AsyncIterator[int]:
        """Cannot be cancelled where it yields."""
        number = 0
        while True:
            try:
                yield number
                number += 1
                await trio.sleep(1)
            except trio.Cancelled:
                self.entries.append("cancelled")

    async def open_scope(self) -> AsyncIterator[int]:
        """Leaves a cancelled scope open, as no context manager does."""
        scope = trio.CancelScope()
        scope.__enter__()
        yield 1
        scope.cancel()
        yield 2


async def taken(
    server: Server[None], revision: str, name: str, pause: float = 0, **arguments: Any
) -> tuple[list[Any], CallToolResult]:
    """All chunks, and the result."""
    async with (
        open_client(server, revision=revision) as client,
        client.stream_tool(name, arguments, buffer=1) as stream,
    ):
        chunks = []
        async for chunk in stream:
            chunks.append(chunk)
            await trio.sleep(pause)
        return chunks, stream.result


@ERAS
@pytest.mark.parametrize("name", ["in_nursery", "in_time"])
async def test_a_generator_yields_in_scopes(
    name: str, revision: str, autojump_clock: trio.abc.Clock
) -> None:
    chunks, result = await taken(Scoped().server, revision, name, to=20)
    assert chunks == list(range(20))
    assert not result.is_error


@ERAS
@pytest.mark.parametrize("pause", [0, 0.5, 2.5, 50])
async def test_its_deadline_passes_wherever_it_waits(
    pause: float, revision: str, autojump_clock: trio.abc.Clock
) -> None:
    chunks, result = await taken(Scoped().server, revision, "out_of_time", pause, seconds=9.5)
    assert chunks[-1] == -1
    assert chunks[:-1] == list(range(len(chunks) - 1))
    assert not result.is_error


@ERAS
async def test_two_deadlines_pass_while_it_waits(
    revision: str, autojump_clock: trio.abc.Clock
) -> None:
    chunks, result = await taken(Scoped().server, revision, "in_two_times", 6)
    assert chunks[-2:] == [-1, -2]
    assert not result.is_error


@ERAS
async def test_a_scope_that_it_leaves_open(
    revision: str, autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    _, result = await taken(Scoped().server, revision, "open_scope")
    assert result.is_error
    assert "a scope of its own that it left open" in caplog.text


async def test_a_generator_that_swallows_its_cancellation_ends(
    autojump_clock: trio.abc.Clock,
) -> None:
    scoped = Scoped()
    async with open_client(scoped.server) as client:
        async with client.stream_tool("stubborn", buffer=1) as stream:
            assert await anext(stream) == 0
            await trio.sleep(100)
        await trio.testing.wait_all_tasks_blocked()
        assert scoped.server.statistics().in_flight == 0
    # Where it slept and where it yielded.
    assert scoped.entries == ["cancelled"] * 2


@ERAS
@pytest.mark.parametrize("pause", [0, 3, 50])
async def test_a_task_of_it_fails(
    pause: float, revision: str, autojump_clock: trio.abc.Clock
) -> None:
    scoped = Scoped()
    chunks, result = await taken(scoped.server, revision, "broken", pause)
    assert chunks == list(range(len(chunks)))
    assert result.is_error
    assert "a task failed" in str(result.content)
    assert scoped.entries == ["closed"]


@ERAS
@pytest.mark.parametrize("pause", [0, 50])
async def test_leaving_closes_it(
    pause: float,
    revision: str,
    autojump_clock: trio.abc.Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scoped = Scoped()
    async with open_client(scoped.server, revision=revision) as client:
        async with client.stream_tool("endless", buffer=1) as stream:
            async for chunk in stream:
                await trio.sleep(pause)
                if chunk == 3:
                    break
        await trio.testing.wait_all_tasks_blocked()
        assert scoped.entries == ["closed"]
        assert scoped.server.statistics().in_flight == 0
        # The client is as good as before.
        async with client.stream_tool("in_nursery", {"to": 2}) as stream:
            assert [chunk async for chunk in stream] == [0, 1]
    assert not caplog.records
