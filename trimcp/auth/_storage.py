"""Where a client keeps what it must not lose: credentials and tokens."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from ._locks import locked
from ._private import check_directory, check_owner, sync_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["FileTokenStorage", "KeyringTokenStorage", "MemoryTokenStorage", "TokenStorage"]

#: The largest entry that is read from a file, in bytes.
_MOST_BYTES: Final = 1024 * 1024


class TokenStorage(Protocol):
    """Keeps the credentials and tokens of clients.

    An entry is a short text, which is a secret: it holds what a client is to an authorization
    server, or the tokens for an MCP server. What stands in it and how keys are made may change.

    Used by many tasks at once. What `save` has stored must be there after a crash: a refresh
    token is good once only, and the one that is stored is the only one that is.

    A storage that several processes share should have a third method, `locked(key)`, an async
    context manager: while its block runs, no other process is in a block for the same key. Tokens
    are loaded, exchanged for the next ones and stored in such a block, which takes half a minute
    at most. It must end with its process, and must not wait for ever for one that hangs: after
    more than that time the block should run without. Without `locked` two processes that refresh
    in the same moment send the same refresh token, which some authorization servers answer by
    ending the login.
    """

    async def load(self, key: str) -> str | None:
        """The entry of this name, or None."""

    async def save(self, key: str, entry: str | None) -> None:
        """Keep an entry in place of the one of the same name, or forget it (None)."""


class MemoryTokenStorage:
    """Keeps everything until the program ends."""

    def __init__(self) -> None:
        self._entries: dict[str, str] = {}

    async def load(self, key: str) -> str | None:
        """The entry of this name, or None."""
        await trio.lowlevel.checkpoint()
        return self._entries.get(key)

    async def save(self, key: str, entry: str | None) -> None:
        """Keep an entry, or forget it."""
        await trio.lowlevel.checkpoint()
        if entry is None:
            self._entries.pop(key, None)
        else:
            self._entries[key] = entry


class FileTokenStorage:
    """Keeps each entry in a file that only this user can read.

    A file is written beside the old one, to the disk, and then takes its place; so there is
    always a whole one. Several processes may share the directory.

    On POSIX the directory and the files must belong to the user that the program runs as, and
    nobody else may be able to change the directory. One that holds nothing but entries is closed
    to others (mode 0700) whenever it is found open. What contains it is not looked at.

    Args:
        directory: Where the files are, a directory of its own; made, with its parents, when it is
            needed.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)

    def __repr__(self) -> str:
        return f"FileTokenStorage({os.fspath(self._directory)!r})"

    async def load(self, key: str) -> str | None:
        """The entry of this name, or None.

        Raises:
            PermissionError: The directory or the file is another user's, or the directory is
                shared with others.
            OSError: It cannot be read.
        """
        return await trio.to_thread.run_sync(self._read, key)

    @contextlib.asynccontextmanager
    async def locked(self, key: str) -> AsyncIterator[None]:
        """Keep other processes from changing an entry that is to be replaced.

        Where a process holds the lock for longer than a request for tokens may take, the block
        runs without, which is logged. Windows has no such lock, and then there is none.

        Raises:
            OSError: The file of the lock cannot be opened.
        """
        async with locked(self._path(key).with_suffix(".lock")):
            yield

    async def save(self, key: str, entry: str | None) -> None:
        """Keep an entry, or forget it.

        Raises:
            PermissionError: The directory is another user's, or is shared with others.
            OSError: It cannot be written.
        """
        await trio.to_thread.run_sync(self._write, key, entry)

    def _path(self, key: str) -> Path:
        return self._directory / hashlib.sha256(key.encode()).hexdigest()

    def _read(self, key: str) -> str | None:
        try:
            check_directory(self._directory)
            path = self._path(key)
            with path.open("rb") as file:
                check_owner(path, os.fstat(file.fileno()))
                return file.read(_MOST_BYTES).decode()
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def _write(self, key: str, entry: str | None) -> None:
        path = self._path(key)
        if entry is None:
            with contextlib.suppress(FileNotFoundError):
                check_directory(self._directory)
                path.unlink()
                sync_directory(self._directory)
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_directory(self._directory)
        # The file is made with 0600, whatever the umask is.
        descriptor, name = tempfile.mkstemp(dir=self._directory, prefix=".")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(entry)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        sync_directory(self._directory)


class KeyringTokenStorage:
    """Keeps everything in the keyring of the operating system.

    Needs the package `keyring`, which is not installed with trimcp.

    Args:
        service: The name under which the keyring has it.

    Raises:
        ImportError: There is no such package.
    """

    def __init__(self, service: str = "trimcp") -> None:
        self._keyring: Any = importlib.import_module("keyring")
        self._service = service

    async def load(self, key: str) -> str | None:
        """The entry of this name, or None. Raises what `keyring` raises."""
        found: str | None = await trio.to_thread.run_sync(
            self._keyring.get_password, self._service, key
        )
        return found

    async def save(self, key: str, entry: str | None) -> None:
        """Keep an entry, or forget it. Raises what `keyring` raises."""
        await trio.to_thread.run_sync(self._write, key, entry)

    def _write(self, key: str, entry: str | None) -> None:
        if entry is not None:
            self._keyring.set_password(self._service, key, entry)
        elif self._keyring.get_password(self._service, key) is not None:
            self._keyring.delete_password(self._service, key)
