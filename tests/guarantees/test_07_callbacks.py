"""Guarantee 7: callbacks come in order and are finished.

Progress and log callbacks that await something run one after another, in order, and are done when
the call returns. Against a flood, progress keeps the latest and logs count what was dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.guarantees.harness import PATIENCE, ROOT, command
from tests.guarantees.programs import chatty
from trimcp import open_client, open_stdio_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from trimcp import Client
    from trimcp.types import LoggingMessageNotificationParams

ERAS = pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
DOORS = pytest.mark.parametrize("door", ["stdio", "memory"])


class Recorder:
    """Callbacks that take their time, and notice when two of a kind run at once."""

    def __init__(self) -> None:
        self.progress: list[float] = []
        self.logs: list[Any] = []
        self._running: set[str] = set()

    async def on_progress(self, done: float, total: float | None, message: str | None) -> None:
        await self._one_at_a_time("progress", self.progress, done)

    async def on_log(self, message: LoggingMessageNotificationParams) -> None:
        await self._one_at_a_time("log", self.logs, message.data)

    async def _one_at_a_time(self, kind: str, entries: list[Any], entry: Any) -> None:
        assert kind not in self._running
        self._running.add(kind)
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        entries.append(entry)
        self._running.discard(kind)


def opened(door: str, **options: Any) -> AbstractAsyncContextManager[Client]:
    if door == "memory":
        return open_client(chatty.server, **options)
    return open_stdio_client(command("chatty", "stdio"), cwd=ROOT, **options)


@ERAS
@DOORS
async def test_in_order_and_done_when_the_call_returns(door: str, revision: str) -> None:
    recorder = Recorder()
    with trio.fail_after(PATIENCE):
        async with opened(door, revision=revision, logging=recorder.on_log) as client:
            for _ in range(3):
                recorder.progress.clear()
                recorder.logs.clear()
                result = await client.call_tool(
                    "report", {"progress": 20, "logs": 100}, progress=recorder.on_progress
                )
                assert not result.is_error
                assert recorder.logs == list(range(100))
                assert recorder.progress
                assert recorder.progress[-1] == 19
                assert recorder.progress == sorted(set(recorder.progress))
            assert client.dropped_notifications == 0


async def test_progress_keeps_the_latest_against_a_flood() -> None:
    """The callback of the first report is held until the flood is over: two are delivered."""
    seen = []
    flood_over = trio.Event()

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        seen.append(done)
        await flood_over.wait()

    async with open_client(chatty.server) as client, trio.open_nursery() as nursery:
        ended = trio.Event()

        async def call() -> None:
            await client.call_tool("report", {"progress": 3000, "logs": 0}, progress=on_progress)
            ended.set()

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        assert not ended.is_set()
        flood_over.set()
        with trio.fail_after(PATIENCE):
            await ended.wait()
    assert len(seen) == 2
    assert seen[-1] == 2999


async def test_logs_are_bounded_and_counted_against_a_flood() -> None:
    seen: list[Any] = []
    flood_over = trio.Event()

    async def on_log(message: LoggingMessageNotificationParams) -> None:
        await flood_over.wait()
        seen.append(message.data)

    async with open_client(chatty.server, logging=on_log) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "report", {"progress": 0, "logs": 3000})
        await trio.testing.wait_all_tasks_blocked()
        # One in the callback, a thousand waiting.
        assert client.dropped_notifications == 3000 - 1001
        flood_over.set()
    assert seen == list(range(1001))


async def test_a_callback_may_call_the_server(autojump_clock: trio.abc.Clock) -> None:
    """It does not wait for itself."""
    clients: list[Client] = []
    answers = []

    async def on_log(message: LoggingMessageNotificationParams) -> None:
        await clients[0].ping()
        answers.append(message.data)

    async with open_client(chatty.server, logging=on_log) as client:
        clients.append(client)
        with trio.fail_after(5):
            await client.call_tool("report", {"progress": 0, "logs": 3})
    assert answers == [0, 1, 2]


@pytest.mark.parametrize("kind", ["progress", "logging"])
async def test_what_a_callback_raises_is_not_lost(kind: str) -> None:
    async def fail(*_: Any) -> None:
        raise KeyError(kind)

    async def use(**options: Callable[..., Any]) -> None:
        on_progress = options.pop("progress", None)
        async with open_client(chatty.server, **options) as client:  # type: ignore[arg-type]
            await client.call_tool("report", {"progress": 1, "logs": 1}, progress=on_progress)
            await trio.sleep_forever()

    with trio.fail_after(PATIENCE), pytest.raises(KeyError, match=kind):
        await use(**{kind: fail})
