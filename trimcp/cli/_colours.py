"""Colours of what the command writes to a terminal.

Only the command itself chooses them: the texts of a server are shown without any control character,
see `_screen`. The colours are the sixteen of ECMA-48, which each terminal shows as its user likes
them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, Literal, TextIO, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CHOICES", "Choice", "Piece", "Style", "are_wanted", "as_text", "coloured", "of_json"]

#: When there are colours: `auto` is on a terminal whose user does not refuse them.
Choice: TypeAlias = Literal["auto", "always", "never"]
CHOICES: Final[tuple[Choice, ...]] = ("auto", "always", "never")

Style: TypeAlias = Literal["heading", "key", "text", "number", "word", "error", "added", "removed"]

#: A part of a text with its style, if it has one.
Piece: TypeAlias = tuple[str, Style | None]

_CODES: Final[dict[Style, str]] = {
    "heading": "1",
    "key": "36",
    "text": "32",
    "number": "35",
    "word": "35",
    "error": "31",
    "added": "32",
    "removed": "31",
}

_TOKEN: Final = re.compile(
    r'(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")(?P<colon>\s*:)?'
    r"|(?P<number>-?\d[-+.\deE]*)"
    r"|(?P<word>true|false|null)"
    r"|(?P<rest>[^\"\dtfn-]+|.)",
    re.DOTALL,
)


def are_wanted(stream: TextIO, choice: Choice) -> bool:
    """Whether what is written to a stream has colours.

    `NO_COLOR` (any value but an empty one; https://no-color.org) and `TERM=dumb` refuse them, where
    `choice` is `auto`.
    """
    if choice != "auto":
        return choice == "always"
    refused = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not refused


def coloured(text: str, style: Style | None) -> str:
    """A text between the codes of a style; the style ends at each line break."""
    if style is None:
        return text
    begin, end = f"\x1b[{_CODES[style]}m", "\x1b[0m"
    return "\n".join(f"{begin}{line}{end}" if line else "" for line in text.split("\n"))


def as_text(pieces: Iterable[Piece]) -> str:
    """The text of the pieces, without their styles."""
    return "".join(text for text, _ in pieces)


def of_json(document: str) -> Iterator[Piece]:
    """A JSON text in pieces, in linear time. Together they are the text, whatever it is."""
    for found in _TOKEN.finditer(document):
        kind = found.lastgroup
        if kind == "colon":
            yield found["text"], "key"
            yield found["colon"], None
        elif kind == "text":
            yield found["text"], "text"
        elif kind == "number":
            yield found["number"], "number"
        elif kind == "word":
            yield found["word"], "word"
        else:
            yield found["rest"], None
