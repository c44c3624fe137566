"""Files and directories as resources.

Specification: Resources, Security Considerations (paths are sanitized).
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from trimcp.errors import RegistrationError
from trimcp.types import BlobResourceContents, TextResourceContents

__all__ = ["Directory", "read_file"]


def read_file(path: Path, uri: str, mime_type: str | None) -> Any:
    """The contents of a file: text where it is UTF-8, else a blob. Blocks; raises OSError."""
    import base64

    data = path.read_bytes()
    guessed = mime_type or mimetypes.guess_type(path.name)[0]
    try:
        return TextResourceContents(uri, data.decode(), guessed or "text/plain")
    except UnicodeDecodeError:
        blob = base64.b64encode(data).decode()
        return BlobResourceContents(uri, blob, guessed or "application/octet-stream")


@attrs.frozen
class Directory:
    """A directory whose files are read under a URI.

    Attributes:
        uri: The directory's URI, without a slash at its end.
        root: Where it is, with symbolic links resolved.
    """

    uri: str
    root: Path

    @classmethod
    def at(cls, uri: str, path: str | Path) -> Directory:
        """Raises RegistrationError if the path is no directory."""
        root = Path(path).resolve()
        if not root.is_dir():
            raise RegistrationError(f"resource {uri!r}: {path} is no directory")
        return cls(uri.rstrip("/"), root)

    def read(self, path: str) -> Any:
        """A file's contents, or the entries of a directory as JSON. Blocks.

        Returns:
            None if there is no such file, or if the path leads out of the directory: by `..`,
            by being absolute, or through a symbolic link.
        """
        if "\0" in path or path.startswith(("/", "\\")):
            return None
        target = (self.root / path).resolve()
        if not target.is_relative_to(self.root) or not target.exists():
            return None
        inside = target.relative_to(self.root)
        uri = f"{self.uri}/{quote(inside.as_posix())}"
        if target.is_dir():
            return [self._entry(child) for child in sorted(target.iterdir())]
        return read_file(target, uri, None)

    def _entry(self, child: Path) -> dict[str, Any]:
        uri = f"{self.uri}/{quote(child.relative_to(self.root).as_posix())}"
        kind = "directory" if child.is_dir() else "file"
        return {"name": child.name, "type": kind, "uri": uri}
