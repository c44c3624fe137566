"""Passing changes from any thread to the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trimcp.runtime import contained

if TYPE_CHECKING:
    from trimcp.protocol import Change
    from trimcp.runtime import Bus

__all__ = ["Notifier"]


class Notifier:
    """Publishes announced changes, in a task of the application.

    Announcements are a set: a change that is announced several times before it is published is
    published once.

    Args:
        bus: Where they are published.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._announced: dict[Change, None] = {}
        self._news = trio.lowlevel.ParkingLot()
        self._token = trio.lowlevel.current_trio_token()

    def announce(self, change: Change) -> None:
        """Announce a change. Never blocks; may be called in any thread."""
        try:
            self._token.run_sync_soon(self._take, change, idempotent=True)
        except trio.RunFinishedError:
            # A thread outlived the server; there are no clients any more.
            return

    def _take(self, change: Change) -> None:
        self._announced[change] = None
        self._news.unpark()

    async def run(self) -> None:
        """Publish announced changes, until cancelled."""
        while True:
            while not self._announced:
                await self._news.park()
            change = next(iter(self._announced))
            del self._announced[change]
            # After a failure the other changes are still published.
            await contained(
                f"publishing {change!r} on the bus {self._bus!r}", self._bus.publish, change
            )
