"""The deadlines of calls, which one task keeps for all of a connection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from trimcp import RequestTimeout, Server, open_stream_client
from trimcp.protocol._shapes import Progress
from trimcp.runtime._calls import Pending
from trimcp.runtime._deadlines import Deadlines

if TYPE_CHECKING:
    from collections.abc import Callable


async def no_answer(pending: Pending, timeout: float) -> float:
    """How many seconds a call waits that nobody answers."""
    began = trio.current_time()
    with pytest.raises(RequestTimeout):
        await pending.wait(timeout, None)
    return trio.current_time() - began


def starter(nursery: trio.Nursery) -> Callable[..., bool]:
    """Start a task in a nursery."""

    def start(function: Any) -> bool:
        nursery.start_soon(function)
        return True

    return start


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=8))
def test_each_call_ends_at_its_own_deadline(calls: list[tuple[int, int]]) -> None:
    """Whenever it begins, and whatever the others wait for."""

    async def main() -> None:
        async with trio.open_nursery() as timers:
            deadlines = Deadlines(starter(timers))

            async def call(after: int, timeout: int) -> None:
                await trio.sleep(after)
                waited = await no_answer(Pending(deadlines=deadlines), timeout)
                assert waited == pytest.approx(timeout)

            async with trio.open_nursery() as nursery:
                for after, timeout in calls:
                    nursery.start_soon(call, after, timeout)
            await trio.testing.wait_all_tasks_blocked()
            assert not timers.child_tasks, "its task outlives what it waits for"

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_the_task_ends_with_the_connection(autojump_clock: object) -> None:
    """Without waiting for the deadlines of calls that were answered long ago."""
    server: Server[None] = Server("quick")
    server.tool(one)
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        began = trio.current_time()
        async with open_stream_client(ours, timeout=1000) as client:
            for _ in range(3):
                await client.call_tool("one")
    assert trio.current_time() - began < 1000


async def one() -> int:
    return 1


async def test_time_that_does_not_count(autojump_clock: object) -> None:
    async with trio.open_nursery() as timers:
        pending = Pending(deadlines=Deadlines(starter(timers)))

        async def pause() -> None:
            await trio.sleep(1)
            pending.pause()
            await trio.sleep(100)
            pending.resume()

        timers.start_soon(pause)
        assert await no_answer(pending, 5) == pytest.approx(105)


async def test_progress_in_the_last_moment_keeps_no_call_alive(autojump_clock: object) -> None:
    async with trio.open_nursery() as timers:
        pending = Pending(deadlines=Deadlines(starter(timers)))

        async def report() -> None:
            for _ in range(3):
                await trio.sleep(5)
                pending.report(Progress(1, 1, None, None, None))

        timers.start_soon(report)
        with trio.fail_after(100):
            assert await no_answer(pending, 10) == pytest.approx(10)
        timers.cancel_scope.cancel()


async def test_a_call_without_a_deadline_needs_no_task(autojump_clock: object) -> None:
    async with trio.open_nursery() as timers:
        pending = Pending(deadlines=Deadlines(starter(timers)))
        with trio.move_on_after(1000):
            await pending.wait(math.inf, None)
        assert not timers.child_tasks


async def test_without_the_task_each_call_keeps_its_own_deadline(autojump_clock: object) -> None:
    """A nursery that accepts no tasks, and one that is cancelled while a shielded call waits."""
    assert await no_answer(Pending(deadlines=Deadlines(lambda _: False)), 5) == pytest.approx(5)
    async with trio.open_nursery() as timers:
        deadlines = Deadlines(starter(timers))
        timers.start_soon(cancel_after, timers.cancel_scope, 2)
        with trio.CancelScope(shield=True):
            assert await no_answer(Pending(deadlines=deadlines), 5) == pytest.approx(5)
            assert await no_answer(Pending(deadlines=deadlines), 5) == pytest.approx(5)
    assert deadlines.is_over


async def cancel_after(scope: trio.CancelScope, seconds: float) -> None:
    await trio.sleep(seconds)
    scope.cancel()
