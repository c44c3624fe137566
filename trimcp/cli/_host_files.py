"""Reading, changing and replacing a host's file."""

from __future__ import annotations

import difflib
import os
import stat
import tempfile
from typing import TYPE_CHECKING, Any, Final

import attrs

from . import _jsonc
from ._errors import CommandError, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._hosts import Host

__all__ = ["HostFile"]

#: The largest file that is read, in bytes.
_MOST_BYTES: Final = 16 * 1024 * 1024

_MARK: Final = "\ufeff"

#: The name of the copy of what was there before.
_BACKUP: Final = ".trimcp.bak"


@attrs.define
class HostFile:
    """The file of a host, as it is and as it shall be.

    Attributes:
        host: Whose it is.
        path: Where it is, symbolic links followed.
        before: Its text, without a byte order mark; None if there is none.
        after: The text that it shall have.
    """

    host: Host
    path: str
    before: str | None
    after: str
    _mark: str = ""
    _mode: int = 0o600

    @classmethod
    def read(cls, host: Host, path: str) -> HostFile:
        """Read a file, and see whether it can be changed.

        Raises:
            CommandError: It cannot be read, or is malformed.
        """
        path = os.path.realpath(path)
        try:
            with open(path, "rb") as file:
                data = file.read(_MOST_BYTES + 1)
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        except FileNotFoundError:
            return cls(host, path, None, "")
        except OSError as error:
            raise CommandError(f"cannot read {path}: {reason(error)}") from error
        if len(data) > _MOST_BYTES:
            raise CommandError(f"{path} is too large for settings")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            place = _place(data[: error.start].decode(), error.start)
            raise CommandError(f"{path}, {place}: not UTF-8; nothing was changed") from None
        mark = _MARK if text.startswith(_MARK) else ""
        if mark and not host.byte_order_mark:
            raise CommandError(
                f"{path}, line 1, column 1: a byte order mark, which {host.title} does not read; "
                "nothing was changed"
            )
        text = text.removeprefix(_MARK)
        found = cls(host, path, text, text, mark, mode)
        found.entries()
        return found

    def entries(self) -> dict[str, Any]:
        """The servers by name. Raises CommandError."""
        data = self._parsed(self.after)
        for key, kind, word in (
            (self.host.section, dict, "object"),
            (self.host.inputs, list, "array"),
        ):
            if key is not None and not isinstance(data.get(key, kind()), kind):
                raise self._malformed(self.after, f"{key!r} is no {word}", self._at(key))
        found: dict[str, Any] = data.get(self.host.section, {})
        return found

    def add(self, name: str, entry: dict[str, Any], asked: dict[str, Any] | None) -> None:
        """Add or replace a server.

        Args:
            name: Its name.
            entry: What stands there.
            asked: What the host has to ask the user for, with its `id`; None for nothing.
        """
        expected = self._parsed(self.after)
        expected = {**expected, self.host.section: {**self.entries(), name: entry}}
        inputs = self.host.inputs
        new = asked is not None and asked["id"] not in self._asked()
        if inputs is not None and new:
            expected[inputs] = [*expected.get(inputs, []), asked]
        if self.host.format == "yaml":
            from ._yaml import with_member

            self.after = with_member(self.after, self.host.section, name, entry)
        else:
            path = [self.host.section, name]
            text = self.after if self.after.strip() else "{}\n"
            if inputs is not None and new:
                text = _jsonc.with_element(text, inputs, asked)
            self.after = _jsonc.with_member(text, path, entry)
        self._check(expected)

    def remove(self, name: str) -> None:
        """Remove a server, and what the host asked the user for on its behalf alone."""
        expected = self._parsed(self.after)
        servers = self.entries()
        gone = servers.pop(name)
        expected = {**expected, self.host.section: servers}
        if self.host.format == "yaml":
            from ._yaml import without

            self.after = without(self.after, self.host.section, name)
        else:
            self.after = _jsonc.without(self.after, [self.host.section, name])
            if self.host.inputs is not None:
                unused = {
                    each for each in self._asked() if _uses(gone, each) and not _uses(servers, each)
                }
                is_unused = _id_in(unused)
                self.after = _jsonc.without_elements(self.after, self.host.inputs, is_unused)
                if unused:
                    kept = [each for each in expected[self.host.inputs] if not is_unused(each)]
                    expected[self.host.inputs] = kept
        self._check(expected)

    def difference(self) -> str:
        """What changes, as a unified diff."""
        before = (self.before or "").splitlines(keepends=True)
        after = self.after.splitlines(keepends=True)
        name = os.devnull if self.before is None else self.path
        lines = difflib.unified_diff(before, after, name, self.path)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def write(self) -> str | None:
        """Replace the file; the path of the copy of what was there before, if there was a file.

        Raises:
            CommandError: It cannot be written, or another program has changed it meanwhile.
        """
        try:
            data = (self._mark + self.after).encode()
        except UnicodeEncodeError:
            raise CommandError("a path that is not text cannot stand in settings") from None
        copy = None
        try:
            if self.before is None:
                os.makedirs(os.path.dirname(self.path), exist_ok=True)
            else:
                copy = self.path + _BACKUP
                _replace(copy, (self._mark + self.before).encode(), self._mode)
            if self._read_again() != self.before:
                raise CommandError(f"{self.path} has just been changed by another program")
            _replace(self.path, data, self._mode)
        except OSError as error:
            raise CommandError(f"cannot write {self.path}: {reason(error)}") from error
        return copy

    def _read_again(self) -> str | None:
        try:
            with open(self.path, "rb") as file:
                return file.read().decode(errors="replace").removeprefix(_MARK)
        except FileNotFoundError:
            return None

    def _parsed(self, text: str) -> dict[str, Any]:
        if not text.strip():
            return {}
        if self.host.format == "yaml":
            from ._yaml import parse
        else:
            parse = self._parsed_json
        try:
            data = parse(text)
        except _jsonc.Malformed as error:
            raise self._malformed(text, error.text, error.place) from None
        if not isinstance(data, dict):
            raise self._malformed(text, "the settings are no object", 0)
        return data

    def _parsed_json(self, text: str) -> Any:
        host = self.host
        node = _jsonc.parse(text, comments=host.comments, trailing_commas=host.trailing_commas)
        return node.data

    def _malformed(self, text: str, what: str, place: int) -> CommandError:
        where = _place(text, place)
        return CommandError(f"{self.path}, {where}: {what}; nothing was changed")

    def _at(self, key: str) -> int:
        """Where a member at the top stands."""
        if self.host.format == "yaml":
            return max(self.after.find(key), 0)
        item = _jsonc.parse(self.after).member(key)
        return item.node.start if item is not None else 0

    def _asked(self) -> list[str]:
        found = self._parsed(self.after).get(self.host.inputs or "", [])
        return [each["id"] for each in found if isinstance(each, dict) and "id" in each]

    def _check(self, expected: dict[str, Any]) -> None:
        """Make sure that nothing else is changed, whatever the file was."""
        if self._parsed(self.after) != expected:
            raise CommandError(
                f"{self.path} is written in a way that cannot be changed safely; nothing was "
                "changed: add the server by hand, as --dry-run on an empty file shows"
            )


def _uses(entry: Any, asked: str) -> bool:
    return f"${{input:{asked}}}" in str(entry)


def _id_in(names: set[str]) -> Callable[[Any], bool]:
    return lambda each: isinstance(each, dict) and each.get("id") in names


def _place(text: str, offset: int) -> str:
    """The line and column of an offset, for people."""
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"


def _replace(path: str, data: bytes, mode: int) -> None:
    """Write a file whole or not at all."""
    handle, new = tempfile.mkstemp(prefix=".trimcp-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(new, mode)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
