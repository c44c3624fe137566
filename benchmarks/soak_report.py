"""What a soak has seen: the verdict, as text, and the drawing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

#: Bytes by which a process may grow in any case: its allocator is not exact.
MEMORY_SLACK: Final = 4 * 1024 * 1024

#: And bytes for each piece of work.
BYTES_EACH: Final = 200

#: Objects by which it may grow in any case, and for each piece of work.
BLOCKS_SLACK: Final = 6_000
BLOCKS_EACH: Final = 0.5

MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Holdings:
    """What a process holds at a moment.

    Attributes:
        memory: Resident bytes.
        tasks: Tasks in its tree.
        descriptors: Open descriptors.
        blocks: Objects that Python's allocator has given out.
        statistics: What `Server.statistics()` says; nothing for a client.
    """

    memory: int
    tasks: int
    descriptors: int
    blocks: int = 0
    statistics: dict[str, int] = field(default_factory=dict)

    def is_as_idle_as(self, other: Holdings) -> bool:
        """Whether all that can be counted exactly is the same."""
        return (self.tasks, self.descriptors, self.statistics) == (
            other.tasks,
            other.descriptors,
            other.statistics,
        )


@dataclass
class Watched:
    """What was seen of one process.

    Attributes:
        name: What it is called.
        series: What it held, with the second of the run.
        before: What it held when it had nothing to do, after the warming up.
        after: The same after the load.
        done: Pieces of work between these moments.
        log: The errors in its log.
        status: Its exit status; None while it lives, and for the client.
    """

    name: str
    series: list[tuple[float, Holdings]] = field(default_factory=list)
    before: Holdings | None = None
    after: Holdings | None = None
    done: int = 0
    log: list[str] = field(default_factory=list)
    status: int | None = None


@dataclass
class Run:
    """Everything that a verdict is about.

    Attributes:
        seconds: How long the load lasted.
        watched: The processes.
        counts: How often each kind of work was done, by door and kind.
        expected: The kinds of work that there must be.
        errors: The first pieces of work that failed.
        failed: How many failed.
        orphans: Processes that were left behind.
    """

    seconds: float
    watched: list[Watched]
    counts: Counter[tuple[str, str]]
    expected: set[tuple[str, str]]
    errors: list[str] = field(default_factory=list)
    failed: int = 0
    orphans: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: Its name.
        is_good: Whether it is as it should be.
        seen: What was seen.
    """

    what: str
    is_good: bool
    seen: str

    def __str__(self) -> str:
        return f"- {self.what}: {self.seen}: {'good' if self.is_good else 'BAD'}"


def findings(run: Run) -> list[Finding]:
    """The verdict, one thing after another."""
    found = [finding for each in run.watched for finding in _of_process(each)]
    missing = sorted(" ".join(key) for key in run.expected if not run.counts[key])
    text = f"{len(run.expected) - len(missing)} of {len(run.expected)}"
    found.append(Finding("kinds of work done", not missing, ", ".join([text, *missing])))
    text = "; ".join([str(run.failed), *run.errors])
    found.append(Finding("work that failed", not run.failed, text))
    text = "; ".join([str(len(run.orphans)), *run.orphans])
    found.append(Finding("processes left behind", not run.orphans, text))
    return found


def _of_process(each: Watched) -> Iterator[Finding]:
    if each.before is None or each.after is None:
        yield Finding(each.name, False, "nothing was seen of it when it was idle")
        return
    before, after = each.before, each.after
    for what in ("tasks", "descriptors"):
        seen = f"{getattr(before, what)} before, {getattr(after, what)} after"
        yield Finding(f"{each.name}, {what}", getattr(before, what) == getattr(after, what), seen)
    held = {key: value for key, value in after.statistics.items() if value}
    yield Finding(f"{each.name}, statistics", before.statistics == after.statistics, f"{held}")
    grown, bound = after.memory - before.memory, max(MEMORY_SLACK, BYTES_EACH * each.done)
    seen = f"{grown / MIB:+.1f} MiB, at most {bound / MIB:.1f}"
    yield Finding(f"{each.name}, memory", grown <= bound, seen)
    grown, bound = after.blocks - before.blocks, int(BLOCKS_SLACK + BLOCKS_EACH * each.done)
    yield Finding(f"{each.name}, objects", grown <= bound, f"{grown:+,d}, at most {bound:,d}")
    text = "; ".join([str(len(each.log)), *each.log[:3]])
    yield Finding(f"{each.name}, errors in the log", not each.log, text)
    yield Finding(f"{each.name}, exit status", each.status in (0, None), str(each.status))


def report(run: Run, found: list[Finding]) -> str:
    """All of it as Markdown."""
    doors = sorted({door for door, _ in run.expected})
    kinds = sorted({kind for _, kind in run.expected})
    lines = [f"| {run.seconds:g} s | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for door in doors:
        cells = [f"{run.counts[door, kind]:,d}" if (door, kind) in run.expected else "-"
                 for kind in kinds]  # fmt: skip
        lines.append(f"| {door} | {' | '.join(cells)} |")
    bad = sum(not each.is_good for each in found)
    verdict = f"{bad} of {len(found)} are BAD" if bad else f"all {len(found)} are good"
    return "\n".join([*lines, "", *map(str, found), "", f"Verdict: {verdict}"])


def draw(run: Run, folder: Path) -> list[Path]:
    """Memory, tasks and descriptors over time, as `soak.png` and `soak.svg`."""
    # Only who wants a drawing needs the library.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels: dict[str, Any] = {
        "memory, MiB": lambda holdings: holdings.memory / MIB,
        "tasks": lambda holdings: holdings.tasks,
        "descriptors": lambda holdings: holdings.descriptors,
    }
    figure, axes = plt.subplots(len(panels), sharex=True, figsize=(10, 9), layout="constrained")
    for axis, (title, value) in zip(axes, panels.items(), strict=True):
        for each in run.watched:
            times = [at for at, _ in each.series]
            axis.plot(times, [value(seen) for _, seen in each.series], label=each.name, lw=1)
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0].legend(loc="lower right", fontsize="small", ncols=len(run.watched))
    axes[-1].set_xlabel("seconds")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"soak.{kind}" for kind in ("png", "svg")]
    for path in paths:
        figure.savefig(path)
    plt.close(figure)
    return paths
