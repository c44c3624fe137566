"""Faults of a connection, as a script that has the same effect every time.

A script describes one direction. It counts units: messages on a channel, bytes on a stream. The
first is number 1.
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
    """The n-th unit is lost."""

    n: int = attrs.field(validator=_from_one)


@attrs.frozen
class Duplicate:
    """The n-th unit arrives twice."""

    n: int = attrs.field(validator=_from_one)


@attrs.frozen
class Garble:
    """The n-th unit arrives unreadable: one of its bytes, chosen by the seed, becomes 0xFF."""

    n: int = attrs.field(validator=_from_one)


@attrs.frozen
class Delay:
    """The n-th unit waits, and all after it; by Trio's clock.

    Attributes:
        seconds: How long.
        n: Which unit; None for each message, or on a stream for each piece that is sent at once.
    """

    seconds: float = attrs.field(validator=_not_negative)
    n: int | None = attrs.field(default=None, validator=_from_one)


@attrs.frozen
class Stall:
    """After so many units nothing is passed on any more, but the connection stays open."""

    after: int = attrs.field(validator=_not_negative)


@attrs.frozen
class Break:
    """After so many units the connection breaks, in both directions. Earlier units do arrive."""

    after: int = attrs.field(validator=_not_negative)


@attrs.frozen
class Chop:
    """At most so many bytes are sent at once. Only for streams."""

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
    """The faults of one connection.

    Attributes:
        sending: The faults of what the holder of the wrapped end sends; for `faulty(server, …)` the
            holder is the client.
        receiving: The faults of what the holder receives.
        seed: Decides which byte of a message is garbled.
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
    """A random script of lost, duplicated, unreadable and late messages for one direction.

    Args:
        seed: The same seed gives the same script.
        count: The number of messages that it covers.
        rate: The share of messages with a fault, 0 to 1.
        longest_delay: The maximum delay in seconds.
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
    """The faults of one direction, and their progress. It only decides; its user waits and breaks.

    Args:
        faults: The faults.
        seed: Decides which byte of a message is garbled.
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
        """The fault that ends the transfer now, or None; the one listed first counts."""
        for fault in self._ends:
            if fault.after <= self.passed:
                return fault
        return None

    @property
    def delay(self) -> float:
        """Seconds that the next unit waits."""
        singled = self._singled.get(self.passed + 1, ())
        delays = [*self._always, *(each for each in singled if isinstance(each, Delay))]
        return sum(each.seconds for each in delays)

    @property
    def chops(self) -> bool:
        """Whether it splits data, which is possible only on a stream."""
        return self._size is not None

    def alike(self, available: int) -> int:
        """How many of the next bytes are sent at once: at least one, at most `available`."""
        if self.passed + 1 in self._singled:
            return 1
        bounds = [available if self._size is None else min(self._size, available)]
        bounds += [n - 1 - self.passed for n in self._singled if n > self.passed + 1]
        bounds += [each.after - self.passed for each in self._ends if each.after > self.passed]
        return min(bounds)

    def apply(self, data: bytes, *, units: int) -> list[bytes]:
        """Pass on the next units.

        Args:
            data: One message, or some bytes of a stream that are `alike`.
            units: How many units that is.

        Returns:
            What arrives: nothing, the data, or the data twice.
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
        # No byte of UTF-8 is 0xFF, so the receiver always notices it.
        position = self._chance.randrange(len(data)) if data else 0
        return data[:position] + b"\xff" + data[position + 1 :]
