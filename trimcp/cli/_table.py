"""Plain tables that fit a terminal."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from ._width import ljust, width_of, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["table"]

_GAP: Final = "  "
_NARROWEST: Final = 8

#: How many characters of a cell are shown.
_LONGEST: Final = 10_000


def table(rows: Sequence[Sequence[str]], width: int) -> str:
    """Rows of cells as columns; cells may have several lines, and long lines are wrapped.

    Args:
        rows: The rows, the headings first, all of the same length.
        width: The columns of the terminal.
    """
    lines = [[_lines_of(cell) for cell in row] for row in rows]
    widest = [max(map(_widest, column)) for column in zip(*lines, strict=True)]
    widths = _fit([min(each, width) for each in widest], width)
    return "\n".join(line for row in lines for line in _as_lines(row, widths))


def _lines_of(cell: str) -> list[str]:
    if len(cell) > _LONGEST:
        cell = f"{cell[:_LONGEST]}… ({len(cell):,} characters)"
    return cell.splitlines()


def _widest(cell: list[str]) -> int:
    return max(map(width_of, cell), default=0)


def _fit(widths: list[int], width: int) -> list[int]:
    """Make the widest column narrower, step by step, until all fit or none can be narrower."""
    room = width - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _as_lines(row: Sequence[list[str]], widths: list[int]) -> Iterator[str]:
    cells = [
        [piece for line in cell for piece in wrap(line, width)] or [""]
        for cell, width in zip(row, widths, strict=True)
    ]
    for pieces in zip_longest(*cells, fillvalue=""):
        yield _GAP.join(map(ljust, pieces, widths)).rstrip()
