"""Who hears of changes: a set of pending facts per subscriber, never a queue.

Repeated changes of one thing coalesce until they are told, so a subscriber that reads slowly, or
not at all, costs no more than one entry for each thing it asked about, and delays nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trimcp.errors import LimitExceeded
from trimcp.protocol import ResourceUpdated
from trimcp.transports import Budget

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimcp.limits import Limits
    from trimcp.protocol import Change

__all__ = ["Hub", "Subscriber"]


class Subscriber:
    """A listener: made by `Hub.join`, read by one task.

    Attributes:
        kinds: The changes of lists that it wants to hear of.
        uris: The resources that it wants to hear of; changed by the hub only.
    """

    def __init__(self, kinds: frozenset[type[Change]]) -> None:
        self.kinds = kinds
        self.uris: set[str] = set()
        self._pending: dict[Change, None] = {}
        self._news = trio.lowlevel.ParkingLot()
        self._is_closed = False

    @property
    def pending(self) -> int:
        """Changes that it has not been told of yet."""
        return len(self._pending)

    def put(self, change: Change) -> None:
        """Add a change that it wants to hear of."""
        if not self._is_closed:
            self._pending[change] = None
            self._news.unpark()

    def close(self) -> None:
        """Accept no more changes: `next` tells what is pending, then None."""
        self._is_closed = True
        self._news.unpark_all()

    async def next(self) -> Change | None:
        """Wait for a change: the one that has been pending longest, or None after `close`."""
        await trio.lowlevel.checkpoint()
        while not self._pending:
            if self._is_closed:
                return None
            await self._news.park()
        change = next(iter(self._pending))
        del self._pending[change]
        return change


class Hub:
    """Hands changes to the subscribers of one application.

    Args:
        limits: `subscribers` and `subscribed_uris` are used.
        budget: Counts the URIs that subscribers asked about.
    """

    def __init__(self, limits: Limits, budget: Budget | None = None) -> None:
        self._limits = limits
        self._budget = budget or Budget.of(limits)
        self._subscribers: set[Subscriber] = set()
        self._by_uri: dict[str, set[Subscriber]] = {}

    def __len__(self) -> int:
        return len(self._subscribers)

    @property
    def pending(self) -> int:
        """Changes that wait to be told, over all subscribers."""
        return sum(subscriber.pending for subscriber in self._subscribers)

    @property
    def subscribed_uris(self) -> int:
        """Resources asked about, over all subscribers."""
        return sum(len(subscribers) for subscribers in self._by_uri.values())

    def uris(self) -> Iterable[str]:
        """The resources that at least one subscriber asked about."""
        return list(self._by_uri)

    def publish(self, change: Change) -> None:
        """Tell the subscribers of a change. Never blocks."""
        if isinstance(change, ResourceUpdated):
            for subscriber in self._by_uri.get(change.uri, ()):
                subscriber.put(change)
            return
        for subscriber in self._subscribers:
            if type(change) in subscriber.kinds:
                subscriber.put(change)

    def join(self, kinds: Iterable[type[Change]], uris: Iterable[str] = ()) -> Subscriber:
        """Add a subscriber, until `leave`.

        Args:
            kinds: The changes of lists to hear of.
            uris: The resources to hear of.

        Raises:
            LimitExceeded: There are too many subscribers, or too many resources for one.
        """
        if len(self._subscribers) >= self._limits.subscribers:
            raise LimitExceeded(f"more than {self._limits.subscribers} subscribers")
        subscriber = Subscriber(frozenset(kinds))
        self._subscribers.add(subscriber)
        try:
            for uri in uris:
                self.add(subscriber, uri)
        except LimitExceeded:
            self.leave(subscriber)
            raise
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        self._subscribers.discard(subscriber)
        for uri in tuple(subscriber.uris):
            self.remove(subscriber, uri)

    def add(self, subscriber: Subscriber, uri: str) -> None:
        """Let a subscriber hear of one more resource. Raises LimitExceeded."""
        if uri in subscriber.uris:
            return
        self.check_uris(len(subscriber.uris) + 1)
        if not self._budget.take(len(uri)):
            raise LimitExceeded("there is no room for more subscribed resources now")
        subscriber.uris.add(uri)
        self._by_uri.setdefault(uri, set()).add(subscriber)

    def check_uris(self, number: int) -> None:
        """Whether one subscriber may ask about so many resources. Raises LimitExceeded if not."""
        if number > self._limits.subscribed_uris:
            raise LimitExceeded(f"more than {self._limits.subscribed_uris} subscribed resources")

    def remove(self, subscriber: Subscriber, uri: str) -> None:
        """Undo `add`; harmless if there was none."""
        if uri not in subscriber.uris:
            return
        subscriber.uris.discard(uri)
        self._budget.give(len(uri))
        listening = self._by_uri.get(uri)
        if listening is not None:
            listening.discard(subscriber)
            if not listening:
                del self._by_uri[uri]
