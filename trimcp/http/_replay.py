"""What a client may ask for again after it was cut off.

Specification: 2025-11-25, Streamable HTTP, Resumability and Redelivery.
"""

from __future__ import annotations

import itertools
from collections import deque

__all__ = ["MemoryEventStore"]


class MemoryEventStore:
    """Keeps the latest events in memory.

    Args:
        limit: Bytes of data to keep; the latest event is always kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: deque[tuple[int, str, bytes]] = deque()
        self._numbers = itertools.count(1)
        self._size = 0
        #: The last event of each stream that is not kept any more.
        self._forgotten: dict[str, int] = {}

    def append(self, stream: str, data: bytes) -> str:
        number = next(self._numbers)
        self._events.append((number, stream, data))
        # An empty event costs something too.
        self._size += len(data) + 1
        while self._size > self._limit and len(self._events) > 1:
            self._forget()
        return f"{stream}-{number}"

    def _forget(self) -> None:
        number, stream, data = self._events.popleft()
        self._size -= len(data) + 1
        self._forgotten[stream] = number
        if len(self._forgotten) > len(self._events) + 1:
            kept = {name for _, name, _ in self._events}
            self._forgotten = {name: last for name, last in self._forgotten.items() if name in kept}

    def after(self, id: str) -> tuple[str, list[tuple[str, bytes]]] | None:
        stream, _, digits = id.rpartition("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return None
        number = int(digits)
        is_known = any((each, name) == (number, stream) for each, name, _ in self._events)
        if not is_known and self._forgotten.get(stream) != number:
            return None
        later = [
            (f"{name}-{each}", data)
            for each, name, data in self._events
            if name == stream and each > number and data
        ]
        return stream, later
