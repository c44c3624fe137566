"""Making control characters in a server's texts harmless for a terminal.

A terminal executes some characters instead of showing them: escape sequences, the bell, a
backspace, and those that change the direction of writing. A command that connects to a server
writes to terminals only through `screened()`, which makes such characters visible: `\\x1b`,
`\\u202e`. Files and pipes get everything unchanged.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from ._colours import are_wanted, as_text, coloured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._colours import Choice, Piece

__all__ = ["control", "has_colours", "paint", "printable", "screened", "visible"]

#: Characters that need a check; a carriage return in a line break of other systems is harmless.
_SUSPECT: Final = re.compile(r"\r\n|[^\n\t -~]")

#: The same for one line, where line breaks and tabs are not allowed either.
_SUSPECT_ON_A_LINE: Final = re.compile(r"[^ -~]")

#: Persian words and many emoji need these joiners; alone they are harmless.
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
def screened(colours: Choice = "auto") -> Iterator[None]:
    """Replace control characters in all output to a terminal while the block runs.

    Args:
        colours: When `paint` uses colours.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Screen.before(stream, colours) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def control(text: str) -> None:
    """Write a control character for a terminal to standard error, such as `\\r`."""
    stream = sys.stderr
    (stream.beneath if isinstance(stream, _Screen) else stream).write(text)


def has_colours(stream: TextIO) -> bool:
    """Whether `paint` uses colours on a stream."""
    return isinstance(stream, _Screen) and stream.has_colours


def paint(stream: TextIO, pieces: Iterable[Piece]) -> None:
    """Write pieces of text, with colours where the user wants them."""
    if isinstance(stream, _Screen):
        stream.paint(pieces)
    else:
        stream.write(as_text(pieces))


class _Screen:
    """A text stream that replaces control characters on their way to a terminal.

    Args:
        beneath: The stream itself.
        has_colours: Whether `paint` uses colours.

    Attributes:
        beneath: The stream itself.
        has_colours: See above.
    """

    def __init__(self, beneath: TextIO, *, has_colours: bool) -> None:
        self.beneath = beneath
        self.has_colours = has_colours
        self._visible = visible if beneath.isatty() else str

    @classmethod
    def before(cls, stream: TextIO, colours: Choice) -> TextIO:
        wanted = are_wanted(stream, colours)
        if not (stream.isatty() or wanted):
            return stream
        return cast("TextIO", cls(stream, has_colours=wanted))

    def write(self, text: str) -> int:
        return self.beneath.write(self._visible(text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def paint(self, pieces: Iterable[Piece]) -> None:
        if self.has_colours:
            pieces = ((coloured(self._visible(text), style), None) for text, style in pieces)
            self.beneath.write(as_text(pieces))
        else:
            self.write(as_text(pieces))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.beneath, name)
