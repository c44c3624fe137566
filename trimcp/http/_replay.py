"""What a client may ask for again after it was cut off.

Specification: 2025-11-25, Streamable HTTP, Resumability and Redelivery.
"""

from __future__ import annotations

from collections import deque

__all__ = ["MemoryEventStore"]


class MemoryEventStore:
    """Keeps the latest events in memory.

    Args:
        limit: Bytes of data to keep; the latest event is always kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # A deque from the first event on: most sessions never have one, and an empty deque is big.
        self._events: deque[tuple[int, str, bytes]] | tuple[()] = ()
        self._number = 0
        self._size = 0
        #: The last event of each stream that is not kept any more.
        self._forgotten: dict[str, int] = {}

    def append(self, stream: str, data: bytes) -> str:
        events = self._events = self._events or deque()
        self._number += 1
        events.append((self._number, stream, data))
        # An empty event costs something too.
        self._size += len(data) + 1
        while self._size > self._limit and len(events) > 1:
            self._forget(events)
        return f"{stream}-{self._number}"

    def _forget(self, events: deque[tuple[int, str, bytes]]) -> None:
        number, stream, data = events.popleft()
        self._size -= len(data) + 1
        self._forgotten[stream] = number
        if len(self._forgotten) > len(events) + 1:
            kept = {name for _, name, _ in events}
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
