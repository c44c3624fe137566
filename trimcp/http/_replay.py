"""The events that a client may request again after its connection was interrupted.

Specification: 2025-11-25, Streamable HTTP, Resumability and Redelivery.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from trimcp.transports import Budget

__all__ = ["MemoryEventStore"]

#: Bytes that an event needs in memory in addition to its data.
_OVERHEAD: Final = 128


@attrs.define
class _Place:
    """What is recorded of one stream.

    Attributes:
        kept: How many of its events are kept.
        forgotten: The number of its latest event that is not kept any more; 0 for none.
        is_open: Whether more events may follow.
    """

    kept: int = 0
    forgotten: int = 0
    is_open: bool = True


class MemoryEventStore:
    """Keeps the latest events in memory.

    For a stream that is open, or has kept events, the number of the latest event that was dropped
    is recorded: a client that saw this event last can still resume with the kept events.

    Args:
        limit: The maximum size of the kept events, with the overhead of each.
        budget: Counts the latest event if this event alone is larger than the limit.
    """

    def __init__(self, limit: int, budget: Budget) -> None:
        self._limit = limit
        self._budget = budget
        self._borrowed = 0
        # The deque is made for the first event: many sessions have no event, and an empty deque is
        # big.
        self._events: deque[tuple[int, str, bytes]] | tuple[()] = ()
        self._number = 0
        self._size = 0
        self._places: dict[str, _Place] = {}

    def append(self, stream: str, data: bytes) -> str:
        events = self._events = self._events or deque()
        self._number += 1
        events.append((self._number, stream, data))
        self._places.setdefault(stream, _Place()).kept += 1
        self._size += len(data) + _OVERHEAD
        while self._size > self._limit and (len(events) > 1 or not self._borrow(len(data))):
            self._forget(events)
        return f"{stream}-{self._number}"

    def _borrow(self, size: int) -> bool:
        """Take room for an event that is longer than the limit, as long as it is the latest."""
        if not self._budget.take(size):
            return False
        self._borrowed = size
        return True

    def close(self) -> None:
        """Release everything, since the session has ended."""
        self._give_back()

    def _give_back(self) -> None:
        self._budget.give(self._borrowed)
        self._borrowed = 0

    def _forget(self, events: deque[tuple[int, str, bytes]]) -> None:
        self._give_back()
        number, stream, data = events.popleft()
        self._size -= len(data) + _OVERHEAD
        place = self._places[stream]
        place.kept -= 1
        place.forgotten = number
        self._drop_if_over(stream)

    def end(self, stream: str) -> None:
        if stream in self._places:
            self._places[stream].is_open = False
            self._drop_if_over(stream)

    def _drop_if_over(self, stream: str) -> None:
        place = self._places[stream]
        if not place.is_open and not place.kept:
            del self._places[stream]

    def after(self, id: str) -> tuple[str, list[tuple[str, bytes]]] | None:
        stream, _, digits = id.rpartition("-")
        place = self._places.get(stream)
        if place is None or not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return None
        number = int(digits)
        is_known = any((each, name) == (number, stream) for each, name, _ in self._events)
        if not is_known and (not number or place.forgotten != number):
            return None
        later = [
            (f"{name}-{each}", data)
            for each, name, data in self._events
            if name == stream and each > number and data
        ]
        return stream, later
