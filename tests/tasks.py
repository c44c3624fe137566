"""Trio's tasks, and which of them only wait for another request."""

from __future__ import annotations

import trio

from trimcp.runtime._workers import _Worker

__all__ = ["tasks_below", "waits_for_a_request", "working_tasks"]


def tasks_below(task: trio.lowlevel.Task) -> list[trio.lowlevel.Task]:
    """A task, and all tasks that it and they have started."""
    found = [task]
    for each in found:
        for nursery in each.child_nurseries:
            found += nursery.child_tasks
    return found


def waits_for_a_request(task: trio.lowlevel.Task) -> bool:
    """Whether a task has answered its requests, and is kept for another one."""
    waiting = _Worker._wait.__code__
    return any(frame.f_code is waiting for frame, _ in task.iter_await_frames())


def working_tasks() -> int:
    """How many tasks there are besides those that are kept for another request."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return sum(not waits_for_a_request(each) for each in tasks_below(root))
