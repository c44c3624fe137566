"""Notice that the process which launched us is gone."""

from __future__ import annotations

import os
import sys

import trio

__all__ = ["wait_parent_gone"]

#: Where the kernel cannot tell us, this often is often enough, in seconds.
_POLL = 2.0


async def wait_parent_gone(parent: int | None = None) -> None:
    """Return once the parent process has ended.

    Where standard input stays open in somebody else's hands, this is the only sign. The kernel's
    own way of killing us at that moment is not used: it fires when the parent *thread* ends.

    Args:
        parent: Its process id, if that was told; one that ended before this is called is noticed
            only then.
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
        # The number of a dead parent stays; only the end of input tells.
        await trio.sleep_forever()
    await _poll(parent)


async def _poll(parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110  no event exists for this
        await trio.sleep(_POLL)
