"""Where tokens are kept."""

from __future__ import annotations

import os
import stat
import sys
import types
from typing import TYPE_CHECKING

import pytest
import trio

from trimcp.auth import FileTokenStorage, KeyringTokenStorage, MemoryTokenStorage, TokenStorage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[str, str], str] = {}
    fake = types.ModuleType("keyring")
    fake.get_password = lambda *key: kept.get(key)  # type: ignore[attr-defined]
    fake.set_password = lambda *given: kept.update({given[:2]: given[2]})  # type: ignore[attr-defined]
    fake.delete_password = lambda *key: kept.pop(key)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", fake)


def files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


MAKERS: list[Callable[[Path], TokenStorage]] = [
    lambda path: MemoryTokenStorage(),
    lambda path: FileTokenStorage(path / "a" / "b"),
    lambda path: KeyringTokenStorage("test"),
]


@pytest.mark.usefixtures("keyring")
@pytest.mark.parametrize("make", MAKERS)
async def test_what_is_kept(make: Callable[[Path], TokenStorage], tmp_path: Path) -> None:
    storage = make(tmp_path)
    assert await storage.load("a") is None
    await storage.save("a", "é1")
    await storage.save("../b", "2")
    assert (await storage.load("a"), await storage.load("../b")) == ("é1", "2")
    await storage.save("a", "3")
    assert await storage.load("a") == "3"
    await storage.save("a", None)
    await storage.save("a", None)
    assert (await storage.load("a"), await storage.load("../b")) == (None, "2")


async def test_only_the_user_can_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await FileTokenStorage(tmp_path / "tokens").save("a", "secret")
    finally:
        os.umask(before)
    (file,) = files(tmp_path / "tokens")
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o700
    assert "secret" not in file.name


posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
@pytest.mark.parametrize("action", ["load", "save", "empty"])
@pytest.mark.parametrize("found", [0o777, 0o755, 0o770])
async def test_a_directory_of_entries_is_closed_to_others(
    action: str, found: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = FileTokenStorage(tmp_path / "tokens")
    if action == "empty":
        (tmp_path / "tokens").mkdir()
    else:
        await storage.save("a", "secret")
    os.chmod(tmp_path / "tokens", found)
    if action == "save":
        await storage.save("a", "newer")
    else:
        await storage.load("a")
    assert mode(tmp_path / "tokens") == 0o700
    # People should know that others could have changed what is there.
    assert ("could" in caplog.text) == bool(found & 0o022)


@posix
async def test_a_directory_of_other_things_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    os.chmod(tmp_path, 0o755)
    storage = FileTokenStorage(tmp_path)
    await storage.save("a", "secret")
    assert (await storage.load("a"), mode(tmp_path)) == ("secret", 0o755)


@posix
@pytest.mark.parametrize("found", [0o777, 0o1777, 0o770])
async def test_a_shared_directory_is_refused(found: int, tmp_path: Path) -> None:
    """Others could put their files in the place of ours; such as those of /tmp for root."""
    if found != 0o1777:
        (tmp_path / "letter.txt").write_text("dear")
    os.chmod(tmp_path, found)
    storage = FileTokenStorage(tmp_path)
    for attempt in (storage.load("a"), storage.save("a", "secret"), storage.save("a", None)):
        with pytest.raises(PermissionError, match="directory of its own"):
            await attempt
    assert mode(tmp_path) == found
    os.chmod(tmp_path, 0o700)


@posix
async def test_what_belongs_to_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FileTokenStorage(tmp_path)
    await storage.save("a", "secret")
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    for attempt in (storage.load("a"), storage.save("a", "secret"), storage.save("a", None)):
        with pytest.raises(PermissionError, match="another user"):
            await attempt
    answers = iter([user, user + 1])
    monkeypatch.setattr(os, "geteuid", lambda: next(answers))
    with pytest.raises(PermissionError, match="another user"):
        await storage.load("a")


async def test_a_write_that_fails_leaves_the_old_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FileTokenStorage(tmp_path)
    await storage.save("a", "old")

    def full(descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        await storage.save("a", "new")
    assert await storage.load("a") == "old"
    assert len(files(tmp_path)) == 1


@pytest.mark.skipif(os.name != "posix", reason="directories can be synced")
async def test_the_new_name_is_written_to_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    storage = FileTokenStorage(tmp_path)
    await storage.save("key", "entry")
    assert synced == [False, True]
    await storage.save("key", None)
    assert synced == [False, True, True]


async def test_two_processes_write_whole_entries(tmp_path: Path) -> None:
    storages = [FileTokenStorage(tmp_path) for _ in range(2)]
    entries = ["x" * 10_000, "y" * 10_000]
    async with trio.open_nursery() as nursery:
        for storage, entry in zip(storages, entries, strict=True):
            for _ in range(5):
                nursery.start_soon(storage.save, "a", entry)
    assert await storages[0].load("a") in entries
    assert len(files(tmp_path)) == 1


async def test_what_is_no_text_is_no_entry(tmp_path: Path) -> None:
    storage = FileTokenStorage(tmp_path)
    await storage.save("a", "x")
    (file,) = files(tmp_path)
    file.write_bytes(b"\xff\xfe")
    assert await storage.load("a") is None


def test_without_the_package_there_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ImportError):
        KeyringTokenStorage()
