"""What stands between a server's words and a terminal.

A terminal obeys some characters instead of showing them: escape sequences, the bell, a backspace,
and those that turn the direction of writing. A command that connects to a server writes to
terminals only through `screened()`, where such characters are made visible: `\\x1b`, `\\u202e`.
Files and pipes get everything as it is.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["control", "printable", "screened", "visible"]

#: What has to be looked at; a carriage return in a line break of other systems does no harm.
_SUSPECT: Final = re.compile(r"\r\n|[^\n\t -~]")

#: On one line there are no breaks and no tabs either.
_SUSPECT_ON_A_LINE: Final = re.compile(r"[^ -~]")

#: Without these, Persian words and many emoji look wrong; alone they do nothing.
_JOINERS: Final = "\u200c\u200d"


def visible(text: str) -> str:
    """The text with each control character replaced by a visible code.

    Line breaks, tabs, the spaces of all scripts and the two joiners stay. Unassigned characters
    get a code too, as they do in Python's `repr`.
    """
    return _SUSPECT.sub(_shown, text)


def printable(text: str) -> str:
    """The text on one line: line breaks and other control characters become spaces."""
    return _SUSPECT_ON_A_LINE.sub(lambda found: found[0] if _is_plain(found[0]) else " ", text)


def _shown(found: re.Match[str]) -> str:
    each = found[0]
    if each == "\r\n" or _is_plain(each):
        return each
    return each.encode("unicode_escape").decode()


def _is_plain(each: str) -> bool:
    return each.isprintable() or each in _JOINERS or unicodedata.category(each) == "Zs"


@contextmanager
def screened() -> Iterator[None]:
    """Replace control characters in all that is written to a terminal while the block runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_Screen.before, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def control(text: str) -> None:
    """Write something to standard error that a terminal there is to obey, such as `\\r`."""
    stream = sys.stderr
    (stream.beneath if isinstance(stream, _Screen) else stream).write(text)


class _Screen:
    """A text stream to a terminal.

    Attributes:
        beneath: The stream itself.
    """

    def __init__(self, beneath: TextIO) -> None:
        self.beneath = beneath

    @classmethod
    def before(cls, stream: TextIO) -> TextIO:
        return cast("TextIO", cls(stream)) if stream.isatty() else stream

    def write(self, text: str) -> int:
        return self.beneath.write(visible(text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.beneath, name)
