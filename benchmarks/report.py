"""What was measured, as Markdown, and how it compares to the marks of the project."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TRIMCP, SDK, BARE = "trimcp", "python-sdk", "bare-loop"
"""The servers that the others are compared to, and the one the marks are about."""

IN_FLIGHT = (1, 64)


@dataclass
class Figures:
    """What was measured of one server."""

    rates: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in IN_FLIGHT})
    starts: list[float] = field(default_factory=list)
    memory: float | None = None

    def rate(self, in_flight: int) -> float:
        """The median over the rounds, in requests per second."""
        return median(self.rates[in_flight])

    def start(self) -> float:
        """The median time to the first answer, in seconds."""
        return median(self.starts)


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    rounds: int
    seconds: float
    starts: int


Results = dict[str, Figures]


def ratio(value: float | None, other: float | None) -> str:
    """`value` as a multiple of `other`."""
    return "-" if value is None or not other else f"{value / other:.2f}"


def rate_cells(results: Results, name: str, in_flight: int) -> list[str]:
    """The median rate, its range, and the two comparisons."""
    rates = results[name].rates[in_flight]
    mine = results[name].rate(in_flight)
    others = [results[other].rate(in_flight) if other in results else None for other in (SDK, BARE)]
    text = f"{mine:,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
    return [text, *(ratio(mine, other) for other in others)]


def cost_cells(results: Results, name: str) -> list[str]:
    """Time to the first answer and memory, each with its comparison to the Python SDK."""
    mine, sdk = results[name], results.get(SDK)
    memory = "-" if mine.memory is None else f"{mine.memory:.1f}"
    return [
        f"{mine.start() * 1000:.0f}",
        ratio(mine.start(), sdk.start() if sdk else None),
        memory,
        ratio(mine.memory, sdk.memory if sdk else None),
    ]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head; numbers to the right."""
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def tables(results: Results) -> str:
    """Everything that was measured."""
    blocks = []
    for in_flight in IN_FLIGHT:
        head = [f"{in_flight} in flight", "requests/s (range)", "vs python-sdk", "vs bare-loop"]
        rows = [[name, *rate_cells(results, name, in_flight)] for name in results]
        blocks.append(markdown([head, *rows]))
    head = ["costs", "first answer, ms", "vs python-sdk", "peak memory, MiB", "vs python-sdk"]
    blocks.append(markdown([head, *([name, *cost_cells(results, name)] for name in results)]))
    return "\n\n".join(blocks)


def package_version(name: str) -> str:
    """The version of a Python package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def environment(plan: Plan, share: float, node: str) -> str:
    """What the figures were measured with."""
    packages = ("trimcp", "mcp", "trio", "pydantic", "orjson")
    return (
        f"Python {platform.python_version()}, {node}, "
        + ", ".join(f"{name} {package_version(name)}" for name in packages)
        + f"; {platform.system()} {platform.machine()}, {os.cpu_count()} cores.\n"
        f"Medians of {plan.rounds} rounds of {plan.seconds:g} s and of {plan.starts} starts; "
        f"the load generator used {share:.0%} of a core."
    )


@dataclass(frozen=True)
class Mark:
    """A promise of the project about trimcp, as a ratio to another server."""

    text: str
    value: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the measured ratio keeps the promise."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        sign = "at least" if self.at_least else "at most"
        verdict = "met" if self.met else "MISSED"
        return f"- {self.text}: {self.value:.2f} ({sign} {self.bound:g}): {verdict}"


def marks(results: Results) -> list[Mark]:
    """The marks that this run can judge."""
    mine, sdk, bare = (results.get(name) for name in (TRIMCP, SDK, BARE))
    many = max(IN_FLIGHT)
    found = []
    if mine and sdk:
        rate = mine.rate(many) / sdk.rate(many)
        found.append(Mark(f"requests/s at {many}, vs python-sdk", rate, 12, at_least=True))
        begin = mine.start() / sdk.start()
        found.append(Mark("first answer, vs python-sdk", begin, 0.4, at_least=False))
        if mine.memory and sdk.memory:
            memory = mine.memory / sdk.memory
            found.append(Mark("peak memory, vs python-sdk", memory, 0.6, at_least=False))
    if mine and bare:
        rate = mine.rate(many) / bare.rate(many)
        found.append(Mark(f"requests/s at {many}, vs bare-loop", rate, 0.5, at_least=True))
    return found
