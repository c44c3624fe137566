"""Changes on their way from wherever they happen to the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trimcp.runtime import contained

if TYPE_CHECKING:
    from trimcp.protocol import Change
    from trimcp.runtime import Bus

__all__ = ["Notifier"]


class Notifier:
    """Publishes what was announced, in a task of the application.

    Announcements are a set: what is announced again before it was published is said once.

    Args:
        bus: Where to.
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
            # A thread that outlived the server; nobody is left to tell.
            return

    def _take(self, change: Change) -> None:
        self._announced[change] = None
        self._news.unpark()

    async def run(self) -> None:
        """Publish what is announced, until cancelled."""
        while True:
            while not self._announced:
                await self._news.park()
            change = next(iter(self._announced))
            del self._announced[change]
            # The other changes are told all the same.
            await contained(
                f"publishing {change!r} on the bus {self._bus!r}", self._bus.publish, change
            )
