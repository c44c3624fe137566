"""An event stream that outlives the connection over which it is sent.

Messages wait here until the client's HTTP response takes them. Without a response, they go to a
store from which the client can request them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trimcp.transports import Budget

from ._waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trimcp.runtime import EventStore

__all__ = ["EventStream"]


class EventStream:
    """A queue of messages whose reader may disconnect and reconnect; see `OutboxPeer`.

    Args:
        name: Its name in the store.
        store: Keeps the events that were sent.
        limit: How many bytes may wait for a slow reader.
        is_standing: Whether it is the session's own stream. Without a reader, its messages wait
            here instead of in the store, and the oldest are dropped beyond `limit`.
        at_end: Called when the stream is closed and has no reader.
        budget: Counts the bytes that wait.

    Attributes:
        waiting_bytes: Bytes that wait for a reader.
        is_closed: Whether no more messages will follow.
        pause: Seconds after which the client should reconnect, if its response should end before
            the stream does.
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
        self._is_silent = False
        self._room = Waiting()
        #: The turn of those that wait for room; made when somebody has to wait.
        self._turn: trio.StrictFIFOLock | None = None
        self._news = Waiting()

    # -- the queue ------------------------------------------------------------------------

    def send_nowait(self, data: bytes) -> None:
        """Queue one event.

        Raises:
            trio.WouldBlock: The reader is slow, or another sender already waits for room.
            trio.ClosedResourceError: The stream is closed.
        """
        if (self._turn is not None and self._turn.locked()) or self._must_wait(data):
            raise trio.WouldBlock
        self._put(data)

    async def send(self, data: bytes) -> None:
        """Queue one event, in the order of the calls. Waits for room.

        Always a checkpoint. Raises as `send_nowait`, without WouldBlock.
        """
        if self._turn is None:
            self._turn = trio.StrictFIFOLock()
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
        self._news.wake()

    def _is_full(self, data: bytes) -> bool:
        if not self.waiting_bytes:
            return False
        return self.waiting_bytes + len(data) > self._limit or len(data) > self._budget.room

    def _count(self, size: int) -> None:
        """Add to the number of waiting bytes; a negative number subtracts."""
        self.waiting_bytes += size
        self._budget.hold(size)

    def interrupt(self, seconds: float) -> bool:
        """Tell the reader to reconnect later for further messages.

        Args:
            seconds: After how many seconds it should reconnect.

        Returns:
            Whether there is a reader.
        """
        if self._reader is None:
            return False
        self.pause = seconds
        self._news.wake()
        return True

    def close(self) -> None:
        """Accept no more messages; those that wait are still sent."""
        self.is_closed = True
        self._room.wake()
        self._news.wake()
        if self._reader is None:
            self._end()

    def _end(self) -> None:
        """Drop the waiting messages and call `at_end`: the stream is closed and has no reader."""
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
        """Become the reader; the previous reader is told to stop.

        Args:
            replayed: Events from the store that this reader gets first.

        Yields:
            The argument of `take_events` that identifies this reader.
        """
        reader = self._reader = object()
        self._news.wake()
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
        self._room.wake()
        if self.is_closed:
            self._end()

    def _drop_replayed(self) -> None:
        """Drop waiting events that came from the store, where they are still kept."""
        replayed = sum(len(data) for id, data in self._pending if id is not None)
        if replayed:
            self._pending = [each for each in self._pending if each[0] is None]
            self._count(-replayed)

    def dismiss(self) -> None:
        """Tell the reader to stop: nobody reads from now on, so nobody waits for a reader."""
        if self._reader is not None:
            self._leave()
            self._news.wake()

    def leave(self, reader: object) -> None:
        """The same, if this is the reader."""
        if self._reader is reader:
            self.dismiss()

    def note_silence(self) -> None:
        """Let the reader go on, although there is nothing to take."""
        self._is_silent = True
        self._news.wake()

    async def take_events(self, reader: object) -> list[tuple[str | None, bytes]] | None:
        """Wait for events and take all that wait, each with its id if it is kept already.

        Returns:
            An empty list if this reader gets no more events: the stream has ended, the reader
                should pause, or there is another reader now. None after `note_silence`, if there is
                still nothing to take.
        """
        self._is_silent = False
        if not self._is_waited_for(reader):
            await trio.lowlevel.checkpoint()
        while self._is_waited_for(reader):
            if self._is_silent:
                return None
            # A checkpoint too, which costs less than two of them.
            await self._news.park()
        if self._reader is not reader:
            return []
        events, self._pending = self._pending, []
        return events

    def _is_waited_for(self, reader: object) -> bool:
        """Whether this reader has nothing to take now, and will get more."""
        is_over = self.is_closed or self.pause is not None
        return self._reader is reader and not self._pending and not is_over

    @contextmanager
    def releasing(self, events: list[tuple[str | None, bytes]]) -> Iterator[None]:
        """Send events in this block; after it they do not count as waiting, even after an error."""
        try:
            yield
        finally:
            self._count(-sum(len(data) for _, data in events))
            self._room.wake()

    def keep(self, data: bytes) -> str:
        """Keep an event, so that it can be requested again; return its id."""
        return self._store.append(self.name, data)
