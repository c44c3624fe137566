"""A run as Markdown and as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .marks import MARKS
from .peers import python_version

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from .results import Case, Quantity, Results
    from .running import Plan, Workload

#: Whose versions count beside those of the peers.
PACKAGES = ("trio", "pydantic", "msgspec", "httptools", "orjson")


@dataclass(frozen=True)
class About:
    """What a run was made with.

    Attributes:
        command: As it was typed.
        date: When it began.
        plan: How much was measured.
        versions: Of the peers, by name.
        missing: How to install those that were left out, by name.
    """

    command: str
    date: datetime.date
    plan: Plan
    versions: dict[str, str]
    missing: dict[str, str]

    @property
    def machine(self) -> str:
        """Where it ran."""
        return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"

    @property
    def packages(self) -> list[str]:
        """What else was involved."""
        return [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head; numbers to the right."""
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def ratio(results: Results, case: Case, peer: str, other: str) -> str:
    """The first quantity of a peer as a multiple of another one's."""
    name = case.quantities[0].name
    mine, its = results.median(case.key, peer, name), results.median(case.key, other, name)
    return "-" if mine is None or not its else f"{mine / its:.2f}"


def spread(results: Results, case: Case, peer: str, quantity: Quantity) -> str:
    """The median, and the range."""
    values = results.of(case.key, peer, quantity.name)
    middle = results.median(case.key, peer, quantity.name)
    if middle is None:
        return "-"
    if len(values) == 1:
        return quantity.text(middle)
    return f"{quantity.text(middle)} ({quantity.text(min(values))} to {quantity.text(max(values))})"


def table(results: Results, case: Case) -> str:
    """Everything that was measured in a case."""
    peers = results.peers(case.key)
    references = [name for name in case.references if name in peers]
    first, *others = case.quantities
    head = [
        case.title,
        f"{first.title} (range)",
        *(f"of {name}" for name in references),
        *(each.title for each in others),
    ]
    rows = [
        [
            peer,
            spread(results, case, peer, first),
            *(ratio(results, case, peer, name) for name in references),
            *(spread(results, case, peer, each) for each in others),
        ]
        for peer in peers
    ]
    return markdown([head, *rows])


def table_of_marks(results: Results) -> str:
    """What was to be reached, and whether it was."""
    words = {True: "met", False: "**missed**", None: "not measured"}
    rows = [
        [each.text, each.aim, each.measured(results), words[each.is_met(results)]] for each in MARKS
    ]
    return markdown([["mark", "aim", "measured", ""], *rows])


def head(about: About) -> str:
    """The command, the date, the machine, the versions, and who was left out."""
    versions = [f"{name}: {version}" for name, version in about.versions.items()]
    others = ", ".join((python_version(), *about.packages))
    lines = [
        f"```console\n$ {about.command}\n```",
        f"{about.date:%-d %B %Y}; {about.machine}. Medians of {about.plan.rounds} rounds of "
        f"{about.plan.seconds:g} s, with the lowest and the highest value in brackets.",
        f"{'; '.join(versions)}. trimcp and bare run with {others}.",
    ]
    if about.plan.is_quick:
        lines.append("**This was a quick run: the figures mean nothing.**")
    lines += [f"Left out: {name}. To install it, {how}." for name, how in about.missing.items()]
    return "\n\n".join(lines)


def section(workload: Workload, results: Results, plots: str | None, level: str = "###") -> str:
    """One workload."""
    blocks = [f"{level} {workload.title}", workload.text]
    if plots is not None:
        alternative = workload.title.replace("`", "")
        blocks.append(f"![{alternative}]({plots}/{workload.name}.svg)")
    blocks += [table(results, case) for case in workload.cases if results.peers(case.key)]
    return "\n\n".join(blocks)


def report(about: About, workloads: Sequence[Workload], results: Results, plots: str | None) -> str:
    """Everything, as a section of a page.

    Args:
        about: What the run was made with.
        workloads: Those that were measured.
        results: What came out.
        plots: Where the drawings are, seen from the page.
    """
    blocks = [
        "## Results",
        head(about),
        "### Marks",
        table_of_marks(results),
        *(section(each, results, plots) for each in workloads),
    ]
    return "\n\n".join(blocks) + "\n"


def as_json(about: About, results: Results) -> str:
    """Every value of every round."""
    values: dict[str, Any] = {}
    for (case, peer, quantity), measured in results.values.items():
        values.setdefault(case, {}).setdefault(peer, {})[quantity] = measured
    marks = [
        {
            "mark": each.text,
            "aim": each.aim,
            "value": each.value(results),
            "met": each.is_met(results),
        }
        for each in MARKS
    ]
    told = {
        "command": about.command,
        "date": about.date.isoformat(),
        "machine": about.machine,
        "python": python_version(),
        "versions": about.versions,
        "packages": about.packages,
        "missing": about.missing,
        "plan": asdict(about.plan),
        "values": values,
        "marks": marks,
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"
