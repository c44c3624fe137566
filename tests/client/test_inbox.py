"""Notifications on their way to callbacks: bounded, in order, and nobody waits for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp.client import _inbox
from trimcp.client._inbox import MAX_WAITING, Inbox

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_the_newest_are_dropped_and_counted() -> None:
    inbox = Inbox()
    heard: list[int] = []
    for number in range(MAX_WAITING + 7):
        inbox.put(heard.append, number)
    assert inbox.dropped == 7
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.run)
        await inbox.wait_caught_up(5)
        nursery.cancel_scope.cancel()
    assert heard == list(range(MAX_WAITING))


async def test_it_is_waited_for_no_longer_than_what_has_arrived(autojump_clock: MockClock) -> None:
    inbox = Inbox()

    async def slow(_: Any) -> None:
        await trio.sleep(2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.run)
        began = trio.current_time()
        inbox.put(slow, None)
        nursery.start_soon(inbox.wait_caught_up, 100)
        await trio.sleep(1)
        inbox.put(slow, None)
        with trio.CancelScope():
            await inbox.wait_caught_up(0.5)
        assert trio.current_time() - began == 1.5
        await inbox.wait_caught_up(100)
        assert trio.current_time() - began == 4
        nursery.cancel_scope.cancel()


async def test_a_callback_and_its_tasks_do_not_wait_for_it(autojump_clock: MockClock) -> None:
    inbox = Inbox()
    began = trio.current_time()

    async def callback(_: Any) -> None:
        await inbox.wait_caught_up(100)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(inbox.wait_caught_up, 100)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.run)
        inbox.put(callback, None)
        inbox.put(callback, None)
        await inbox.wait_caught_up(100)
        assert trio.current_time() == began
        nursery.cancel_scope.cancel()


async def test_two_clients_wait_for_each_others_callbacks(autojump_clock: MockClock) -> None:
    """Being in a callback of one client means nothing to the other."""
    first, second = Inbox(), Inbox()
    heard = []

    async def slow(_: Any) -> None:
        await trio.sleep(3)
        heard.append("second")

    async def callback(_: Any) -> None:
        second.put(slow, None)
        await second.wait_caught_up(100)
        heard.append("first")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.run)
        nursery.start_soon(second.run)
        first.put(callback, None)
        await first.wait_caught_up(100)
        assert heard == ["second", "first"]
        nursery.cancel_scope.cancel()


#: How many may wait in the property below.
FEW = 3


@given(
    st.lists(
        st.one_of(
            # A notification, with the seconds that its callback takes; then a pause.
            st.tuples(st.just("put"), st.integers(0, 4), st.integers(0, 3)),
            # A request whose answer arrives, with the seconds that are left; then a pause.
            st.tuples(st.just("wait"), st.integers(0, 8), st.integers(0, 3)),
        ),
        max_size=25,
    )
)
def test_order_bound_and_waiting(steps: list[tuple[str, int, int]]) -> None:
    """Callbacks run one at a time in the order of arrival, without those that found no room; and
    nobody waits longer than for what had arrived before."""

    async def main() -> None:
        inbox = Inbox()
        running: list[int] = []
        ended: dict[int, float] = {}
        arrived: list[int] = []
        dropped = 0

        async def callback(given: tuple[int, int]) -> None:
            number, seconds = given
            running.append(number)
            assert len(running) == 1
            await trio.sleep(seconds)
            running.remove(number)
            ended[number] = trio.current_time()

        async def wait(seconds: int) -> None:
            before = list(arrived)
            began = trio.current_time()
            await inbox.wait_caught_up(seconds)
            now = trio.current_time()
            if now < began + seconds:
                assert all(number in ended for number in before)
            last = max((ended.get(number, now) for number in before), default=began)
            assert now == min(max(began, last), began + seconds)

        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as waiting:
                nursery.start_soon(inbox.run)
                for number, (name, seconds, pause) in enumerate(steps):
                    await trio.testing.wait_all_tasks_blocked()
                    if name == "wait":
                        waiting.start_soon(wait, seconds)
                    elif len(arrived) - len(ended) - len(running) < FEW:
                        arrived.append(number)
                        inbox.put(callback, (number, seconds))
                    else:
                        dropped += 1
                        inbox.put(callback, (number, seconds))
                    if pause:
                        await trio.sleep(pause)
            await inbox.wait_caught_up(1000)
            assert list(ended) == arrived
            assert inbox.dropped == dropped
            nursery.cancel_scope.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_inbox, "MAX_WAITING", FEW)
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
