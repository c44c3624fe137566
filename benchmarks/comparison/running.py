"""How a run goes: its steps, round after round and peer after peer, and how far it is."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from .processes import BenchmarkError
from .results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from .peers import Peer
    from .results import Case, Lines

T = TypeVar("T")

#: Width of the bar on a terminal.
BAR = 24


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: How often each measurement is repeated.
        seconds: How long one of a rate lasts.
        is_quick: Whether this only has to show that everything works.
    """

    rounds: int
    seconds: float
    is_quick: bool = False

    def size(self, full: int, quick: int) -> int:
        """How many of something there are."""
        return quick if self.is_quick else full


@dataclass(frozen=True)
class Step:
    """Something that is done without a break.

    Attributes:
        label: What it is called while it goes on.
        run: Does it.
    """

    label: str
    run: Callable[[], None]


@dataclass
class Bench:
    """What the steps of one workload share.

    Attributes:
        plan: How much is measured.
        peers: Those that are installed, by name.
        results: Where what was measured is put.
        open: What stays open until the workload is done.
    """

    plan: Plan
    peers: dict[str, Peer]
    results: Results
    open: ExitStack = field(default_factory=ExitStack)
    _kept: dict[Any, Any] = field(default_factory=dict)

    def keep(self, key: Any, make: Callable[[], AbstractContextManager[T]]) -> T:
        """What is opened when it is first wanted, and stays open until the workload is done."""
        if key not in self._kept:
            self._kept[key] = self.open.enter_context(make())
        kept: T = self._kept[key]
        return kept

    def rounds(self, doers: Iterable[T], rounds: int | None = None) -> Iterator[tuple[int, T]]:
        """Each of them in turn, in each round; the order rotates, so that slow minutes hit all."""
        listed = list(doers)
        for number in range(rounds or self.plan.rounds):
            for each in rotated(listed, number):
                yield number, each

    def among(self, *names: str) -> list[str]:
        """Those of the names whose peers are installed."""
        return [name for name in names if name in self.peers]


@dataclass(frozen=True)
class Workload:
    """A kind of work, and how it is told.

    Attributes:
        name: On the command line and in files.
        title: Its heading.
        text: What is measured, for the report.
        cases: Its tables. With sizes of the plan they may depend on it.
        steps: What is done.
        lines: How it is drawn, if not as bars.
    """

    name: str
    title: str
    text: str
    cases: tuple[Case, ...]
    steps: Callable[[Bench], list[Step]]
    lines: tuple[Lines, ...] = ()


def rotated(listed: Sequence[T], by: int) -> list[T]:
    """The same, beginning with another one each time."""
    by %= len(listed) or 1
    return [*listed[by:], *listed[:by]]


class Progress:
    """How far a run is: a bar on a terminal, else a line for each workload.

    Args:
        total: The number of steps.
        out: Where to say it.
    """

    def __init__(self, total: int, out: TextIO = sys.stderr) -> None:
        self._total = total
        self._done = 0
        self._out = out
        self._is_terminal = out.isatty()
        self._began = time.monotonic()
        self._last = ""

    def begin(self, workload: str, label: str) -> None:
        """A step begins."""
        if self._is_terminal:
            share = self._done / self._total
            bar = ("#" * round(share * BAR)).ljust(BAR, ".")
            width = shutil.get_terminal_size().columns - 1
            text = f"[{bar}] {share:4.0%} {self._seconds()} {workload}: {label}"[:width]
            self._out.write(f"\r\x1b[K{text}")
        elif workload != self._last:
            self._out.write(f"{self._seconds()} {workload}\n")
        self._last = workload
        self._out.flush()
        self._done += 1

    def end(self) -> None:
        """All is done."""
        start = "\r\x1b[K" if self._is_terminal else ""
        self._out.write(f"{start}{self._seconds()} done\n")
        self._out.flush()

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:4.0f} s"


def run(workloads: Sequence[Workload], plan: Plan, peers: dict[str, Peer]) -> Results:
    """Do everything. Raises BenchmarkError at the first wrong answer."""
    results = Results()
    benches = [Bench(plan, peers, results) for _ in workloads]
    steps = [each.steps(bench) for each, bench in zip(workloads, benches, strict=True)]
    progress = Progress(sum(map(len, steps)))
    for workload, bench, its_steps in zip(workloads, benches, steps, strict=True):
        with bench.open:
            for step in its_steps:
                progress.begin(workload.name, step.label)
                try:
                    step.run()
                except BenchmarkError as error:
                    raise BenchmarkError(f"{workload.name}, {step.label}: {error}") from error
    progress.end()
    return results
