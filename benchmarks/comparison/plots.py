"""Drawings of a run, as SVG, readable on a light and on a dark page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .peers import BARE, FASTMCP, SDK, TRIMCP, TYPESCRIPT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .results import Case, Lines, Results
    from .running import Workload

#: Of letters and axes: its contrast is the same on white and on black.
TONE: Final = "#767676"

#: Of the peers; each is between light and dark, like the letters.
COLOURS: Final = {
    TRIMCP: "#2a7fc9",
    SDK: "#c9622a",
    FASTMCP: "#a8782e",
    TYPESCRIPT: "#3d9150",
    BARE: "#8a8a8a",
}

STYLE: Final = {
    "svg.fonttype": "none",
    # Two runs with the same values draw the same file.
    "svg.hashsalt": "benchmarks",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": TONE,
    "axes.labelcolor": TONE,
    "axes.titlecolor": TONE,
    "axes.edgecolor": TONE,
    "xtick.color": TONE,
    "ytick.color": TONE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.transparent": True,
}

#: In inches.
WIDTH: Final = 8.0
BAR: Final = 0.3
HEAD: Final = 0.95


def colour(row: str) -> str:
    """Of a row of a table; another door of a peer has the peer's."""
    return COLOURS[row.partition(",")[0]]


def bars(axes: Any, case: Case, results: Results) -> None:
    """A bar for each peer, with its range, and the value behind it."""
    quantity = case.quantities[0]
    peers = results.peers(case.key)
    values = [results.of(case.key, peer, quantity.name) for peer in peers]
    medians = [results.median(case.key, peer, quantity.name) or 0.0 for peer in peers]
    spread = [
        [max(0.0, middle - min(each)) for middle, each in zip(medians, values, strict=True)],
        [max(0.0, max(each) - middle) for middle, each in zip(medians, values, strict=True)],
    ]
    axes.barh(
        peers,
        medians,
        xerr=spread,
        color=[colour(peer) for peer in peers],
        error_kw={"ecolor": TONE, "elinewidth": 1, "capsize": 2},
    )
    axes.invert_yaxis()
    furthest = max(max(each) for each in values)
    axes.set_xlim(min(0.0, *map(min, values)), furthest * 1.18 or 1)
    for row, (middle, each) in enumerate(zip(medians, values, strict=True)):
        text = f" {quantity.text(middle)}"
        axes.text(max(each) + furthest * 0.01, row, text, va="center", fontsize=9)
    better = "more" if quantity.more_is_better else "less"
    axes.set_title(
        f"{case.title.replace('`', '')}: {quantity.title} ({better} is better)",
        loc="left",
        fontsize=10,
    )
    axes.xaxis.set_major_locator(_locator())
    axes.xaxis.set_major_formatter("{x:,g}")


def _locator() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def lines(axes: Any, drawn: Lines, workload: Workload, results: Results) -> None:
    """A line for each peer, over the number that grows."""
    cases = {case.key: case for case in workload.cases}
    quantity = cases[next(iter(drawn.cases.values()))].quantities[0]
    highest = [1.0]
    for peer in results.peers(next(iter(drawn.cases.values()))):
        known = {
            count: values
            for count, key in drawn.cases.items()
            if (values := results.of(key, peer, quantity.name))
        }
        medians = [results.median(drawn.cases[count], peer, quantity.name) for count in known]
        axes.plot(list(known), medians, marker="o", color=colour(peer), label=peer)
        low, high = [min(each) for each in known.values()], [max(each) for each in known.values()]
        highest += high
        axes.fill_between(list(known), low, high, color=colour(peer), alpha=0.25, linewidth=0)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.1 * max(highest))
    axes.set_xlabel(drawn.what)
    axes.set_title(f"{quantity.title} (less is better)", loc="left", fontsize=10)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.legend(frameon=False)


def _heights(workload: Workload, cases: Sequence[Case], results: Results) -> list[float]:
    if workload.lines:
        return [2.6] * len(workload.lines)
    return [HEAD + BAR * len(results.peers(case.key)) for case in cases]


def draw(workload: Workload, results: Results, target: Path) -> None:
    """One workload as one file."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    cases = [case for case in workload.cases if results.peers(case.key)]
    heights = _heights(workload, cases, results)
    with mpl.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(heights),
            1,
            figsize=(WIDTH, sum(heights)),
            height_ratios=heights,
            squeeze=False,
            layout="constrained",
        )
        if workload.lines:
            for axes, each in zip(grid[:, 0], workload.lines, strict=True):
                lines(axes, each, workload, results)
        else:
            for axes, case in zip(grid[:, 0], cases, strict=True):
                bars(axes, case, results)
        target.mkdir(parents=True, exist_ok=True)
        figure.savefig(target / f"{workload.name}.svg", metadata={"Date": None})
        plt.close(figure)
