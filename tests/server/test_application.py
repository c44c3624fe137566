"""The one owner of what a server has while it serves."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import NotServing, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def test_nothing_begins_in_an_application_that_is_closing() -> None:
    server = Server("closing")
    began: list[str] = []

    async def task(name: str) -> None:
        began.append(name)

    async with server.application(signals=False):
        application = server.running
        assert application is not None
        application.start_soon(task, "before")
        await trio.testing.wait_all_tasks_blocked()
        server.shutdown(grace=1)
        with pytest.raises(NotServing):
            application.start_soon(task, "after")
    with pytest.raises(NotServing):
        application.start_soon(task, "when all is over")
    assert began == ["before"]


async def test_signals_are_heard_until_a_cancelled_server_has_cleaned_up() -> None:
    left: list[str] = []

    @asynccontextmanager
    async def lifespan(server: Server[Any]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            # Without a receiver this would end the process.
            signal.raise_signal(signal.SIGTERM)
            await trio.testing.wait_all_tasks_blocked()
            left.append("lifespan")

    server: Server[Any] = Server("cancelled", lifespan=lifespan)
    with trio.CancelScope() as scope:
        async with server.application():
            scope.cancel()
            await trio.sleep_forever()
    assert left == ["lifespan"]


async def test_hooks_at_the_end_run_in_turn_whatever_one_of_them_does() -> None:
    ran: list[str] = []
    server: Server[Any] = Server("hooks")

    @server.on_shutdown
    async def last() -> None:
        ran.append("last")

    @server.on_shutdown
    async def broken() -> None:
        ran.append("broken")
        raise ValueError

    @server.on_shutdown
    async def first() -> None:
        await trio.lowlevel.checkpoint()
        ran.append("first")

    async with server.application(signals=False):
        assert ran == []
    assert ran == ["first", "broken", "last"]


async def test_a_lifespan_that_fails_to_start_is_what_comes_out() -> None:
    @asynccontextmanager
    async def lifespan(server: Server[Any]) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    for signals in (True, False):
        with pytest.raises(ValueError, match="no database"):
            async with Server("broken", lifespan=lifespan).application(signals=signals):
                pass
