"""The deadlines of the calls of one connection, which one task keeps.

A cancel scope for each call would take about a sixth of the processor time of a small call.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deadlines", "Timed"]


class Timed(Protocol):
    """Something that waits until a deadline.

    Attributes:
        deadline: On Trio's clock.
    """

    @property
    def deadline(self) -> float: ...

    def wake(self) -> None:
        """Look at the deadline, and whether it is still kept here."""


class Deadlines:
    """Wakes what waits when its deadline has passed.

    The task runs while anything waits that has a deadline, or did so a moment ago.

    Args:
        start: Starts a task in the connection's nursery; returns whether it could.

    Attributes:
        is_over: Whether deadlines are no longer kept: the connection ends.
    """

    __slots__ = ("_next", "_runs", "_sleep", "_start", "_waiting", "is_over")

    def __init__(self, start: Callable[..., bool]) -> None:
        self.is_over = False
        self._start = start
        self._waiting: set[Timed] = set()
        self._next = math.inf
        self._runs = False
        self._sleep: trio.CancelScope | None = None

    def add(self, waiting: Timed) -> None:
        """Wake something at its deadline, until `discard`."""
        self._waiting.add(waiting)
        self.notice(waiting.deadline)

    def discard(self, waiting: Timed) -> None:
        """Do not wake it any more."""
        self._waiting.discard(waiting)

    def notice(self, deadline: float) -> None:
        """Note that something has a new deadline, which may be the next one."""
        if deadline >= self._next or self.is_over:
            return
        self._next = deadline
        if self._sleep is not None:
            self._sleep.deadline = deadline
        elif not self._runs:
            self._runs = self._start(self._run)
            if not self._runs:
                self.end()

    def end(self) -> None:
        """Keep no more deadlines, and end the task."""
        self.is_over = True
        self._next = math.inf
        if self._sleep is not None:
            self._sleep.cancel(reason="the connection ends")
        for each in list(self._waiting):
            each.wake()

    async def _run(self) -> None:
        try:
            while self._next < math.inf and not self.is_over:
                with trio.CancelScope(deadline=self._next) as self._sleep:
                    await trio.sleep_forever()
                self._wake_late()
        except trio.Cancelled:
            # Whoever is shielded may wait on, and then keeps the deadline itself.
            self.end()
            raise
        finally:
            self._runs = False
            self._sleep = None

    def _wake_late(self) -> None:
        """Wake what has passed its deadline, and find the next one."""
        now = trio.current_time()
        deadlines = [each.deadline for each in self._waiting]
        late = [each for each in self._waiting if each.deadline <= now]
        self._next = min((each for each in deadlines if each > now), default=math.inf)
        for each in late:
            each.wake()
