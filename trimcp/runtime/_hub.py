"""Telling subscribers of changes: a set of pending changes for each subscriber, not a queue.

Equal changes that are pending count as one. So a subscriber that reads slowly, or not at all, costs
at most one entry for each list and resource in its subscription, and delays no other.
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
    """A subscriber: `Hub.join` makes it, and one task reads it.

    Attributes:
        kinds: The changes of lists to which it has subscribed.
        uris: The resources to which it has subscribed; only the hub changes this.
    """

    def __init__(self, kinds: frozenset[type[Change]]) -> None:
        self.kinds = kinds
        self.uris: set[str] = set()
        self._pending: dict[Change, None] = {}
        self._news = trio.lowlevel.ParkingLot()
        self._is_closed = False

    @property
    def pending(self) -> int:
        """How many changes it has not been told of yet."""
        return len(self._pending)

    def put(self, change: Change) -> None:
        """Add a change that it must be told of."""
        if not self._is_closed:
            self._pending[change] = None
            self._news.unpark()

    def close(self) -> None:
        """Accept no more changes: `next` returns those that are pending, then None."""
        self._is_closed = True
        self._news.unpark_all()

    async def next(self) -> Change | None:
        """Wait for a change: the one that has been pending longest, or None after `close`."""
        if self._pending or self._is_closed:
            await trio.lowlevel.checkpoint()
        while not self._pending:
            if self._is_closed:
                return None
            # A checkpoint too, which costs many subscribers less than two of them.
            await self._news.park()
        change = next(iter(self._pending))
        del self._pending[change]
        return change


class Hub:
    """Passes changes to the subscribers of one application.

    Args:
        limits: `subscribers` and `subscribed_uris` are used.
        budget: Counts the bytes of the subscribed URIs.
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
        """How many changes are pending, for all subscribers."""
        return sum(subscriber.pending for subscriber in self._subscribers)

    @property
    def subscribed_uris(self) -> int:
        """How many resources are subscribed to, over all subscribers."""
        return sum(len(subscribers) for subscribers in self._by_uri.values())

    def uris(self) -> Iterable[str]:
        """The resources that have at least one subscriber."""
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
        """Add a subscriber; `leave` removes it.

        Args:
            kinds: The changes of lists to which it subscribes.
            uris: The resources to which it subscribes.

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
        """Remove a subscriber."""
        self._subscribers.discard(subscriber)
        for uri in tuple(subscriber.uris):
            self.remove(subscriber, uri)

    def add(self, subscriber: Subscriber, uri: str) -> None:
        """Subscribe to one more resource. Raises LimitExceeded."""
        if uri in subscriber.uris:
            return
        self.check_uris(len(subscriber.uris) + 1)
        if not self._budget.take(len(uri)):
            raise LimitExceeded("there is no room for more subscribed resources now")
        subscriber.uris.add(uri)
        self._by_uri.setdefault(uri, set()).add(subscriber)

    def check_uris(self, number: int) -> None:
        """Check that one subscriber may subscribe to so many resources. Raises LimitExceeded."""
        if number > self._limits.subscribed_uris:
            raise LimitExceeded(f"more than {self._limits.subscribed_uris} subscribed resources")

    def remove(self, subscriber: Subscriber, uri: str) -> None:
        """Undo `add`; does nothing if there was no `add`."""
        if uri not in subscriber.uris:
            return
        subscriber.uris.discard(uri)
        self._budget.give(len(uri))
        listening = self._by_uri.get(uri)
        if listening is not None:
            listening.discard(subscriber)
            if not listening:
                del self._by_uri[uri]
