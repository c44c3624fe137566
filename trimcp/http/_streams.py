"""A stream of events that outlives the connection it is sent over.

Messages wait here until the client's HTTP response takes them. When nobody takes them, they go
where the client can ask for them again.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trimcp.transports import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trimcp.runtime import EventStore

__all__ = ["EventStream"]


class EventStream:
    """A queue of messages whose reader may go away and come back; see `OutboxPeer`.

    Args:
        name: Its name in the store.
        store: Keeps what was sent.
        limit: Bytes that may wait for a reader that is slow.
        is_standing: Whether it is the session's own stream. What nobody reads waits here then,
            the oldest dropped beyond `limit`, instead of in the store.
        at_end: Called when all has been said and nobody reads it any more.
        budget: Counts what waits together with what waits for other peers.

    Attributes:
        waiting_bytes: Bytes that wait for a reader.
        is_closed: Whether nothing more will be said.
        pause: Seconds after which the client should come back, once its response should end
            although more will be said.
    """

    def __init__(
        self,
        name: str,
        store: EventStore,
        limit: int,
        *,
        is_standing: bool,
        at_end: Callable[[EventStream], None],
        budget: Budget | None = None,
    ) -> None:
        self.name = name
        self.waiting_bytes = 0
        self.is_closed = False
        self.pause: float | None = None
        self._budget = budget or Budget()
        self._store = store
        self._limit = limit
        self._is_standing = is_standing
        self._at_end = at_end
        self._pending: list[tuple[str | None, bytes]] = []
        self._reader: object | None = None
        self._room = trio.lowlevel.ParkingLot()
        self._turn = trio.StrictFIFOLock()
        self._news = trio.lowlevel.ParkingLot()

    # -- the queue ------------------------------------------------------------------------

    def send_nowait(self, data: bytes) -> None:
        """Queue one event.

        Raises:
            trio.WouldBlock: The reader is slow, or somebody has waited longer for room.
            trio.ClosedResourceError: Nothing more may be said.
        """
        if self._turn.locked() or self._must_wait(data):
            raise trio.WouldBlock
        self._put(data)

    async def send(self, data: bytes) -> None:
        """Queue one event, waiting for room, in the order of arrival.

        Always a checkpoint. Raises as `send_nowait`, without WouldBlock.
        """
        async with self._turn:
            while self._must_wait(data):
                await self._room.park()
            self._put(data)

    def _must_wait(self, data: bytes) -> bool:
        return self._reader is not None and not self.is_closed and self._is_full(data)

    def _put(self, data: bytes) -> None:
        if self.is_closed:
            raise trio.ClosedResourceError
        if self._reader is None and not self._is_standing:
            self.keep(data)
            return
        while self._is_full(data) and self._pending:
            self._count(-len(self._pending.pop(0)[1]))
        self._pending.append((None, data))
        self._count(len(data))
        self._news.unpark_all()

    def _is_full(self, data: bytes) -> bool:
        if not self.waiting_bytes:
            return False
        return self.waiting_bytes + len(data) > self._limit or len(data) > self._budget.room

    def _count(self, size: int) -> None:
        """Add to the bytes that wait; a negative number takes away."""
        self.waiting_bytes += size
        self._budget.hold(size)

    def interrupt(self, seconds: float) -> bool:
        """Let the reader come back later for what is still to be said.

        Args:
            seconds: When it should.

        Returns:
            Whether there is one that is told so.
        """
        if self._reader is None:
            return False
        self.pause = seconds
        self._news.unpark_all()
        return True

    def close(self) -> None:
        """Accept nothing more; what waits is still told."""
        self.is_closed = True
        self._room.unpark_all()
        self._news.unpark_all()
        if self._reader is None:
            self._end()

    def _end(self) -> None:
        """Drop what still waits and call `at_end`: the stream has ended and has no reader."""
        self._count(-sum(len(data) for _, data in self._pending))
        self._pending.clear()
        self._at_end(self)

    # -- the reader -----------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._pending

    @contextmanager
    def reading(self, replayed: list[tuple[str, bytes]] | None = None) -> Iterator[object]:
        """Become the reader; the one before is told to stop.

        Args:
            replayed: Kept events that this reader wants first.

        Yields:
            What `take` wants, to tell readers apart.
        """
        reader = self._reader = object()
        self._news.unpark_all()
        self._drop_replayed()
        if replayed:
            self._pending[:0] = replayed
            self._count(sum(len(data) for _, data in replayed))
        try:
            yield reader
        finally:
            if self._reader is reader:
                self._leave()

    def _leave(self) -> None:
        self._reader = None
        self.pause = None
        self._drop_replayed()
        if not self._is_standing:
            for _, data in self._pending:
                self.keep(data)
                self._count(-len(data))
            self._pending.clear()
        self._room.unpark_all()
        if self.is_closed:
            self._end()

    def _drop_replayed(self) -> None:
        """What waits for its second telling is kept already: whoever wants it asks for it."""
        replayed = sum(len(data) for id, data in self._pending if id is not None)
        if replayed:
            self._pending = [each for each in self._pending if each[0] is None]
            self._count(-replayed)

    def supersede(self) -> None:
        """Tell the reader to stop."""
        self._reader = object()
        self._news.unpark_all()

    async def take_events(self, reader: object) -> list[tuple[str | None, bytes]]:
        """Wait for events and take all that wait, each with its id if it is kept already.

        Returns:
            Nothing if there will be no more for this reader: all has been said, it should pause,
            or somebody else reads now.
        """
        await trio.lowlevel.checkpoint()
        while self._reader is reader and not self._pending:
            if self.is_closed or self.pause is not None:
                return []
            await self._news.park()
        if self._reader is not reader:
            return []
        events, self._pending = self._pending, []
        return events

    @contextmanager
    def releasing(self, events: list[tuple[str | None, bytes]]) -> Iterator[None]:
        """Send these; afterwards they wait no longer, whether they could be sent or not."""
        try:
            yield
        finally:
            self._count(-sum(len(data) for _, data in events))
            self._room.unpark_all()

    def keep(self, data: bytes) -> str:
        """Keep an event so that it can be asked for again; return its id."""
        return self._store.append(self.name, data)
