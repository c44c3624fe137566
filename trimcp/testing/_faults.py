"""What can go wrong on a wire, as a script that goes wrong the same way every time.

A script is about one direction. It counts what passes: messages on a channel, bytes on a stream.
The first is number 1.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Break",
    "Chop",
    "Delay",
    "Drop",
    "Duplicate",
    "Fault",
    "Faults",
    "Garble",
    "Script",
    "Stall",
    "random_faults",
]


def _from_one(_: Any, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{attribute.name} counts from 1, got {value!r}")


def _not_negative(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value < 0:
        raise ValueError(f"{attribute.name} must not be negative, got {value!r}")


@attrs.frozen
class Drop:
    """The n-th is lost."""

    n: int = attrs.field(validator=_from_one)


@attrs.frozen
class Duplicate:
    """The n-th arrives twice."""

    n: int = attrs.field(validator=_from_one)


@attrs.frozen
class Garble:
    """The n-th arrives unreadable: one of its bytes, chosen by the seed, becomes 0xFF."""

    n: int = attrs.field(validator=_from_one)


@attrs.frozen
class Delay:
    """The n-th waits, and all behind it; by Trio's clock.

    Attributes:
        seconds: How long.
        n: Which; None for each message, or on a stream each piece that passes in one go.
    """

    seconds: float = attrs.field(validator=_not_negative)
    n: int | None = attrs.field(default=None, validator=_from_one)


@attrs.frozen
class Stall:
    """After so many nothing passes any more, though the connection stays open."""

    after: int = attrs.field(validator=_not_negative)


@attrs.frozen
class Break:
    """After so many the connection breaks, in both directions. What has passed does arrive."""

    after: int = attrs.field(validator=_not_negative)


@attrs.frozen
class Chop:
    """No more than so many bytes pass in one go. Streams only."""

    size: int = attrs.field(default=1, validator=_from_one)


Fault: TypeAlias = Drop | Duplicate | Garble | Delay | Stall | Break | Chop

_SINGLE: Final = (Drop, Duplicate, Garble, Delay)


def _tuple_of_faults(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    return tuple(faults)


def _only_faults(_: Any, attribute: attrs.Attribute[Any], value: tuple[Any, ...]) -> None:
    for fault in value:
        if not isinstance(fault, Fault):
            raise TypeError(f"{attribute.name}: {fault!r} is no fault")


@attrs.frozen
class Faults:
    """What goes wrong on one connection.

    Attributes:
        sending: In what the holder of the wrapped end sends; for `faulty(server, …)` the
            holder is the client.
        receiving: In what it receives.
        seed: Decides where a garbled message is garbled.
    """

    sending: tuple[Fault, ...] = attrs.field(
        default=(), converter=_tuple_of_faults, validator=_only_faults
    )
    receiving: tuple[Fault, ...] = attrs.field(
        default=(), converter=_tuple_of_faults, validator=_only_faults
    )
    seed: int = 0

    def scripts(self) -> tuple[Script, Script]:
        """A fresh script for sending and one for receiving."""
        return Script(self.sending, self.seed), Script(self.receiving, self.seed + 1)


def random_faults(
    seed: int, *, count: int = 100, rate: float = 0.05, longest_delay: float = 10.0
) -> tuple[Fault, ...]:
    """A script of lost, doubled, unreadable and late messages for one direction.

    Args:
        seed: The same seed gives the same script.
        count: How many messages it is about.
        rate: Which part of them suffers, 0 to 1.
        longest_delay: Seconds.
    """
    chance = random.Random(seed)
    faults: list[Fault] = []
    for n in range(1, count + 1):
        if chance.random() < rate:
            kind = chance.choice((Drop, Duplicate, Garble, Delay))
            late = round(chance.uniform(0, longest_delay), 3)
            faults.append(Delay(late, n) if kind is Delay else kind(n))
    return tuple(faults)


class Script:
    """One direction's faults, and how far they are. It only decides: others wait and break.

    Args:
        faults: What goes wrong.
        seed: Decides where garbled messages are garbled.
    """

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._ends = [each for each in faults if isinstance(each, Stall | Break)]
        self._singled: dict[int, list[Fault]] = {}
        self._always: list[Delay] = []
        self._size: int | None = None
        for fault in faults:
            if isinstance(fault, Chop):
                self._size = min(fault.size, self._size or fault.size)
            elif isinstance(fault, Delay) and fault.n is None:
                self._always.append(fault)
            elif isinstance(fault, _SINGLE):
                assert fault.n is not None
                self._singled.setdefault(fault.n, []).append(fault)
        self._chance = random.Random(seed)
        self.passed = 0

    @property
    def end(self) -> Stall | Break | None:
        """What is due now and lets nothing more pass; what is listed first counts."""
        for fault in self._ends:
            if fault.after <= self.passed:
                return fault
        return None

    @property
    def delay(self) -> float:
        """Seconds that the next one waits."""
        singled = self._singled.get(self.passed + 1, ())
        delays = [*self._always, *(each for each in singled if isinstance(each, Delay))]
        return sum(each.seconds for each in delays)

    @property
    def chops(self) -> bool:
        """Whether it cuts what passes, which only a stream can."""
        return self._size is not None

    def alike(self, available: int) -> int:
        """How many of the next bytes pass in one go: at least one, at most these."""
        if self.passed + 1 in self._singled:
            return 1
        bounds = [available if self._size is None else min(self._size, available)]
        bounds += [n - 1 - self.passed for n in self._singled if n > self.passed + 1]
        bounds += [each.after - self.passed for each in self._ends if each.after > self.passed]
        return min(bounds)

    def apply(self, data: bytes, *, units: int) -> list[bytes]:
        """Let the next ones pass.

        Args:
            data: One message, or some bytes of a stream that are `alike`.
            units: How many that is, in what this script counts.

        Returns:
            What arrives: nothing, it, or it twice.
        """
        copies = 1
        for fault in self._singled.get(self.passed + 1, ()):
            if isinstance(fault, Drop):
                copies = 0
            elif isinstance(fault, Duplicate):
                copies *= 2
            elif isinstance(fault, Garble):
                data = self._garbled(data)
        self.passed += units
        return [data] * copies

    def _garbled(self, data: bytes) -> bytes:
        # No byte of UTF-8 is 0xFF, so the receiver cannot take it for something else.
        position = self._chance.randrange(len(data)) if data else 0
        return data[:position] + b"\xff" + data[position + 1 :]
