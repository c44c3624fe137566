"""Tables that fit a terminal."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Literal

from ._width import ljust, width_of, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._colours import Piece

__all__ = ["table"]

_GAP: Final = "  "
_NARROWEST: Final = 8

#: How many characters of a cell are shown.
_LONGEST: Final = 10_000


def table(
    rows: Sequence[Sequence[str]], width: int, *, headings: Literal["row", "column"]
) -> Iterator[Piece]:
    """Rows of cells as columns; cells may have several lines, and long lines are wrapped.

    Args:
        rows: The rows, all of the same length.
        width: The columns of the terminal.
        headings: Whether the first row or the first column has the headings.
    """
    lines = [[_lines_of(cell) for cell in row] for row in rows]
    widest = [max(map(_widest, column)) for column in zip(*lines, strict=True)]
    widths = _fit([min(each, width) for each in widest], width)
    for number, row in enumerate(lines):
        is_heading = headings == "row" and number == 0
        for cells in _as_lines(row, widths):
            if is_heading:
                yield _joined(cells), "heading"
            elif headings == "column":
                yield cells[0].rstrip(), "heading"
                yield cells[0][len(cells[0].rstrip()) :] + _joined(["", *cells[1:]]), None
            else:
                yield _joined(cells), None
            yield "\n", None


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


def _as_lines(row: Sequence[list[str]], widths: list[int]) -> Iterator[list[str]]:
    """The cells of each line of a row, filled up with spaces."""
    cells = [
        [piece for line in cell for piece in wrap(line, width)] or [""]
        for cell, width in zip(row, widths, strict=True)
    ]
    for pieces in zip_longest(*cells, fillvalue=""):
        yield list(map(ljust, pieces, widths))


def _joined(cells: Sequence[str]) -> str:
    return _GAP.join(cells).rstrip()
