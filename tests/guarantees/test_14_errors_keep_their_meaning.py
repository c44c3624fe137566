"""Guarantee 14: errors keep their meaning.

"`ToolError` and `RequestError` raised inside a nursery of the tool's own keep text and code; a
user's exception inside `async with open_client(…)` comes out bare."
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import (
    Client,
    RequestError,
    Server,
    open_client,
    open_stdio_client,
    open_stream_client,
    open_tcp_client,
    open_unix_client,
    open_websocket_client,
)

from .harness import ERAS, ROOT, Dialect, command, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REVISIONS = ["2025-11-25", "2026-07-28"]


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
async def test_raised_by_a_tool(dialect: Dialect, tmp_path: Path) -> None:
    async with serving("failing", "stdio", tmp_path) as peer:
        wire, said = peer.wire, peer.program.stderr
        for tool, arguments in (
            ("tool_error", {"nursery": False}),
            ("tool_error", {"nursery": True}),
            ("sync_tool_error", {}),
        ):
            answer = await wire.ask(dialect.call(tool, tool, arguments))
            assert answer["result"]["isError"] is True
            assert answer["result"]["content"] == [{"type": "text", "text": "try a smaller number"}]
        for tool, arguments in (
            ("request_error", {"nursery": False}),
            ("request_error", {"nursery": True}),
            ("sync_request_error", {}),
        ):
            answer = await wire.ask(dialect.call(tool, tool, arguments))
            assert answer["error"] == {
                "code": 4711,
                "message": "no such shelf",
                "data": {"shelf": [1, 2]},
            }
        # None of this is anything that an operator must be told.
        assert not any("Traceback" in text for text in said.seen), said.seen

        # What is meant for the model gets there, also beside what is not.
        answer = await wire.ask(dialect.call("mixed", "mixed"))
        assert answer["result"]["isError"] is True
        assert answer["result"]["content"] == [{"type": "text", "text": "try a smaller number"}]
        await said.wait_for(lambda text: "swordfish" in text)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_received_by_a_client(revision: str, tmp_path: Path) -> None:
    argv = command("failing", "stdio")
    async with open_stdio_client(argv, cwd=ROOT, revision=revision) as client:
        result = await client.call_tool("tool_error", {"nursery": True})
        assert result.is_error
        with pytest.raises(RequestError) as caught:
            await client.call_tool("request_error", {"nursery": True})
        error = caught.value
        assert (error.code, error.message) == (4711, "no such shelf")
        assert error.data == {"shelf": [1, 2]}


# -- what leaves `async with open_client(…)` --------------------------------------------------


class Mine(Exception):
    """A user's exception."""


class MineToo(Exception):
    """Another one."""


@asynccontextmanager
async def opened(way: str, tmp_path: Path, revision: str) -> AsyncIterator[Client]:
    """A client over each way, with no exception group of the server's side in between."""
    if way == "stdio":
        argv = command("waiting", "stdio", "--eof-grace", 0.1)
        async with open_stdio_client(argv, cwd=ROOT, revision=revision) as client:
            yield client
        return
    server: Server[None] = Server("memory")

    @server.tool
    async def hang() -> None:
        await trio.sleep_forever()

    if way == "memory":
        async with open_client(server, revision=revision) as client:
            yield client
        return
    raise ValueError(way)


async def raise_in(way: str, where: str, tmp_path: Path, revision: str) -> None:
    """Raise in the body of a client; anything but a bare exception is a failure."""
    arguments = {"label": "hang"} if way == "stdio" else {}
    async with opened(way, tmp_path, revision) as client:
        await client.list_tools()
        if where == "call":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.call_tool, "hang", arguments)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        raise Mine(where)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("where", ["idle", "call"])
@pytest.mark.parametrize("way", ["memory", "stdio"])
async def test_comes_out_bare(way: str, where: str, revision: str, tmp_path: Path) -> None:
    with pytest.raises(Mine) as caught:
        await raise_in(way, where, tmp_path, revision)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("door", ["tcp", "unix", "websocket"])
async def test_comes_out_bare_over_sockets(door: str, tmp_path: Path) -> None:
    server: Server[None] = Server("sockets")
    path = tmp_path / "socket"
    async with trio.open_nursery() as nursery:
        way: Any
        if door == "tcp":
            [(host, port)] = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
            way = open_tcp_client(host, port)
        elif door == "websocket":
            [(host, port)] = await nursery.start(server.serve_websocket, "127.0.0.1", 0)
            way = open_websocket_client(f"ws://{host}:{port}/ws")
        else:
            await nursery.start(server.serve_unix, path)
            way = open_unix_client(path)
        # Inside the nursery: were it a group, `raises` would not know it.
        with pytest.raises(Mine):
            async with way:
                raise Mine
        nursery.cancel_scope.cancel()


async def test_comes_out_bare_over_a_stream() -> None:
    server: Server[None] = Server("stream")
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        with pytest.raises(Mine):
            async with open_stream_client(ours):
                raise Mine


async def test_a_callback_s_exception_comes_out_bare() -> None:
    server: Server[None] = Server("memory")

    @server.tool
    async def report() -> None:
        await server.request_context.report_progress(1)
        await trio.sleep_forever()

    async def on_progress(done: float, total: float | None, text: str | None) -> None:
        raise Mine

    for revision in REVISIONS:
        with pytest.raises(Mine):
            async with open_client(server, revision=revision) as client:
                await client.call_tool("report", progress=on_progress)


async def test_two_stay_a_group() -> None:
    server: Server[None] = Server("memory")
    with pytest.RaisesGroup(Mine, MineToo, flatten_subgroups=True):
        async with open_client(server):
            raise ExceptionGroup("both", [Mine(), MineToo()])


async def test_an_outer_timeout_comes_out_bare() -> None:
    argv = command("waiting", "stdio", "--eof-grace", 0.1)

    async def call() -> None:
        async with open_stdio_client(argv, cwd=ROOT) as client:
            with trio.fail_after(0.2):
                await client.call_tool("hang", {"label": "hang"})

    with pytest.raises(trio.TooSlowError):
        await call()


async def test_a_failed_start_comes_out_bare(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        async with open_client([str(tmp_path / "no such program")]):
            raise AssertionError("opened")
    with pytest.raises(OSError, match="attempts to connect"):
        async with open_websocket_client("ws://127.0.0.1:1/ws"):
            raise AssertionError("opened")
    with pytest.raises(FileNotFoundError):
        async with open_unix_client(tmp_path / "no such socket"):
            raise AssertionError("opened")
