"""Notifications that are handled in tasks of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
