"""Plain tables that fit a terminal."""

from __future__ import annotations

import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["table"]

_GAP: Final = "  "
_NARROWEST: Final = 8


def table(rows: Sequence[Sequence[str]], width: int) -> str:
    """Rows of cells as columns; cells may have several lines, and long lines are wrapped.

    Args:
        rows: The rows, the headings first, all of the same length.
        width: The columns of the terminal.
    """
    widths = _fit([max(map(_widest, column)) for column in zip(*rows, strict=True)], width)
    return "\n".join(line for row in rows for line in _lines(row, widths))


def _widest(cell: str) -> int:
    return max(map(len, cell.splitlines()), default=0)


def _fit(widths: list[int], width: int) -> list[int]:
    """Take from the widest column, bit by bit, until all fit or none can give."""
    room = width - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _lines(row: Sequence[str], widths: list[int]) -> Iterator[str]:
    cells = [_wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
    for pieces in zip_longest(*cells, fillvalue=""):
        yield _GAP.join(map(str.ljust, pieces, widths)).rstrip()


def _wrap(cell: str, width: int) -> list[str]:
    """A cell's lines; the rest of a long one is indented."""
    return [
        piece
        for line in cell.splitlines()
        for piece in textwrap.wrap(line, width, subsequent_indent="  ")
    ] or [""]
