"""Finding a user's own mistake in the tracebacks that a server's process writes.

A server tells its client nothing of an unexpected exception, but whoever starts the server's
process reads its standard error, where the log has the exception with all its frames.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Trace", "failure_in", "traces_in"]

#: The margin with which Python draws an exception group.
_MARGIN: Final = re.compile(r" *(?:[|+] |\|$)")

#: The line between two exceptions of a group.
_SEPARATOR: Final = re.compile(r" *\+-[-+]*(?: \.*\d* ?-+)?$")

_HEADER: Final = re.compile(r"(?:Exception Group )?Traceback \(most recent call last\):$")
_FRAME: Final = re.compile(r'  File "(.+)", line (\d+), in (.+)$')
_MARKS: Final = re.compile(r"[ ~^]+$")
_GROUP: Final = re.compile(r"\(\d+ sub-exceptions?\)$")

#: What stands between an exception and the one that followed from it.
_CHAINED: Final = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)

#: The log's line about a request whose handler has failed; the traceback follows.
_FAILED: Final = re.compile(r"\b(?:tools/call|prompts/get|resources/read)\b.* failed$")

#: The beginning of the next line of the log.
_RECORD: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d")

#: Files that are not the user's: those of Python, of installed packages, and our own.
_OTHERS: Final = re.compile(r"[/\\](?:site-packages|dist-packages|lib[/\\]python3\.\d+)[/\\]|^<")
_OURS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

#: How many exceptions of a group, and how many lines of each text, are shown.
_MOST_TRACES: Final = 3
_MOST_LINES: Final = 10


@attrs.frozen
class Trace:
    """One exception of a traceback.

    Attributes:
        text: Its class and message, with its notes.
        where: The file and line of the innermost frame of the user's own code, or None.
        function: The function of that frame.
        source: The line of code there, or "".
    """

    text: Sequence[str]
    where: str | None = None
    function: str = ""
    source: str = ""

    @property
    def lines(self) -> list[str]:
        """What is shown of it."""
        place = [] if self.where is None else [f"  {self.where}, in {self.function}"]
        source = [f"    {self.source}"] if self.source else []
        here = os.getcwd() + os.sep
        return [*place, *source, *(f"  {line.replace(here, '')}" for line in self.text)]


def failure_in(lines: Sequence[str]) -> str:
    """The last failure of a handler in a log, for people; "" if there is none."""
    begins = [number for number, line in enumerate(lines) if _FAILED.search(line)]
    if not begins:
        return ""
    found = traces_in(lines[begins[-1] + 1 :])
    shown = [line for trace in found[:_MOST_TRACES] for line in trace.lines]
    if len(found) > _MOST_TRACES:
        shown.append(f"  and {len(found) - _MOST_TRACES} more exceptions")
    return "\n".join(shown)


def traces_in(lines: Iterable[str]) -> list[Trace]:
    """The last exception that the lines of a traceback show, or all those of a group.

    What an exception followed from is left out.
    """
    pieces: list[list[str]] = []
    #: Where the exceptions of groups begin: how far they are indented, and their first piece.
    begins = [(-1, 0)]
    is_new = False
    for line in lines:
        if _RECORD.match(line):
            break
        if _SEPARATOR.match(line):
            indent = len(line) - len(line.lstrip())
            begins = [each for each in begins if each[0] < indent]
            begins.append((indent, len(pieces)))
            is_new = True
            continue
        margin = _MARGIN.match(line)
        width = margin.end() if margin else 0
        bare = line[width:]
        if bare in _CHAINED:
            del pieces[max(first for indent, first in begins if indent < width) :]
            continue
        if _HEADER.match(bare) or is_new or (not pieces and _FRAME.match(bare)):
            pieces.append([])
            is_new = False
        if pieces:
            pieces[-1].append(bare)
    found = [each for each in map(_read, pieces) if each.text]
    # A group itself says nothing beside what is in it.
    return [each for each in found if not _GROUP.search(each.text[0])] or found


def _read(piece: Sequence[str]) -> Trace:
    """One exception of a traceback."""
    body = [line for line in piece if not _HEADER.match(line)]
    end = next((i for i, line in enumerate(body) if not line.startswith(" ")), len(body))
    text = [line.rstrip() for line in body[end : end + _MOST_LINES]]
    while text and not text[-1]:
        text.pop()
    frames = [(i, found) for i in range(end) if (found := _FRAME.match(body[i]))]
    own = [each for each in frames if not _is_foreign(each[1][1])]
    if not own:
        return Trace(text)
    place, found = own[-1]
    following = body[place + 1 : place + 2]
    has_source = bool(following) and following[0].startswith("    ") and place + 1 < end
    source = following[0].strip() if has_source and not _MARKS.match(following[0]) else ""
    return Trace(text, f"{_shown(found[1])}, line {found[2]}", found[3], source)


def _is_foreign(path: str) -> bool:
    return bool(_OTHERS.search(path)) or path.startswith(_OURS)


def _shown(path: str) -> str:
    """A path as people would write it here."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if relative.startswith("..") else relative
