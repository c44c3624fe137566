"""Streaming tools: chunks in order, one result, and a generator that always ends."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator  # noqa: TC003  the server reads them
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
import trio.testing

from trimcp import (
    Client,
    Final,
    LimitExceeded,
    Limits,
    RegistrationError,
    RequestError,
    RequestTimeout,
    Server,
    ToolError,
    open_client,
    open_stream_client,
)
from trimcp.errors import LIMIT_EXCEEDED

ERAS = pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25", "2024-11-05"])


@dataclass
class Chunk:
    number: int


@dataclass
class Done:
    total: int


class Journal:
    """What happened in the server, and a way to wait for it."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.yielded = 0
        self._news = trio.Event()

    def note(self, entry: str) -> None:
        self.entries.append(entry)
        self._news.set()

    async def wait_for(self, entry: str) -> None:
        with trio.fail_after(30):
            while entry not in self.entries:
                self._news = trio.Event()
                await self._news.wait()


def make_server(journal: Journal) -> Server:
    server = Server("streaming")

    @server.tool
    async def count(to: int, fail_at: int = -1) -> AsyncIterator[Chunk | Final[Done]]:
        """Counts."""
        try:
            for number in range(to):
                if number == fail_at:
                    raise ToolError(f"failed at {number}")
                journal.yielded += 1
                yield Chunk(number)
                await trio.lowlevel.checkpoint()
            yield Final(Done(to))
        finally:
            journal.note("closed")

    @server.tool
    async def endless() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
                await trio.sleep(1)
        finally:
            journal.note("closed")

    @server.tool
    async def no_final() -> AsyncIterator[int]:
        yield 1
        yield 2

    @server.tool
    async def nothing() -> AsyncIterator[int]:
        return
        yield 0

    @server.tool
    async def too_much() -> AsyncIterator[int | Final[int]]:
        yield Final(1)
        yield 2

    @server.tool
    async def broken_nursery() -> AsyncIterator[int]:
        yield 1
        async with trio.open_nursery():
            raise ToolError("from a nursery")

    return server


async def taken(client: Any, name: str, arguments: dict[str, Any] | None = None) -> Any:
    async with client.stream_tool(name, arguments) as stream:
        return [chunk async for chunk in stream], stream.result


async def until(error: type[Exception], stream: Any) -> list[Any]:
    """The chunks before the error that must come."""
    chunks = []
    try:
        async for chunk in stream:
            chunks.append(chunk)
    except error:
        return chunks
    raise AssertionError(f"no {error.__name__}")


@ERAS
async def test_chunks_then_result(revision: str, autojump_clock: trio.abc.Clock) -> None:
    journal = Journal()
    async with open_client(make_server(journal), revision=revision) as client:
        chunks, result = await taken(client, "count", {"to": 3})
        assert chunks == [{"number": 0}, {"number": 1}, {"number": 2}]
        assert result.content[0].text == '{"total":3}'
        assert journal.entries == ["closed"]


@ERAS
async def test_without_a_token_the_result_is_the_same(
    revision: str, autojump_clock: trio.abc.Clock
) -> None:
    async with open_client(make_server(Journal()), revision=revision) as client:
        plain = await client.call_tool("count", {"to": 3})
        _, streamed = await taken(client, "count", {"to": 3})
        assert plain.content == streamed.content
        assert plain.structured_content == streamed.structured_content


async def test_the_schema_is_that_of_the_final() -> None:
    async with open_client(make_server(Journal())) as client:
        schemas = {tool.name: tool.output_schema for tool in await client.list_tools()}
        assert schemas["count"] is not None
        assert set(schemas["count"]["properties"]) == {"total"}
        assert schemas["no_final"] is None
        assert (await client.call_tool("count", {"to": 1})).structured_content == {"total": 1}


async def test_progress_numbers_increase(autojump_clock: trio.abc.Clock) -> None:
    seen = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with open_client(make_server(Journal())) as client:
        await client.call_tool("count", {"to": 50}, progress=on_progress)
    assert seen
    assert seen == sorted(set(seen))


async def test_the_last_chunk_is_the_result_without_a_final() -> None:
    async with open_client(make_server(Journal())) as client:
        chunks, result = await taken(client, "no_final")
        assert (chunks, result.content[0].text) == ([1, 2], "2")
        chunks, result = await taken(client, "nothing")
        assert (chunks, result.content) == ([], ())


async def test_a_failed_generator_never_looks_finished() -> None:
    journal = Journal()
    async with open_client(make_server(journal)) as client:
        chunks, result = await taken(client, "count", {"to": 5, "fail_at": 2})
        assert [chunk["number"] for chunk in chunks] == [0, 1]
        assert result.is_error
        assert result.content[0].text == "failed at 2"
        assert journal.entries == ["closed"]
        chunks, result = await taken(client, "broken_nursery")
        assert (chunks, result.is_error) == ([1], True)
        assert result.content[0].text == "from a nursery"


async def test_nothing_may_follow_the_final(caplog: pytest.LogCaptureFixture) -> None:
    async with open_client(make_server(Journal())) as client:
        _, result = await taken(client, "too_much")
        assert result.is_error
    assert "after its Final" in caplog.text


@ERAS
async def test_leaving_early_runs_the_finally(
    revision: str, autojump_clock: trio.abc.Clock
) -> None:
    journal = Journal()
    server = make_server(journal)
    async with open_client(server, revision=revision) as client:
        async with client.stream_tool("endless") as stream:
            async for chunk in stream:
                if chunk == 3:
                    break
        await journal.wait_for("closed")
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().in_flight == 0
        # The client is as good as before.
        assert (await taken(client, "no_final"))[0] == [1, 2]


async def test_disconnecting_runs_the_finally(autojump_clock: trio.abc.Clock) -> None:
    journal = Journal()
    ours, theirs = trio.testing.memory_stream_pair()
    server = make_server(journal)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_stream, theirs)
        await ours.send_all(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"endless","_meta":'
            b'{"progressToken":0,"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
            b'"io.modelcontextprotocol/clientCapabilities":{}}}}\n'
        )
        assert b"progress" in await ours.receive_some()
        await ours.aclose()
        await journal.wait_for("closed")


async def test_errors_come_where_the_chunks_do(autojump_clock: trio.abc.Clock) -> None:
    async with open_client(make_server(Journal())) as client:
        with pytest.raises(RequestError, match="Unknown tool"):
            await taken(client, "no_such_tool")
        async with client.stream_tool("endless", timeout=2.5) as stream:
            assert await until(RequestTimeout, stream) == [0, 1, 2]
            with pytest.raises(RuntimeError, match="it failed: RequestTimeout"):
                _ = stream.result
        with pytest.raises(RuntimeError, match="it failed: RequestTimeout"):
            _ = stream.result
        async with client.stream_tool("count", {"to": 2}) as stream:
            with pytest.raises(RuntimeError, match="no result yet"):
                _ = stream.result
        with pytest.raises(KeyError):
            async with client.stream_tool("endless"):
                raise KeyError


@asynccontextmanager
async def over_a_pipe(server: Server) -> AsyncIterator[Client]:
    """A client that the server does not know to be in its own process."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_stream, theirs)
        async with open_stream_client(ours) as client:
            yield client


@ERAS
@pytest.mark.parametrize("buffer", [1, 5])
async def test_a_slow_consumer_pauses_the_generator(
    revision: str, buffer: int, autojump_clock: trio.abc.Clock
) -> None:
    """In memory: so many ahead and no more, and nobody else waits."""
    journal = Journal()
    async with (
        open_client(make_server(journal), revision=revision) as client,
        client.stream_tool("count", {"to": 100}, buffer=buffer) as stream,
    ):
        taken = []
        async for chunk in stream:
            taken.append(chunk["number"])
            await trio.testing.wait_all_tasks_blocked()
            # One more may wait in the channel of the generator, and one for its room.
            assert journal.yielded <= min(100, len(taken) + buffer + 2)
            if len(taken) == 10:
                assert (await client.call_tool("no_final")).content
        assert taken == list(range(100))
        assert stream.result.text == '{"total":100}'


async def test_two_consumers_have_a_pace_of_their_own(autojump_clock: trio.abc.Clock) -> None:
    async with (
        open_client(make_server(Journal())) as client,
        client.stream_tool("count", {"to": 100}, buffer=2) as slow,
    ):
        assert (await anext(slow))["number"] == 0
        assert len((await taken(client, "count", {"to": 100}))[0]) == 100
        assert [chunk["number"] async for chunk in slow] == list(range(1, 100))


async def test_leaving_a_paused_generator_closes_it(autojump_clock: trio.abc.Clock) -> None:
    journal = Journal()
    async with open_client(make_server(journal)) as client:
        async with client.stream_tool("count", {"to": 100}, buffer=1):
            await trio.testing.wait_all_tasks_blocked()
            assert "closed" not in journal.entries
        await journal.wait_for("closed")
        # One that nobody streams is not held back.
        assert not (await client.call_tool("count", {"to": 100})).is_error


async def test_a_chunk_that_is_too_long(autojump_clock: trio.abc.Clock) -> None:
    """It is not lost: the stream fails."""
    server = Server("streaming", limits=Limits(message_bytes=1000))

    @server.tool
    async def grow() -> AsyncIterator[str | Final[str]]:
        for size in (10, 2000, 10):
            yield "x" * size
        yield Final("done")

    async with open_client(server) as client, client.stream_tool("grow") as stream:
        assert await until(RequestError, stream) == ["x" * 10]
        assert isinstance(stream.outcome, RequestError)
        assert stream.outcome.code == LIMIT_EXCEEDED


async def test_more_than_the_buffer_fails_clearly(autojump_clock: trio.abc.Clock) -> None:
    journal = Journal()
    async with over_a_pipe(make_server(journal)) as client:
        async with client.stream_tool("count", {"to": 100}, buffer=5) as stream:
            await journal.wait_for("closed")
            assert len(await until(LimitExceeded, stream)) == 5
        # Other calls were not delayed, and the next ones are served.
        assert (await client.call_tool("no_final")).content


async def test_a_slow_consumer_delays_no_sibling(autojump_clock: trio.abc.Clock) -> None:
    async with (
        over_a_pipe(make_server(Journal())) as client,
        client.stream_tool("endless", buffer=100_000),
    ):
        for _ in range(100):
            with trio.fail_after(1):
                await client.call_tool("no_final")


class TestSynchronous:
    """Generators without async run in threads, and wait for them at the end."""

    @pytest.fixture
    def server(self) -> Server:
        server = Server("threads")

        @server.tool
        def numbers(to: int) -> Iterator[int | Final[str]]:
            try:
                yield from range(to)
                yield Final(f"{threading.current_thread() is threading.main_thread()}")
            finally:
                closed.set()

        closed = threading.Event()
        server.closed = closed  # type: ignore[attr-defined]
        return server

    async def test_chunks_come_from_a_thread(self, server: Server) -> None:
        async with open_client(server) as client:
            chunks, result = await taken(client, "numbers", {"to": 3})
        assert (chunks, result.content[0].text) == ([0, 1, 2], "False")

    async def test_leaving_closes_the_generator(self, server: Server) -> None:
        async with open_client(server) as client:
            async with client.stream_tool("numbers", {"to": 1_000_000}) as stream:
                async for _ in stream:
                    break
            closed: threading.Event = server.closed  # type: ignore[attr-defined]
            assert await trio.to_thread.run_sync(closed.wait, 30)


def test_only_tools_may_be_generators() -> None:
    server = Server("x")

    async def generator() -> AsyncIterator[str]:
        yield "x"

    with pytest.raises(RegistrationError, match="only a tool"):
        server.prompt(generator)
    with pytest.raises(RegistrationError, match="only a tool"):
        server.resource("x:y")(generator)
