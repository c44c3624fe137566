"""Trio's tasks, and which of them are kept for what may come."""

from __future__ import annotations

import trio

from trimcp.runtime._deadlines import Deadlines
from trimcp.runtime._workers import _Worker

__all__ = ["is_kept", "tasks_below", "working_tasks"]


def tasks_below(task: trio.lowlevel.Task) -> list[trio.lowlevel.Task]:
    """A task, and all tasks that it and they have started."""
    found = [task]
    for each in found:
        for nursery in each.child_nurseries:
            found += nursery.child_tasks
    return found


#: Where a task waits that is kept: for another request, or for the deadlines of calls.
_KEPT = {_Worker._wait.__code__, Deadlines._run.__code__}


def is_kept(task: trio.lowlevel.Task) -> bool:
    """Whether a task has answered its requests, or keeps deadlines: of each there is a bound."""
    return any(frame.f_code in _KEPT for frame, _ in task.iter_await_frames())


def working_tasks() -> int:
    """How many tasks there are besides those that are kept for what may come."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return sum(not is_kept(each) for each in tasks_below(root))
