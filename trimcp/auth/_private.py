"""Directories and files that nobody but this user may change."""

from __future__ import annotations

import logging
import os
import re
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_directory", "check_owner", "sync_directory"]

logger = logging.getLogger("trimcp.auth")

#: The names in a directory of entries: theirs, those of locks, and of files that are being written.
_OURS: Final = re.compile(r"[0-9a-f]{64}(\.lock)?|\.[a-z0-9_]{8}")

#: The permissions to change a directory, for its group and for everybody.
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


def check_directory(directory: Path) -> None:
    """See to it that nobody else can put files in the place of ours in a directory.

    One that belongs to this user and holds nothing but entries is closed to everybody else. On
    systems without POSIX permissions nothing is checked.

    Raises:
        FileNotFoundError: There is no such directory.
        PermissionError: It is another user's, or is shared with others.
    """
    if os.name != "posix":
        return
    found = directory.stat()
    check_owner(directory, found)
    mode = stat.S_IMODE(found.st_mode)
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return
    # A sticky directory is meant to be shared.
    if not mode & stat.S_ISVTX and all(map(_OURS.fullmatch, os.listdir(directory))):
        directory.chmod(0o700)
        if mode & _WRITABLE:
            logger.warning(
                "%s was open to others (%o): they could have changed it", directory, mode
            )
    elif mode & _WRITABLE:
        raise PermissionError(
            f"{os.fspath(directory)!r} can be changed by other users (mode {mode:o}): keep tokens "
            "in a directory of its own"
        )


def check_owner(path: Path, found: os.stat_result) -> None:
    """Raises PermissionError if a file or a directory does not belong to this user."""
    if os.name == "posix" and found.st_uid != os.geteuid():
        raise PermissionError(
            f"{os.fspath(path)!r} belongs to another user (number {found.st_uid}): keep tokens in "
            "a directory that belongs to the user that this program runs as"
        )


def sync_directory(directory: Path) -> None:
    """Make the names in a directory outlast a crash; where that cannot be asked for, nothing."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
