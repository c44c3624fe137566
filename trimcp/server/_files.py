"""Files and directories as resources.

A path is checked before it is opened: only regular files are read, and a file that is too large for
a message is refused without reading it.

Specification: Resources, Security Considerations (paths are sanitized).
"""

from __future__ import annotations

import errno
import mimetypes
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from trimcp.errors import LimitExceeded, RegistrationError, ResourceNotFound
from trimcp.types import BlobResourceContents, TextResourceContents

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Directory", "file_reader"]

#: The errors of the operating system for a path that names nothing.
_NOTHING: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})

#: Do not block, follow no link, and take no controlling terminal, if the file was replaced.
_FLAGS: Final = os.O_RDONLY | sum(
    getattr(os, name, 0)
    for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)


def read_file(path: Path, uri: str, mime_type: str | None, limit: int) -> Any:
    """The contents of a file: text where it is UTF-8, else a blob. Blocks.

    Args:
        path: Its path; symbolic links are followed.
        uri: The URI of the contents.
        mime_type: Its MIME type, or None to guess it from the name.
        limit: The maximum number of bytes.

    Returns:
        None if there is no regular file.

    Raises:
        LimitExceeded: It is larger.
        OSError: It cannot be read.
    """
    import base64

    real = _resolved(path)
    data = None if real is None else _read(real, limit)
    if data is None:
        return None
    guessed = mime_type or mimetypes.guess_type(path.name)[0]
    try:
        return TextResourceContents(uri, data.decode(), guessed or "text/plain")
    except UnicodeDecodeError:
        blob = base64.b64encode(data).decode()
        return BlobResourceContents(uri, blob, guessed or "application/octet-stream")


def file_reader(
    uri: str, file: Path, mime_type: str | None, limit: Callable[[], int]
) -> Callable[[], Any]:
    """A function that reads a file when it is called.

    Args:
        uri: The URI of the contents.
        file: Its path.
        mime_type: Its MIME type, or None to guess it from the name.
        limit: Gives the maximum number of bytes.

    Raises:
        RegistrationError: The path is not a file.
    """
    if not is_file(file):
        raise RegistrationError(f"resource {uri!r}: {file} is no file")

    def read() -> Any:
        found = read_file(file, uri, mime_type, limit())
        if found is None:
            raise ResourceNotFound(uri)
        return found

    return read


def is_file(path: Path) -> bool:
    """Whether it is a regular file, or a link to one. Raises OSError."""
    real = _resolved(path)
    status = None if real is None else _status(real)
    return status is not None and stat.S_ISREG(status.st_mode)


def _read(path: Path, limit: int) -> bytes | None:
    """The bytes of a regular file. A path without symbolic links."""
    status = _status(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    _check_size(status.st_size, limit)
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in _NOTHING:
            return None
        raise
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None  # it was replaced by something else
        return _read_to_end(file, limit)


def _read_to_end(file: Any, limit: int) -> bytes:
    """Read to the end: a file may grow meanwhile, and some special files report no size."""
    data = bytearray()
    while piece := file.read(min(1 << 20, limit + 1 - len(data))):
        data += piece
        _check_size(len(data), limit)
    return bytes(data)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise LimitExceeded(f"a file of more than {limit} bytes is not read")


def _resolved(path: Path) -> Path | None:
    """A path with its symbolic links followed; None if it cannot name anything."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        # A loop of links is a RuntimeError before Python 3.13; a null character is a ValueError.
        if isinstance(error, OSError) and error.errno not in _NOTHING:
            raise
        return None


def _status(path: Path) -> os.stat_result | None:
    """The status of a path; None if it names nothing. Raises OSError."""
    try:
        return path.stat()
    except OSError as error:
        if error.errno in _NOTHING:
            return None
        raise


@attrs.frozen
class Directory:
    """A directory whose files are read under a URI.

    Attributes:
        uri: The directory's URI, without a slash at its end.
        root: Its path, with symbolic links resolved.
    """

    uri: str
    root: Path

    @classmethod
    def at(cls, uri: str, path: str | Path) -> Directory:
        """The directory at a path. Raises RegistrationError if it is not a directory."""
        root = _resolved(Path(path))
        status = None if root is None else _status(root)
        if root is None or status is None or not stat.S_ISDIR(status.st_mode):
            raise RegistrationError(f"resource {uri!r}: {path} is no directory")
        return cls(uri.rstrip("/"), root)

    def read(self, path: str, limit: int) -> Any:
        """A file's contents, or the entries of a directory as JSON. Blocks.

        Args:
            path: The path below the directory.
            limit: The maximum number of bytes of a file.

        Returns:
            None if there is no such file, if it is not a regular file (but a pipe or a device), or
            if the path leads out of the directory: by `..`, by being absolute, or through a
            symbolic link.

        Raises:
            LimitExceeded: The file is larger.
            OSError: It cannot be read.
        """
        if path.startswith(("/", "\\")):
            return None
        target = self._inside(self.root / path)
        status = None if target is None else _status(target)
        if target is None or status is None:
            return None
        if stat.S_ISDIR(status.st_mode):
            return [
                entry
                for name in sorted(os.listdir(target))
                if (entry := self._entry(target / name))
            ]
        return read_file(target, self._uri_of(target), None, limit)

    def readers(self, limit: Callable[[], int]) -> tuple[Callable[[str], Any], Callable[[], Any]]:
        """Two functions: one reads a path below the directory, one the directory's own entries.

        Args:
            limit: Gives the maximum number of bytes of a file.
        """

        def read(path: str) -> Any:
            found = self.read(path, limit())
            if found is None:
                raise ResourceNotFound(f"{self.uri}/{path}")
            return found

        def entries() -> Any:
            found = self.read("", limit())
            if found is None:
                raise ResourceNotFound(self.uri)
            return found

        return read, entries

    def _inside(self, path: Path) -> Path | None:
        """The path with its symbolic links followed, if it stays inside."""
        target = _resolved(path)
        return target if target is not None and target.is_relative_to(self.root) else None

    def _uri_of(self, path: Path) -> str:
        inside = os.fsencode(path.relative_to(self.root).as_posix())
        return f"{self.uri}/{quote(inside)}"

    def _entry(self, child: Path) -> dict[str, Any] | None:
        """An entry of a listing; None for an entry that cannot be read under its name."""
        try:
            child.name.encode()
            target = self._inside(child)
            status = None if target is None else _status(target)
        except (UnicodeEncodeError, OSError):
            return None
        if status is None:
            return None
        if stat.S_ISDIR(status.st_mode):
            kind = "directory"
        elif stat.S_ISREG(status.st_mode):
            kind = "file"
        else:
            return None
        return {"name": child.name, "type": kind, "uri": self._uri_of(child)}
