"""Guarantee 15: silence is bounded.

"A server that never answers: the client's default deadline fires, a per-call `timeout=`
overrides it, and an outer `fail_after(2)` around the call returns at 2 s, not later."
"""

from __future__ import annotations

import functools
import math
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio_websocket
from trio.testing import memory_stream_pair

from trimcp import (
    Client,
    RequestTimeout,
    Server,
    ToolError,
    open_client,
    open_stdio_client,
    open_stream_client,
    open_websocket_client,
)

from .harness import PROMPT, ROOT, Lines, command, stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trio.testing import MockClock

REVISIONS = ["2025-11-25", "2026-07-28"]


def waiting_server(ended: list[str]) -> Server[None]:
    """A server whose tool never answers; it notes what becomes of the handler."""
    server: Server[None] = Server("waiting")

    @server.tool
    async def hang() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("hang")

    @server.tool
    async def report(every: float) -> None:
        while True:
            await trio.sleep(every)
            await server.request_context.report_progress(trio.current_time())

    @server.tool
    async def report_once(every: float) -> None:
        await trio.sleep(every)
        await server.request_context.report_progress(1)
        await trio.sleep_forever()

    return server


async def lasts(
    seconds: float, error: type[Exception], call: Callable[[], Awaitable[object]]
) -> None:
    """The call ends after exactly that time, with that exception. For the mock clock."""
    with stopwatch() as elapsed, pytest.raises(error):
        await call()
    assert elapsed() == pytest.approx(seconds)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_each_deadline_in_memory(revision: str, autojump_clock: MockClock) -> None:
    ended: list[str] = []
    server = waiting_server(ended)
    async with server.application():
        async with open_client(server, revision=revision) as client:

            async def outer(limit: float, timeout: float | None = None) -> None:
                with trio.fail_after(limit):
                    await client.call_tool("hang", timeout=timeout)

            await lasts(60, RequestTimeout, lambda: client.call_tool("hang"))
            await lasts(5, RequestTimeout, lambda: client.call_tool("hang", timeout=5))
            await lasts(300, RequestTimeout, lambda: client.call_tool("hang", timeout=300))
            await lasts(2, trio.TooSlowError, lambda: outer(2))
            await lasts(2, trio.TooSlowError, lambda: outer(2, timeout=300))
            await lasts(3000, trio.TooSlowError, lambda: outer(3000, timeout=math.inf))
            await lasts(0, RequestTimeout, lambda: client.call_tool("hang", timeout=0))
            # A timeout is a `TimeoutError` too, as Python's users expect.
            await lasts(1, TimeoutError, lambda: client.call_tool("hang", timeout=1))

            # The client goes on, and the server was told each time.
            await client.ping()
            assert len(await client.list_tools()) == 3
            assert server.statistics().in_flight == 0
        async with open_client(server, revision=revision, timeout=7) as client:
            await lasts(7, RequestTimeout, lambda: client.call_tool("hang"))
            await lasts(9, RequestTimeout, lambda: client.call_tool("hang", timeout=9))
    assert set(ended) == {"hang"}


@pytest.mark.parametrize("revision", REVISIONS)
async def test_progress_is_no_answer(revision: str, autojump_clock: MockClock) -> None:
    """Signs of life do not lengthen the deadline; what the user's own callback takes does."""
    server = waiting_server([])

    async def quick(done: float, total: float | None, text: str | None) -> None:
        await trio.lowlevel.checkpoint()

    async def slow(done: float, total: float | None, text: str | None) -> None:
        await trio.sleep(10)

    async with open_client(server, revision=revision) as client:
        arguments = {"every": 1.5}
        await lasts(
            20,
            RequestTimeout,
            lambda: client.call_tool("report", arguments, progress=quick, timeout=20),
        )
        # 1.5 s until the report, 10 s in the callback, and the half second that was left.
        await lasts(
            12,
            RequestTimeout,
            lambda: client.call_tool("report_once", arguments, progress=slow, timeout=2),
        )


async def test_nobody_ever_answers_in_memory(autojump_clock: MockClock) -> None:
    """Not even the first request is answered."""

    async def opening(**options: object) -> None:
        ours, theirs = memory_stream_pair()
        async with theirs, open_stream_client(ours, **options):  # type: ignore[arg-type]
            raise AssertionError("opened")

    async def outer() -> None:
        with trio.fail_after(2):
            await opening()

    # The search for the era gives up after 10 s, the handshake after 60 more.
    await lasts(70, RequestTimeout, opening)
    await lasts(4, RequestTimeout, lambda: opening(probe_timeout=1, timeout=3))
    await lasts(60, RequestTimeout, lambda: opening(revision="2025-11-25"))
    await lasts(2, trio.TooSlowError, outer)


async def test_a_nested_server_is_bounded_too(autojump_clock: MockClock) -> None:
    """A tool that itself asks a silent server fails in its caller's hands."""
    inner, outer = waiting_server([]), Server[None]("outer")

    @outer.tool
    async def relay() -> None:
        async with open_client(inner) as client:
            try:
                await client.call_tool("hang", timeout=5)
            except RequestTimeout as error:
                raise ToolError("the other server is silent") from error

    async with open_client(outer) as client:
        result = await client.call_tool("relay")
    assert result.is_error
    assert "silent" in str(result.content)


# -- with a real process ----------------------------------------------------------------------


async def test_a_silent_process() -> None:
    said = Lines()
    argv = command("silent")

    async def opening(**options: object) -> Client:
        async with open_stdio_client(argv, cwd=ROOT, on_stderr=said.add, **options):  # type: ignore[arg-type]
            raise AssertionError("opened")

    with stopwatch() as elapsed, pytest.raises(RequestTimeout):
        await opening(probe_timeout=0.2, timeout=0.3)
    assert 0.5 <= elapsed() < 0.5 + PROMPT

    with stopwatch() as elapsed, pytest.raises(trio.TooSlowError), trio.fail_after(0.5):
        await opening()
    assert 0.5 <= elapsed() < 0.5 + PROMPT


async def test_a_process_that_falls_silent() -> None:
    said = Lines()
    argv = command("silent", "--discover")
    async with open_stdio_client(argv, cwd=ROOT, on_stderr=said.add, timeout=0.4) as client:
        with stopwatch() as elapsed, pytest.raises(RequestTimeout):
            await client.call_tool("anything")
        assert 0.4 <= elapsed() < 0.4 + PROMPT
        with stopwatch() as elapsed, pytest.raises(RequestTimeout):
            await client.call_tool("anything", timeout=0.6)
        assert 0.6 <= elapsed() < 0.6 + PROMPT
        with stopwatch() as elapsed, pytest.raises(trio.TooSlowError), trio.fail_after(0.5):
            await client.call_tool("anything", timeout=60)
        assert 0.5 <= elapsed() < 0.5 + PROMPT
        await said.wait("tools/call", "notifications/cancelled")
        with pytest.raises(RequestTimeout):
            await client.list_tools()
    assert said.seen.count("notifications/cancelled") == 4


# -- over a WebSocket -------------------------------------------------------------------------


@asynccontextmanager
async def silent_websocket() -> AsyncIterator[str]:
    """A WebSocket, served by somebody else, that takes everything and says nothing."""

    async def swallow(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        with suppress(trio_websocket.ConnectionClosed):
            while True:
                await connection.get_message()

    async with trio.open_nursery() as nursery:
        serve = functools.partial(trio_websocket.serve_websocket, swallow, ssl_context=None)
        served = await nursery.start(serve, "127.0.0.1", 0)
        yield f"ws://127.0.0.1:{served.port}/"
        nursery.cancel_scope.cancel()


async def test_a_silent_websocket() -> None:
    async def opening(**options: Any) -> None:
        async with open_websocket_client(url, **options):
            raise AssertionError("opened")

    async with silent_websocket() as url:
        with stopwatch() as elapsed, pytest.raises(RequestTimeout):
            await opening(probe_timeout=0.2, timeout=0.3)
        assert 0.5 <= elapsed() < 0.5 + PROMPT

        with stopwatch() as elapsed, pytest.raises(trio.TooSlowError), trio.fail_after(0.5):
            await opening()
        assert 0.5 <= elapsed() < 0.5 + PROMPT
