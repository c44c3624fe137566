"""Which DPoP proofs were used, so that each is accepted once.

Specification: RFC 9449, section 11.1.
"""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Replays", "TooManyHolders", "Use"]


class Use(enum.Enum):
    """What is known of a proof when it is used."""

    FIRST = enum.auto()
    AGAIN = enum.auto()
    #: It is older than one that had to be forgotten, so nobody can tell.
    UNKNOWN = enum.auto()


class TooManyHolders(Exception):
    """There is no room, and nobody uses more than one entry."""


@attrs.define
class _Holder:
    """Whose proofs they are.

    Attributes:
        names: Those that are remembered, with the time of each, the first used first.
        floor: The time of the latest that had to be forgotten.
    """

    names: OrderedDict[bytes, float] = attrs.field(factory=OrderedDict)
    floor: float = -math.inf


_Holders: TypeAlias = "OrderedDict[Hashable, None]"


class Replays:
    """Remembers the proofs that were used.

    When there is no room, the holder of the most entries loses its oldest one, and from then on
    none of its proofs is accepted that is not newer than that. So nothing is accepted twice, a
    flood only takes time from whoever sends it, and nobody is kept out. Each step takes constant
    time.

    Args:
        most: How many entries there may be.
        seconds: For how long a proof is remembered: as long as it could be accepted.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._holders: dict[Hashable, _Holder] = {}
        # All names, the first used first: whose each is, and when it lapses.
        self._names: OrderedDict[bytes, tuple[Hashable, float]] = OrderedDict()
        # The holders by the number of their entries, and the largest of these numbers.
        self._by_size: dict[int, _Holders] = {}
        self._largest = 0

    def __len__(self) -> int:
        return len(self._names)

    @property
    def is_full(self) -> bool:
        """Whether the next use needs room, unless some have lapsed until then."""
        return len(self._names) >= self._most

    def use(self, holder: Hashable, name: bytes, made: float, now: float) -> Use:
        """Use a proof.

        Args:
            holder: Whose it is.
            name: Its unique name.
            made: When it was made.
            now: The time, on the same clock.

        Raises:
            TooManyHolders: There is no room for it.
        """
        self._forget_lapsed(now)
        if name in self._names:
            return Use.AGAIN
        known = self._holders.get(holder)
        if known is not None and made <= known.floor:
            return Use.UNKNOWN
        if len(self._names) >= self._most:
            self._make_room()
            if known is not None and made <= known.floor:
                return Use.UNKNOWN
        self._remember(holder, name, made, now + self._seconds)
        return Use.FIRST

    def _forget_lapsed(self, now: float) -> None:
        while self._names:
            name, (holder, until) = next(iter(self._names.items()))
            if until >= now:
                return
            self._forget(holder, name)

    def _make_room(self) -> None:
        if self._largest <= 1:
            raise TooManyHolders
        holder = next(iter(self._by_size[self._largest]))
        known = self._holders[holder]
        name, made = next(iter(known.names.items()))
        known.floor = max(known.floor, made)
        self._forget(holder, name)

    def _remember(self, holder: Hashable, name: bytes, made: float, until: float) -> None:
        known = self._holders.setdefault(holder, _Holder())
        known.names[name] = made
        self._names[name] = (holder, until)
        self._move(holder, len(known.names) - 1, len(known.names))

    def _forget(self, holder: Hashable, name: bytes) -> None:
        known = self._holders[holder]
        del known.names[name]
        del self._names[name]
        self._move(holder, len(known.names) + 1, len(known.names))
        if not known.names:
            # What it has forgotten was used earlier, so it has lapsed too.
            del self._holders[holder]

    def _move(self, holder: Hashable, before: int, after: int) -> None:
        """Count a holder anew whose number of entries has changed by one."""
        if before:
            del self._by_size[before][holder]
            if not self._by_size[before]:
                del self._by_size[before]
                self._largest -= self._largest == before
        if after:
            self._by_size.setdefault(after, OrderedDict())[holder] = None
            self._largest = max(self._largest, after)
