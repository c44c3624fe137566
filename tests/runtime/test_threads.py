"""Worker threads: how many there are, which functions start, and when a generator is given up."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator  # noqa: TC003  the server reads it
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import LimitExceeded, Limits, Server, open_client
from trimcp.runtime import ToolThreads, in_threads
from trimcp.runtime import _streams as streams
from trimcp.runtime._threads import _Work

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds within which everything happens: these tests need the real clock.
SOON = 60.0


# -- one function ---------------------------------------------------------------------------------


def nothing() -> None:
    """Nothing to do."""


async def test_a_function_that_was_given_up_before_it_began_does_not_start() -> None:
    threads = ToolThreads(Limits())
    ran: list[str] = []
    work = _Work(threads, lambda: ran.append("ran"))
    work.abandon()
    await trio.to_thread.run_sync(work)
    assert ran == []
    assert threads.abandoned == 0


@pytest.mark.parametrize("when", ["before", "during", "after"])
@pytest.mark.parametrize("raises", [False, True])
async def test_an_abandoned_function_counts_while_it_runs(when: str, raises: bool) -> None:
    """And only then; its result, or what it raises, is dropped."""
    threads = ToolThreads(Limits())
    began, gate = trio.Event(), threading.Event()

    def function() -> str:
        trio.from_thread.run_sync(began.set)
        assert gate.wait(SOON)
        if raises:
            raise ValueError
        return "done"

    work = _Work(threads, function)
    if when == "before":
        work.abandon()
        assert threads.abandoned == 0
    with trio.fail_after(SOON):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, work)
            if when == "during":
                await began.wait()
                work.abandon()
                assert threads.abandoned == 1
            gate.set()
        if when == "after":
            work.abandon()
        while threads.abandoned:
            await trio.lowlevel.checkpoint()
    work.raise_error() if when != "after" or not raises else None


async def test_too_many_abandoned_functions() -> None:
    """No more are started, until one of them has ended."""
    threads = ToolThreads(Limits(abandoned_threads=2))
    gate = threading.Event()

    def block() -> None:
        trio.from_thread.run_sync(began.set)
        assert gate.wait(SOON)

    with trio.fail_after(SOON):
        for number in range(2):
            began = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(threads.run, block, {})
                await began.wait()
                nursery.cancel_scope.cancel()
            assert threads.abandoned == number + 1
        with pytest.raises(LimitExceeded):
            await threads.run(nothing, {})
        gate.set()
        while threads.abandoned == 2:
            await trio.lowlevel.checkpoint()
        await threads.run(nothing, {})
        while threads.abandoned:
            await trio.lowlevel.checkpoint()


# -- functions of all kinds -----------------------------------------------------------------------


class Crowd:
    """Functions that stay in their threads until they are let go, and how many were there."""

    def __init__(self) -> None:
        self.most = 0
        self.gate = threading.Event()
        self._now = 0
        self._lock = threading.Lock()

    def stay(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        assert self.gate.wait(SOON)
        with self._lock:
            self._now -= 1


def crowded(crowd: Crowd, limit: int) -> Server[Any]:
    server = Server[Any]("crowded", limits=Limits(threads=limit))

    @server.tool
    def tool() -> str:
        crowd.stay()
        return "done"

    @server.tool
    def stream() -> Iterator[int]:
        crowd.stay()
        yield 1

    @server.resource("test://x")
    def resource() -> str:
        crowd.stay()
        return "done"

    @server.prompt
    def prompt() -> str:
        crowd.stay()
        return "done"

    return server


async def test_all_synchronous_functions_share_one_bound() -> None:
    """Tools, generators, resources and prompts: never more than `Limits.threads` at a time."""
    crowd = Crowd()
    server = crowded(crowd, 3)
    async with server.application(signals=False), open_client(server) as client:
        application = server.running
        assert application is not None
        limiter = application.threads.limiter
        calls: list[Callable[[], Any]] = [
            lambda: client.call_tool("tool"),
            lambda: client.call_tool("stream"),
            lambda: client.read_resource("test://x"),
            lambda: client.get_prompt("prompt"),
        ]

        def all_have_come() -> bool:
            numbers = limiter.statistics()
            return crowd.most == 3 and numbers.borrowed_tokens + numbers.tasks_waiting == 8

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                for call, _ in itertools.product(calls, range(2)):
                    nursery.start_soon(call)
                while not all_have_come() and crowd.most <= 3:
                    await trio.lowlevel.checkpoint()
                assert server.statistics().threads == 3
                crowd.gate.set()
        assert crowd.most == 3
        assert server.statistics().threads == 0


# -- generators -----------------------------------------------------------------------------------


async def test_a_generator_that_does_not_close_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its request ends after a while, and the log says so; a thread cannot be stopped."""
    monkeypatch.setattr(streams, "_CLOSE_SECONDS", 0.05)
    gate = threading.Event()

    def stubborn() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            assert gate.wait(SOON)

    try:
        with trio.fail_after(SOON / 2):
            with trio.CancelScope() as scope:
                async with aclosing(in_threads(stubborn(), trio.CapacityLimiter(1))) as stream:
                    await anext(stream)
                    scope.cancel()
                    await anext(stream)
    finally:
        gate.set()
    assert "did not close within" in caplog.text
