"""Where tasks wait for another one."""

from __future__ import annotations

import trio

__all__ = ["Waiting"]


class Waiting:
    """A place where tasks wait until they are woken.

    It does what Trio's `ParkingLot` does, but to wake nobody costs next to nothing, and that is
    what is done most often.
    """

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: list[trio.lowlevel.Task] = []

    async def park(self) -> None:
        """Wait until `wake` is called."""
        task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._tasks.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        self._tasks.append(task)
        await trio.lowlevel.wait_task_rescheduled(abort)

    def wake(self) -> None:
        """Let all tasks that wait go on, in the order in which they came."""
        if self._tasks:
            waiting, self._tasks = self._tasks, []
            for task in waiting:
                trio.lowlevel.reschedule(task)
