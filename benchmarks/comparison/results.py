"""What was measured: values by case, peer and quantity, and what their tables look like."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from .peers import ALL

ORDER: Final = [each.name for each in ALL]


@dataclass(frozen=True)
class Quantity:
    """Something that is measured.

    Attributes:
        name: What it is called in a table.
        unit: What it is measured in.
        digits: How many stand behind the point.
        more_is_better: Whether a larger value is a better one.
    """

    name: str
    unit: str
    digits: int = 0
    more_is_better: bool = False

    @property
    def title(self) -> str:
        """The head of its column."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def text(self, value: float) -> str:
        """A value as it stands in a table."""
        return f"{value:,.{self.digits}f}"


RATE = Quantity("answers/s", "", more_is_better=True)
COST = Quantity("processor", "µs each", 1)


@dataclass(frozen=True)
class Case:
    """A table: one situation, in which each peer has a row.

    Attributes:
        key: What it is called in a file.
        title: What stands above it.
        quantities: The columns; the first one is compared and drawn.
        references: The peers to whom the others are compared.
    """

    key: str
    title: str
    quantities: tuple[Quantity, ...]
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lines:
    """How the cases of a workload that differ in a number are drawn as lines.

    Attributes:
        what: The number.
        cases: The key of the case with each number.
    """

    what: str
    cases: dict[int, str]


Key = tuple[str, str, str]


@dataclass
class Results:
    """All values of a run."""

    values: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, case: Case, peer: str, *values: float) -> None:
        """One value for each of the case's quantities."""
        for quantity, value in zip(case.quantities, values, strict=True):
            self.values[case.key, peer, quantity.name].append(value)

    def of(self, case: str, peer: str, quantity: str) -> list[float]:
        """All values of a quantity; none where it was not measured."""
        return self.values.get((case, peer, quantity), [])

    def median(self, case: str, peer: str, quantity: str) -> float | None:
        """The median of the rounds; None where it was not measured."""
        values = self.of(case, peer, quantity)
        return median(values) if values else None

    def peers(self, case: str) -> list[str]:
        """Those that were measured in a case, always in the same order."""
        measured = dict.fromkeys(peer for key, peer, _ in self.values if key == case)
        return sorted(measured, key=lambda row: ORDER.index(row.partition(",")[0]))
