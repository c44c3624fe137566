"""Noticing that the parent process is gone."""

from __future__ import annotations

import os
import sys

import trio

__all__ = ["wait_parent_gone"]

#: Seconds between two checks, where the kernel cannot notify us.
_POLL = 2.0


async def wait_parent_gone(parent: int | None = None) -> None:
    """Return once the parent process has ended.

    If another process keeps standard input open, this is the only sign. The kernel's parent death
    signal is not used, since it is sent when the parent *thread* ends.

    Args:
        parent: Its process id, if known. A parent that ended before this call is noticed only with
            this id.
    """
    parent = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        try:
            descriptor = os.pidfd_open(parent)
        except OSError:
            # An old kernel, a sandbox, or the parent is gone already.
            await _poll(parent)
            return
        try:
            if os.getppid() == parent:
                await trio.lowlevel.wait_readable(descriptor)
        finally:
            os.close(descriptor)
        return
    if sys.platform == "win32":
        # The parent's process id does not change when it ends; only the end of input shows it.
        await trio.sleep_forever()
    await _poll(parent)


async def _poll(parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110  no event exists for this
        await trio.sleep(_POLL)
