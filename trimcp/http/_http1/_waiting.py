"""Where one task waits for another."""

from __future__ import annotations

import trio

__all__ = ["Waiting"]


class Waiting:
    """A place where one task waits until it is woken. To wake nobody costs next to nothing."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None

    async def park(self) -> None:
        """Wait until `wake` is called. Only one task may do so at a time."""
        if self._task is not None:
            raise trio.BusyResourceError("another task waits here")
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def wake(self) -> None:
        """Let the task that waits, if one does, go on."""
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
