"""Leaving a block: what it raises comes out as it is, and the callbacks of a client just end."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from pydantic import BaseModel

from trimcp import (
    Client,
    Context,
    Server,
    client_for,
    open_client,
    open_stdio_client,
    open_stream_client,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

ERAS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])

PROGRAM = "import trio; from trimcp import Server; trio.run(Server('leaving').serve_stdio)"


class Answer(BaseModel):
    word: str


def make_server() -> Server[None]:
    server: Server[None] = Server("leaving")

    @server.tool
    async def talk(ctx: Context) -> str:
        await ctx.info("said")
        return "done"

    @server.tool
    async def ask(ctx: Context) -> str:
        return (await ctx.elicit("a word?", Answer)).word

    @server.tool
    async def slow() -> str:
        await trio.sleep(1000)
        return "done"

    return server


async def block_of(
    way: str, nursery: trio.Nursery, stack: AsyncExitStack
) -> AbstractAsyncContextManager[object]:
    """The context manager whose block is looked at, and what it needs around it."""
    server = make_server()
    if way == "memory":
        return open_client(server)
    if way == "stdio":
        return open_stdio_client([sys.executable, "-c", PROGRAM])
    if way == "application":
        return server.application()
    if way == "stream":
        ours, theirs = trio.testing.memory_stream_pair()
        await nursery.start(server.serve_stream, theirs)
        return open_stream_client(ours)
    client = await stack.enter_async_context(open_client(server))
    return client.listen(tools_list_changed=True) if way == "listen" else client.stream_tool("slow")


ERRORS: list[BaseException] = [
    ValueError("cleaning up failed"),
    KeyboardInterrupt(),
    SystemExit(3),
    ExceptionGroup("of the user", [ValueError("one")]),
    ExceptionGroup("of the user", [ValueError("one"), ExceptionGroup("inner", [KeyError("two")])]),
]


@pytest.mark.parametrize(
    "way", ["memory", "stream", "stdio", "application", "listen", "stream_tool"]
)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_what_the_block_raises_comes_out(
    way: str, error: BaseException, is_cancelled: bool
) -> None:
    raised: list[BaseException] = []
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        block = await block_of(way, nursery, stack)
        with trio.CancelScope() as scope:
            try:
                async with block:
                    if is_cancelled:
                        scope.cancel()
                    try:
                        await trio.lowlevel.checkpoint()
                    finally:
                        raise error
            except BaseException as caught:
                raised.append(caught)
        nursery.cancel_scope.cancel()
    assert raised == [error]


@pytest.mark.parametrize("way", ["memory", "stream", "stdio", "application"])
async def test_a_cancellation_comes_out(way: str) -> None:
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        block = await block_of(way, nursery, stack)
        with trio.CancelScope() as scope:
            async with block:
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_what_a_session_lifespan_raises_when_its_server_is_cancelled_comes_out() -> None:
    @asynccontextmanager
    async def lifespan(session: object) -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise ValueError("cleaning up failed")

    server: Server[None] = Server("leaving", session_lifespan=lifespan)
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            with scope, pytest.raises(ValueError, match="cleaning up failed"):
                await server.serve_stream(theirs, task_status=task_status)

        await nursery.start(serve)
        async with open_stream_client(ours, revision="2025-11-25") as client:
            await client.ping()
            scope.cancel()


async def test_a_group_passes_a_lifespan_with_a_nursery(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def lifespan(server: Server[None]) -> AsyncIterator[None]:
        async with trio.open_nursery():
            yield

    error = ExceptionGroup("of the user", [ValueError("one"), KeyError("two")])
    with pytest.raises(ExceptionGroup) as raised:
        async with Server("leaving", lifespan=lifespan).application():
            raise error
    assert raised.value is error
    assert not caplog.records


@ERAS
@pytest.mark.parametrize("tool", ["talk", "ask"])
async def test_a_callback_that_calls_the_server_ends_with_the_client(
    tool: str,
    revision: str,
    autojump_clock: trio.abc.Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clients: list[Client] = []
    ends: list[str] = []

    async def call_back(_: Any) -> Any:
        try:
            await clients[0].call_tool("slow")
        except BaseException as error:
            ends.append(type(error).__name__)
            raise

    async with open_client(
        make_server(), revision=revision, logging=call_back, log_level="info", elicitation=call_back
    ) as client:
        clients.append(client)
        with trio.move_on_after(5):
            await client.call_tool(tool)
    # A question's callback may see that no answer can come any more.
    assert ends in (["Cancelled"], ["ConnectionLost"])
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_is_not_connected_says_so() -> None:
    client = client_for(make_server())
    with pytest.raises(RuntimeError, match="not connected: start it with"):
        await client.call_tool("slow")
    with pytest.raises(RuntimeError, match="not connected: start it with"):
        _ = client.revision


async def test_a_client_connects_once() -> None:
    client = client_for(make_server())
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run)
        with pytest.raises(RuntimeError, match="only once: make another"):
            await client.run()
        await client.ping()
        client.close()
