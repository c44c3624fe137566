"""Matching a text with a pattern of literals and variables, to find the variables' values.

The work is linear in any text: first the places where each variable may begin are found, from the
end to the beginning; then the longest value of each is taken, from the first to the last. The
result is that of a regular expression, without trying all ways to split the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Line", "Slot"]

#: A byte that is percent-encoded, or any other character.
_UNIT: Final = re.compile(r"%[0-9A-F]{2}|.", re.DOTALL)
#: The first digit of the later bytes of a character in UTF-8.
_LATER: Final = ("%8", "%9", "%A", "%B")


class Slot(NamedTuple):
    """The place of one variable.

    Attributes:
        stops: The characters that its value cannot hold.
        length: The maximum number of characters of its value, or None.
        named: Whether `=` precedes the value; an empty value needs no `=`.
        again: The text between the values of an exploded variable; empty for other variables.
    """

    stops: str = ""
    length: int | None = None
    named: bool = False
    again: str = ""


class Line:
    """A compiled pattern of literals and variables.

    Args:
        literals: The texts before, between and after the slots, one more than the slots.
        slots: The slots.
    """

    def __init__(self, literals: tuple[str, ...], slots: tuple[Slot, ...]) -> None:
        self.literals = literals
        self.slots = slots
        self._pattern = _simple_pattern(literals, slots)

    def match(self, text: str) -> list[list[str]] | None:
        """The values of each slot, not decoded; None if the text does not match."""
        if self._pattern is not None:
            found = self._pattern.fullmatch(text)
            return None if found is None else [[each] for each in found.groups()]
        first, last = self.literals[0], self.literals[-1]
        end = len(text) - len(last)
        if end < len(first) or not text.startswith(first) or not text.endswith(last):
            return None
        return _Matching(self, text, end).values()


def _simple_pattern(literals: tuple[str, ...], slots: tuple[Slot, ...]) -> re.Pattern[str] | None:
    """A regular expression without backtracking, for most lines; None for the others.

    It is possible if each value except the last cannot hold the character with which the next
    literal begins.
    """
    parts = [re.escape(literals[0])]
    for index, (slot, after) in enumerate(zip(slots, literals[1:], strict=True)):
        is_last = index == len(slots) - 1
        if slot.named or slot.again or slot.length is not None:
            return None
        if not is_last and after[:1] not in list(slot.stops):
            return None
        values = f"[^{re.escape(slot.stops)}]" if slot.stops else "."
        parts += [f"({values}{'+' if is_last else '++'})", re.escape(after)]
    return re.compile("".join(parts), re.DOTALL)


class _Reach(NamedTuple):
    """Where the value of one slot may end: negated positions, the last one first.

    Attributes:
        ends: Where the rest of the line can follow.
        joints: Where another value of the same exploded variable can follow.
    """

    ends: list[int]
    joints: list[int]


class _Matching:
    """One text being matched."""

    def __init__(self, line: Line, text: str, end: int) -> None:
        self._line = line
        self._text = text
        self._end = end
        self._stops: dict[str, list[int]] = {}
        self._characters: list[int] = []

    def values(self) -> list[list[str]] | None:
        ends = [-self._end]
        reaches: list[_Reach] = []
        for index in reversed(range(len(self._line.slots))):
            literal = self._line.literals[index]
            found = self._find(literal) if index else [0]
            reach = _Reach(ends, [])
            good = self._good(
                self._line.slots[index], [each + len(literal) for each in found], reach
            )
            if not good:
                return None
            reaches.insert(0, reach)
            ends = [len(literal) - begin for begin in good]
        return self._take(reaches)

    def _good(self, slot: Slot, begins: list[int], reach: _Reach) -> list[int]:
        """The positions, last first, at which a value may begin so that the rest matches."""
        good = []
        for begin, is_again in self._candidates(slot, begins):
            if self._longest(slot, begin, reach) is None:
                continue
            if is_again:
                reach.joints.append(len(slot.again) - begin)
            else:
                good.append(begin)
        return good

    def _candidates(self, slot: Slot, begins: list[int]) -> Iterator[tuple[int, bool]]:
        """Where values may begin, last first, and whether it is a further value of the slot."""
        found = [(begin, False) for begin in begins]
        if slot.again:
            found += [(each + len(slot.again), True) for each in self._find(slot.again)]
            # At the same position, the further value comes first, since the first value needs it.
            found.sort()
        return reversed(found)

    def _take(self, reaches: list[_Reach]) -> list[list[str]]:
        """The longest values, from the first slot to the last."""
        taken = []
        end = 0
        for slot, literal, reach in zip(
            self._line.slots, self._line.literals, reaches, strict=False
        ):
            begin = end + len(literal)
            values = []
            while True:
                longest = self._longest(slot, begin, reach)
                assert longest is not None
                end, is_joint = longest
                values.append(self._text[begin + (slot.named and end > begin) : end])
                if not is_joint:
                    break
                begin = end + len(slot.again)
            taken.append(values)
        return taken

    def _longest(self, slot: Slot, begin: int, reach: _Reach) -> tuple[int, bool] | None:
        """Where the longest value that begins here ends, and whether another one follows."""
        lowest, highest = self._bounds(slot, begin)
        end = _last_up_to(reach.ends, highest)
        joint = _last_up_to(reach.joints, highest)
        if joint >= max(lowest, end):
            return joint, True
        return (end, False) if end >= lowest else None

    def _bounds(self, slot: Slot, begin: int) -> tuple[int, int]:
        """The first and the last position at which a value that begins here may end."""
        if slot.named:
            if not self._text.startswith("=", begin):
                return begin, begin
            lowest, begin = begin, begin + 1
        else:
            lowest = begin + 1
        highest = self._first_stop(slot.stops, begin)
        if slot.length is not None:
            highest = min(highest, self._after(begin, slot.length))
        return lowest, highest

    def _first_stop(self, stops: str, begin: int) -> int:
        if not stops:
            return self._end
        found = self._stops.get(stops)
        if found is None:
            found = [each.start() for each in re.finditer(f"[{re.escape(stops)}]", self._text)]
            self._stops[stops] = found
        index = bisect_left(found, begin)
        return found[index] if index < len(found) else self._end

    def _after(self, begin: int, length: int) -> int:
        """The position after a number of characters."""
        if not self._characters:
            self._characters = [
                unit.start()
                for unit in _UNIT.finditer(self._text)
                if not unit[0].startswith(_LATER)
            ]
        index = bisect_left(self._characters, begin) + length
        return self._characters[index] if index < len(self._characters) else self._end

    def _find(self, literal: str) -> list[int]:
        """Every position of a literal between the first and the last literal."""
        first = len(self._line.literals[0])
        if not literal:
            return list(range(first, self._end + 1))
        found = self._text.find(literal, first, self._end)
        places = []
        while found >= 0:
            places.append(found)
            found = self._text.find(literal, found + 1, self._end)
        return places


def _last_up_to(negatives: list[int], highest: int) -> int:
    """The last position that is at most a bound; -1 if there is none.

    Args:
        negatives: The negated positions, in rising order.
        highest: The bound.
    """
    index = bisect_left(negatives, -highest)
    return -negatives[index] if index < len(negatives) else -1
