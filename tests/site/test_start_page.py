"""The start page claims only what other pages show."""

from __future__ import annotations

import re
from typing import Final

import pytest

from .building import ROOT

DOCS: Final = ROOT / "docs"
START: Final = (DOCS / "index.md").read_text()
IMAGES: Final = DOCS / "images"

#: Bars of the plot: name, width, figure.
_BAR: Final = re.compile(
    r'text-anchor="end">([\w ]+)</text>\n<rect .*? width="([\d.]+)" .*\n<text .*>([\d,]+)</text>'
)


def table(text: str, columns: int) -> list[list[str]]:
    """The rows of the tables with so many columns."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [re.split(r"(?<!\\)\|", line[1:-1]) for line in lines]
    return [[cell.strip() for cell in row] for row in rows if len(row) == columns]


def verdict(cell: str) -> str:
    """What the page of guarantees begins a cell with."""
    bold = re.match(r"\*\*(.*?)\*\*", cell)
    return bold[1] if bold else cell


def test_the_comparison_says_what_was_measured() -> None:
    measured = {
        row[1]: [verdict(cell) for cell in row[3:]]
        for row in table((DOCS / "guarantees.md").read_text(), 6)
    }
    [_, _, *shown, total] = table(START, 4)
    assert len(shown) > 10
    for name, *cells in shown:
        assert cells == measured[name], name
    assert total[1:] == measured["kept"]


def test_the_comparison_is_of_the_versions_that_were_measured() -> None:
    [heads] = [row for row in table((DOCS / "guarantees.md").read_text(), 6) if row[1] == "promise"]
    versions = [head.split()[-1] for head in heads[3:]]
    for version in versions:
        assert version in START


def bars(scheme: str) -> list[tuple[str, float, str]]:
    found = _BAR.findall((IMAGES / f"requests-{scheme}.svg").read_text())
    return [(name, float(width), figure) for name, width, figure in found]


def test_the_plot_shows_figures_of_the_page_of_benchmarks() -> None:
    page = (DOCS / "benchmarks.md").read_text()
    names = {"trimcp": "trimcp", "TypeScript SDK": "typescript-sdk", "Python SDK": "python-sdk"}
    assert len(bars("light")) == 9
    for name, _, figure in bars("light"):
        assert re.search(rf"^\| {names[name]} \| {figure} ", page, re.MULTILINE), (name, figure)


def test_bars_are_as_long_as_their_figures() -> None:
    groups = (IMAGES / "requests-light.svg").read_text().split('class="title"')[1:]
    assert len(groups) == 3
    for group in groups:
        scales = {
            round(float(width) / int(figure.replace(",", "")), 4)
            for _, width, figure in _BAR.findall(group)
        }
        assert max(scales) == pytest.approx(min(scales), rel=0.01)


@pytest.mark.parametrize("name", ["nurseries", "requests"])
def test_pictures_differ_in_their_colours_only(name: str) -> None:
    light, dark = ((IMAGES / f"{name}-{scheme}.svg").read_text() for scheme in ("light", "dark"))
    assert light != dark
    style = re.compile("<style>.*</style>", re.DOTALL)
    assert style.sub("", light) == style.sub("", dark)
    assert re.sub("#[0-9a-f]{6}", "", light) == re.sub("#[0-9a-f]{6}", "", dark)


def test_every_example_is_listed() -> None:
    listed = re.findall(r"\]\((\w+\.py)\)", (DOCS / "examples" / "README.md").read_text())
    assert listed == sorted(path.name for path in (DOCS / "examples").glob("*.py"))
