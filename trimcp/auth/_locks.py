"""Locks between the processes of one user."""

from __future__ import annotations

import errno
import logging
import os
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from ._private import check_owner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["locked"]

logger = logging.getLogger("trimcp.auth")

#: Seconds to wait for another process: more than a request for tokens may take.
_PATIENCE: Final = 40.0

#: Seconds between two attempts: at first, and at most.
_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5

#: How a file system says that it has no locks.
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS})


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Keep other processes, and other tasks, out of the block.

    Whoever holds the lock for longer than a request for tokens may take is not waited for any
    more. The lock ends with the process that holds it. There is none on systems without POSIX
    file locks, and none where the directory is missing.

    Args:
        path: The file that is locked; it is made, and stays.

    Raises:
        OSError: The file cannot be opened.
    """
    descriptor = await _lock(path)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


async def _lock(path: Path) -> int | None:
    if os.name != "posix":
        return None
    pause = _PAUSE
    with trio.move_on_after(_PATIENCE):
        while True:
            try:
                return await trio.to_thread.run_sync(_try_to_lock, path)
            except FileNotFoundError:
                return None
            except BlockingIOError:
                pass
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    logger.warning("%s has been locked for %g s: going on without the lock", path, _PATIENCE)
    return None


def _try_to_lock(path: Path) -> int:
    """Lock a file; it is unlocked when the descriptor is closed.

    Raises:
        BlockingIOError: Somebody else has it.
        FileNotFoundError: There is no such directory.
        OSError: It cannot be opened.
    """
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, stat.S_IRUSR | stat.S_IWUSR)
    try:
        check_owner(path, os.fstat(descriptor))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise
    return descriptor
