"""Notifications on their way to callbacks: bounded, in order, and nobody waits for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import trio.testing

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
