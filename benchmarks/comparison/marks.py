"""What the project wants to reach, and whether a run has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import client, fanout, growth, http, idle, starts, stdio, streams
from .peers import BARE, SDK, TRIMCP, TYPESCRIPT
from .results import COST, RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .results import Case, Quantity, Results


@dataclass(frozen=True)
class Mark:
    """Something to reach.

    Attributes:
        text: What it is about.
        value: Finds it in a run; None where it was not measured.
        bound: What it is compared to.
        at_least: Whether the value has to be at least that, and not at most.
        unit: What both are in; ratios have none.
    """

    text: str
    value: Callable[[Results], float | None]
    bound: float
    at_least: bool = False
    unit: str = ""

    def is_met(self, results: Results) -> bool | None:
        """Whether it was reached; None where it was not measured."""
        value = self.value(results)
        if value is None:
            return None
        return value >= self.bound if self.at_least else value <= self.bound

    @property
    def aim(self) -> str:
        """The bound as text."""
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}{self._unit}"

    def measured(self, results: Results) -> str:
        """The value as text."""
        value = self.value(results)
        return "-" if value is None else f"{value:.3g}{self._unit}"

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""


def of(case: Case, quantity: Quantity, peer: str = TRIMCP) -> Callable[[Results], float | None]:
    """A median."""
    return lambda results: results.median(case.key, peer, quantity.name)


def ratio(
    value: Callable[[Results], float | None], other: Callable[[Results], float | None]
) -> Callable[[Results], float | None]:
    """One median as a multiple of another one."""

    def found(results: Results) -> float | None:
        mine, its = value(results), other(results)
        return None if mine is None or not its else mine / its

    return found


def against(case: Case, quantity: Quantity, peer: str) -> Callable[[Results], float | None]:
    """Ours as a multiple of a peer's."""
    return ratio(of(case, quantity), of(case, quantity, peer))


def saved(case: Case, quantity: Quantity, peer: str) -> Callable[[Results], float | None]:
    """A peer's as a multiple of ours."""
    return ratio(of(case, quantity, peer), of(case, quantity))


def more(case: Case, quantity: Quantity, peer: str) -> Callable[[Results], float | None]:
    """Ours less that of a peer."""

    def found(results: Results) -> float | None:
        mine, its = of(case, quantity)(results), of(case, quantity, peer)(results)
        return None if mine is None or its is None else mine - its

    return found


def growing(cases: Iterable[Case], quantity: Quantity) -> Callable[[Results], float | None]:
    """The largest of the medians as a multiple of the first one."""
    listed = list(cases)

    def found(results: Results) -> float | None:
        values = [of(case, quantity)(results) for case in listed]
        known = [value for value in values if value is not None]
        return max(known) / known[0] if len(known) == len(listed) else None

    return found


def _client_marks() -> list[Mark]:
    bounds = {32: 5.0, 1: 2.0}
    return [
        Mark(
            f"`call_tool`, {case.title}: processor time of the Python SDK, against ours",
            saved(case, COST, SDK),
            bounds[at_once],
            at_least=True,
        )
        for (_, at_once), case in client.CASES.items()
    ]


MARKS: Final = (
    Mark("HTTP, stateless: processor time of a call", of(http.STATELESS, COST), 60, unit="µs"),
    Mark(
        "HTTP, stateless: rate against the Python SDK on uvicorn",
        against(http.STATELESS, RATE, SDK),
        6,
        at_least=True,
    ),
    Mark(
        "HTTP, stateless: rate against the TypeScript SDK",
        against(http.STATELESS, RATE, TYPESCRIPT),
        5,
        at_least=True,
    ),
    Mark(
        "HTTP: rate within a session, against stateless",
        ratio(of(http.SESSION, RATE), of(http.STATELESS, RATE)),
        0.8,
        at_least=True,
    ),
    Mark(
        "stdio, 64 in flight: rate against the TypeScript SDK",
        against(stdio.MANY, RATE, TYPESCRIPT),
        1.3,
        at_least=True,
    ),
    Mark(
        "stdio, 64 in flight: rate against bare",
        against(stdio.MANY, RATE, BARE),
        1.0,
        at_least=True,
    ),
    Mark(
        "stdio, 1 in flight: rate against bare", against(stdio.ONE, RATE, BARE), 0.8, at_least=True
    ),
    Mark(
        "stdio, 1 in flight: rate against the TypeScript SDK",
        against(stdio.ONE, RATE, TYPESCRIPT),
        0.6,
        at_least=True,
    ),
    *_client_marks(),
    Mark("start to first answer, against bare", against(starts.STARTED, starts.FIRST, BARE), 1.4),
    Mark(
        "start to first answer, against the Python SDK",
        against(starts.STARTED, starts.FIRST, SDK),
        0.45,
    ),
    Mark("peak memory, against bare", against(starts.STARTED, starts.PEAK, BARE), 1.15),
    Mark("idle `subscriptions/listen` over HTTP", of(idle.LISTEN, idle.MEMORY), 12, unit="kB"),
    Mark("idle session over HTTP", of(idle.SESSION, idle.MEMORY), 10, unit="kB"),
    Mark(
        "idle connection over TCP, more than Trio's own",
        more(idle.TCP, idle.MEMORY, BARE),
        10,
        unit="kB",
    ),
    Mark(
        f"one update to {fanout.SUBSCRIBERS:,} subscribers: processor time against bare",
        against(fanout.UPDATE, fanout.PROCESSOR, BARE),
        3,
    ),
    Mark(
        f"stream of {streams.CHUNKS:,} chunks: time of as many progress notifications of the "
        "Python SDK, against ours",
        saved(streams.STREAM, streams.TIME, SDK),
        5,
        at_least=True,
    ),
    Mark(
        "result of 4 MiB: time on stdio against TCP",
        against(streams.LARGE, streams.TIME, streams.TCP),
        1.15,
    ),
    Mark(
        "growth of a call's processor time up to 1,000 tools",
        growing(growth.WITH_TOOLS.values(), COST),
        1.2,
    ),
    Mark(
        "growth of a call's processor time up to 10,000 connections",
        growing(growth.WITH_CONNECTIONS.values(), COST),
        1.2,
    ),
)
