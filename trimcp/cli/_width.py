"""The width of text on a terminal, where a character may take two columns, or none."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["clip", "ljust", "width_of", "wrap"]

_INDENT: Final = "  "

_PIECE: Final = 100

#: After some characters it selects the wide form, an emoji.
_AS_EMOJI: Final = "\ufe0f"

#: It joins the next character with the one before it.
_JOINER: Final = "\u200d"


def width_of(text: str) -> int:
    """The columns that a line takes."""
    if text.isascii():
        return len(text)
    # Loaded late, since it loads large tables of Unicode.
    from wcwidth import wcswidth

    # It takes quadratic time for some texts, so it gets pieces.
    pieces = (text[begin : begin + _PIECE] for begin in range(0, len(text), _PIECE))
    return sum(max(wcswidth(piece), 0) for piece in pieces)


def ljust(text: str, width: int) -> str:
    """A line, filled up with spaces."""
    return text + " " * (width - width_of(text))


def clip(text: str, width: int) -> str:
    """The beginning of a line, no wider than given."""
    return next(_parts(text, width), "")


def wrap(line: str, width: int) -> list[str]:
    """A line in pieces that fit; all but the first are indented."""
    if line.isascii():
        return textwrap.wrap(line, width, subsequent_indent=_INDENT)
    # wcwidth's own `wrap` takes quadratic time for a word that is longer than a line.
    pieces: list[str] = []
    room = 0
    for word in line.split():
        fits_alone = not pieces and width_of(word) <= width
        for number, part in enumerate(_parts(word, width if fits_alone else width - len(_INDENT))):
            needed = width_of(part) + 1
            if number == 0 and needed <= room:
                pieces[-1] += f" {part}"
                room -= needed
            else:
                indent = _INDENT if pieces else ""
                pieces.append(indent + part)
                room = width - len(indent) - needed + 1
    return pieces


def _parts(word: str, width: int) -> Iterator[str]:
    """A word in parts that fit, none of which begins in the middle of a joined character."""
    if width_of(word) <= width:
        yield word
        return
    from wcwidth import wcwidth

    begin = used = 0
    before = ""
    for place, each in enumerate(word):
        is_joined = before == _JOINER
        columns = 0 if is_joined else 1 if each == _AS_EMOJI else max(wcwidth(each), 0)
        # A joiner that is joined itself joins nothing.
        before = "" if is_joined else each
        if columns and place > begin and used + columns > width:
            yield word[begin:place]
            begin, used = place, 0
        used += columns
    yield word[begin:]
