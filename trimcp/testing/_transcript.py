"""The messages of a connection, as text that people can read and compare.

Each message is one line, after `-> ` if the client sent it and `<- ` if the server sent it. Lines
that begin with `#` are remarks.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from trimcp.transports import Oversized

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from trimcp.transports import Incoming

__all__ = ["Arrow", "Entry", "Remark", "Transcript", "assert_transcript"]

#: The sender: the client (`->`) or the server (`<-`).
Arrow: TypeAlias = Literal["->", "<-"]

_ARROWS: Final[dict[str, Arrow]] = {"->": "->", "<-": "<-"}

#: Members whose values differ between runs.
_VOLATILE: Final = ("requestState", "elicitationId")

#: How many lines a transcript may have, unless told otherwise.
_ENTRIES: Final = 100_000


@attrs.frozen
class Entry:
    """One message.

    Attributes:
        arrow: The sender.
        message: The decoded JSON (a list for a batch); None if it was not JSON.
        unreadable: What it was instead, for people.
    """

    arrow: Arrow
    message: Any
    unreadable: str | None = None

    def __str__(self) -> str:
        if self.unreadable is not None:
            return f"{self.arrow} !{self.unreadable}"
        return f"{self.arrow} {_dump(self.message)}"


@attrs.frozen
class Remark:
    """A line for people."""

    text: str

    def __str__(self) -> str:
        return f"# {self.text}".rstrip()


class Transcript:
    """The messages of connections, in the order in which they passed.

    Ids, tokens and keys are unchanged: they are part of the test. The values of members that differ
    between runs are replaced by numbered marks, equal values by the same mark, so that one still
    sees that a retry returns the state it was given.

    Args:
        volatile: The names of those members; only texts are replaced.
        limit: How many lines there may be.
    """

    def __init__(self, *, volatile: tuple[str, ...] = _VOLATILE, limit: int = _ENTRIES) -> None:
        self._lines: list[Entry | Remark] = []
        self._volatile = volatile
        self._limit = limit
        self._marks: dict[tuple[str, str], str] = {}

    def note(self, arrow: Arrow, message: Incoming) -> None:
        """Add a message.

        Args:
            arrow: The sender.
            message: One message as bytes, without its newline.

        Raises:
            RuntimeError: There are too many lines.
        """
        if isinstance(message, Oversized):
            self._add(Entry(arrow, None, f"a message of {message.size} bytes, skipped"))
            return
        try:
            value = json.loads(message)
        except (ValueError, RecursionError):
            self._add(Entry(arrow, None, repr(bytes(message))))
        else:
            self._add(Entry(arrow, self._masked(value)))

    def remark(self, text: str) -> None:
        """Add a line for people. Raises ValueError if it is more than one."""
        if "\n" in text:
            raise ValueError("a remark is one line")
        self._add(Remark(text))

    def _add(self, line: Entry | Remark) -> None:
        if len(self._lines) >= self._limit:
            raise RuntimeError(f"a transcript of more than {self._limit} lines")
        self._lines.append(line)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: self._mark(key, each)
                if key in self._volatile and isinstance(each, str)
                else self._masked(each)
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [self._masked(each) for each in value]
        return value

    def _mark(self, key: str, value: str) -> str:
        same = sum(name == key for name, _ in self._marks)
        return self._marks.setdefault((key, value), f"<{key} {same + 1}>")

    # -- reading it -----------------------------------------------------------------------

    def __iter__(self) -> Iterator[Entry]:
        """The messages, without the remarks."""
        return (line for line in self._lines if isinstance(line, Entry))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:
        """Whether the messages and their order are equal; the order of members does not count."""
        return isinstance(other, Transcript) and _compared(self) == _compared(other)

    __hash__ = None  # type: ignore[assignment]

    def said(self, arrow: Arrow) -> list[Any]:
        """The messages of one side; batches are split."""
        found: list[Any] = []
        for entry in self:
            if entry.arrow == arrow:
                found += entry.message if isinstance(entry.message, list) else [entry.message]
        return found

    # -- as text --------------------------------------------------------------------------

    def dump(self) -> str:
        """The transcript as text; `load` reads it back."""
        return "".join(f"{line}\n" for line in self._lines)

    @classmethod
    def load(cls, text: str) -> Transcript:
        """Read what `dump` wrote.

        Raises:
            ValueError: A line is not one of a transcript.
        """
        transcript = cls()
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                transcript._add(_parse(line))
            except ValueError as error:
                raise ValueError(f"line {number} is not a line of a transcript: {error}") from None
        return transcript


def _parse(line: str) -> Entry | Remark:
    start, _, rest = line.partition(" ")
    if start == "#":
        return Remark(rest)
    arrow = _ARROWS.get(start)
    if arrow is not None:
        if rest.startswith("!"):
            return Entry(arrow, None, rest[1:])
        return Entry(arrow, json.loads(rest))
    raise ValueError(f"it begins with {start!r}")


def _dump(value: Any, *, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=sort_keys)


def _compared(transcript: Transcript) -> list[str]:
    """One text per line, equal for equal messages; unlike `==`, it distinguishes true from 1."""
    return [
        f"{line.arrow} {_dump(line.message, sort_keys=True)}"
        if isinstance(line, Entry) and line.unreadable is None
        else str(line)
        for line in transcript._lines
    ]


def assert_transcript(
    path: str | os.PathLike[str], transcript: Transcript, *, update: bool = False
) -> None:
    """Compare a transcript with the one in a file.

    Args:
        path: The file; UTF-8 text as `Transcript.dump` writes it.
        transcript: The transcript of this run.
        update: Whether to write the file if it differs, instead of an error.

    Raises:
        AssertionError: They differ, or there is no such file. The message shows where.
        ValueError: The file is not a transcript.
    """
    __tracebackhide__ = True
    file = Path(path)
    golden = Transcript.load(file.read_text("utf-8")) if file.exists() else None
    if golden == transcript:
        return
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(transcript.dump(), "utf-8")
        return
    if golden is None:
        raise AssertionError(f"there is no golden transcript {file}; {_HOW_TO_UPDATE}")
    raise AssertionError(
        f"the wire differs from {file.name}:\n{_difference(golden, transcript)}\n{_HOW_TO_UPDATE}"
    )


_HOW_TO_UPDATE: Final = "if what was said is right, update it with --trimcp-update-golden"


def _difference(golden: Transcript, transcript: Transcript) -> str:
    """The differences, member by member, with the messages around them."""
    lines = difflib.unified_diff(
        _spread(golden), _spread(transcript), "golden", "this time", lineterm="", n=4
    )
    return "\n".join(lines)


def _spread(transcript: Transcript) -> list[str]:
    """One member per line, so that only the members that differ are shown."""
    lines: list[str] = []
    for line in transcript._lines:
        if isinstance(line, Entry) and isinstance(line.message, dict):
            lines.append(f"{line.arrow} {_headline(line.message)}")
            text = json.dumps(line.message, ensure_ascii=False, sort_keys=True, indent=2)
            lines += text.splitlines()[1:-1]
        else:
            lines.append(str(line))
    return lines


def _headline(message: Mapping[str, Any]) -> str:
    """The method and the id of a message."""
    kind = message.get("method") or ("error" if "error" in message else "result")
    return f"{kind} {message['id']!r}" if "id" in message else str(kind)
