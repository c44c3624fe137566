"""A disk without room: what was stored stays, nothing half-written is left, and it works again."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from trimcp.auth import FileTokenStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def no_room(beyond: int) -> Iterator[None]:
    """The system writes no file of this process beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("beyond", [0, 1, 500])
async def test_a_login_that_cannot_be_stored_leaves_the_old_one(
    beyond: int, tmp_path: Path
) -> None:
    directory = tmp_path / "logins"
    storage = FileTokenStorage(directory)
    await storage.save("key", "old")
    stored = set(directory.iterdir())
    with no_room(beyond), pytest.raises(OSError, match="File too large"):
        await storage.save("key", "new" * 1000)
    assert await storage.load("key") == "old"
    assert set(directory.iterdir()) == stored
    await storage.save("key", "new")
    assert await FileTokenStorage(directory).load("key") == "new"
