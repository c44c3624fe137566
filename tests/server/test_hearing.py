"""Notifications that are handled in tasks of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from msgspec import Raw

from trimcp.server._hearing import Hearing
from trimcp.transports import Budget

if TYPE_CHECKING:
    from collections.abc import Callable


async def handle(method: str, params: Raw | None) -> None:
    """Nothing to do."""


def cannot_start(function: Callable[..., object], *args: object) -> bool:
    return False


def test_what_is_not_started_gives_back_what_it_took() -> None:
    budget = Budget(100)
    hearing = Hearing(handle, 10, budget, cannot_start)
    room = budget.room
    for _ in range(20):
        hearing.hear("notifications/x", Raw(b'{"a":1}'))
    assert (hearing.count, budget.room) == (0, room)


@pytest.mark.parametrize("end", ["returns", "raises", "is cancelled"])
async def test_what_has_ended_makes_room_for_more(end: str) -> None:
    """However it ended, and however often: as many as before are handled at the same time."""
    budget = Budget(1000)
    room = budget.room
    heard = 0

    async def handle(method: str, params: Raw | None) -> None:
        nonlocal heard
        heard += 1
        await gate.wait()
        if end == "raises":
            raise ValueError

    def start(function: Any, *args: object) -> bool:
        nursery.start_soon(function, *args)
        return True

    hearing = Hearing(handle, 3, budget, start)
    for wave in range(1, 5):
        gate = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                hearing.hear("notifications/x", Raw(b'{"a":1}'))
            await trio.testing.wait_all_tasks_blocked()
            assert (hearing.count, heard) == (3, 3 * wave)
            if end == "is cancelled":
                nursery.cancel_scope.cancel()
            gate.set()
        assert (hearing.count, budget.room) == (0, room)
