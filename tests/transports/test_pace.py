"""Room for a stream's items, given by the consumer and spent by the producer."""

from __future__ import annotations

import trio
import trio.testing

from trimcp.transports import Pace


async def spend(pace: Pace, stream: str, times: int, spent: list[str]) -> None:
    for _ in range(times):
        await pace.spend(stream)
        spent.append(stream)


async def test_as_much_as_there_is_room_for(autojump_clock: trio.abc.Clock) -> None:
    pace, spent = Pace(), list[str]()
    pace.open("a", 2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spend, pace, "a", 4, spent)
        for expected in (2, 3, 4):
            await trio.testing.wait_all_tasks_blocked()
            assert len(spent) == expected
            pace.grant("a")


async def test_streams_are_apart(autojump_clock: trio.abc.Clock) -> None:
    pace, spent = Pace(), list[str]()
    pace.open("slow", 0)
    pace.open("fast", 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spend, pace, "slow", 1, spent)
        nursery.start_soon(spend, pace, "fast", 10, spent)
        nursery.start_soon(spend, pace, "unknown", 10, spent)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(spent) == ["fast"] * 10 + ["unknown"] * 10
        pace.grant("slow")


async def test_closing_lets_go(autojump_clock: trio.abc.Clock) -> None:
    pace, spent = Pace(), list[str]()
    pace.open("a", 0)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(spend, pace, "a", 1, spent)
        await trio.testing.wait_all_tasks_blocked()
        assert spent == []
        pace.close("a")
    assert len(spent) == 3
    pace.grant("a")
    pace.close("a")


async def test_a_new_stream_of_the_same_name(autojump_clock: trio.abc.Clock) -> None:
    """Who waits for the old one is let go, and takes nothing from the new one."""
    pace, spent = Pace(), list[str]()
    pace.open("a", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spend, pace, "a", 1, spent)
        await trio.testing.wait_all_tasks_blocked()
        pace.close("a")
        pace.open("a", 1)
        await trio.testing.wait_all_tasks_blocked()
        assert spent == ["a"]
        await spend(pace, "a", 1, spent)
        with trio.move_on_after(1) as waiting:
            await pace.spend("a")
        assert waiting.cancelled_caught


async def test_always_a_checkpoint() -> None:
    pace = Pace()
    pace.open("a", 5)
    for stream in ("a", "unknown"):
        with trio.testing.assert_checkpoints():
            await pace.spend(stream)
