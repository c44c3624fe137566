"""How changes are passed between processes that run the same server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimcp.protocol import Change

__all__ = ["Bus", "LocalBus"]


class Bus(Protocol):
    """Carries changes to every application that runs it, including the one that publishes.

    Equal changes may be merged, and the order may change, since a subscriber is told only *that*
    something changed and reads it again; changes should not be lost. A `Server` takes one as
    `bus=`.
    """

    async def publish(self, change: Change) -> None:
        """Send a change to all applications. Returns when it has been sent."""

    async def run(
        self, deliver: Callable[[Change], None], *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Deliver changes for as long as an application is open, in a task of its nursery.

        Args:
            deliver: Takes a change; never blocks. To be called in Trio's thread.
            task_status: `started()` is called as soon as every change published later will arrive.

        Raises:
            Exception: The bus is broken; the application ends with it.
        """


class LocalBus:
    """A bus within one process, between the applications of all servers that share it."""

    def __init__(self) -> None:
        self._delivers: list[Callable[[Change], None]] = []

    async def publish(self, change: Change) -> None:
        """Deliver a change at once. Always a checkpoint."""
        for deliver in self._delivers:
            deliver(change)
        await trio.lowlevel.checkpoint()

    async def run(
        self, deliver: Callable[[Change], None], *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Deliver until cancelled."""
        self._delivers.append(deliver)
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._delivers.remove(deliver)
