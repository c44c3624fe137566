"""Receiving changes: what `client.listen` yields.

Specification: 2026-07-28, Subscriptions; to 2025-11-25, Resources (Subscriptions).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.protocol import (
    Change,
    DecodeError,
    InvalidShape,
    ResourceUpdated,
    change_of,
    filter_of,
    kinds_of,
    read_object,
    reader_for,
)
from trimcp.types import SubscriptionsAcknowledgedNotificationParams

if TYPE_CHECKING:
    from msgspec import Raw

    from trimcp.protocol import Revision
    from trimcp.types import SubscriptionFilter

__all__ = ["Changes"]

logger = logging.getLogger("trimcp.client")

#: How many changes may wait; a server can name any number of URIs.
MAX_PENDING: Final = 10_000


class Changes:
    """The changes that a server reports: iterate over it.

    A change that happens again before it was taken is reported once; reading the resource or the
    list again shows the latest state anyway. Iterating ends when the server ends the subscription
    gracefully, and raises `ConnectionLost` when the connection is lost. After either,
    `client.listen` may be called again (on a new client, if the connection itself is lost).

    Over HTTP a subscription whose stream breaks is requested again. Changes in between are not
    known, so everything in the subscription counts as changed then. `ConnectionLost` is raised if
    the server cannot be reached for too long.

    Attributes:
        dropped: How many changes were dropped, since too many were waiting.
    """

    def __init__(self, wanted: SubscriptionFilter) -> None:
        self._kinds = kinds_of(wanted)
        self._uris = frozenset(wanted.resource_subscriptions or ())
        self._pending: dict[Change, None] = {}
        self._news = trio.lowlevel.ParkingLot()
        self._granted: SubscriptionFilter | None = None
        self._is_over = False
        self._error: Exception | None = None
        self.dropped = 0

    def __aiter__(self) -> Changes:
        return self

    async def __anext__(self) -> Change:
        await trio.lowlevel.checkpoint()
        while not self._pending:
            if self._is_over:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            await self._news.park()
        change = next(iter(self._pending))
        del self._pending[change]
        return change

    @property
    def granted(self) -> SubscriptionFilter:
        """The changes that the server agreed to report; it may be fewer than requested.

        In the handshake era there is no acknowledgement: then it is the lists that the server
        declares, and all requested resources, since the server refuses others.
        """
        return self._granted or filter_of(self._kinds, self._uris)

    # -- for the client -------------------------------------------------------------------

    def put(self, change: Change) -> None:
        """Add a change that the server has reported."""
        if self._is_over or not self._is_wanted(change):
            return
        if change not in self._pending and len(self._pending) >= MAX_PENDING:
            self.dropped += 1
            return
        self._pending[change] = None
        self._news.unpark()

    def _is_wanted(self, change: Change) -> bool:
        if not isinstance(change, ResourceUpdated):
            return type(change) in self._kinds
        # In the handshake era it may be a part of what was subscribed to.
        return change.uri in self._uris or any(
            change.uri.startswith(uri.rstrip("/") + "/") for uri in self._uris
        )

    def miss(self) -> None:
        """Add everything in the subscription, since changes may have been missed."""
        for kind in self._kinds & kinds_of(self.granted):
            self.put(kind())  # type: ignore[call-arg]  # a list has no URI
        for uri in self.granted.resource_subscriptions or ():
            self.put(ResourceUpdated(uri))

    def hear(self, revision: Revision, method: str, params: Raw | None) -> None:
        """Take a notification of the subscription."""
        try:
            wire = read_object(params)
            if method == "notifications/subscriptions/acknowledged":
                self._acknowledge(revision, wire)
            elif (change := change_of(method, wire)) is not None:
                self.put(change)
        except (InvalidShape, DecodeError) as error:
            logger.debug("malformed %s: %s", method, error)

    def _acknowledge(self, revision: Revision, wire: dict[str, Any]) -> None:
        params = reader_for(revision).decode(wire, SubscriptionsAcknowledgedNotificationParams)
        is_again = self._granted is not None
        self.grant(params.notifications)
        if is_again:
            self.miss()

    def grant(self, granted: SubscriptionFilter) -> None:
        """Record the changes that the server has agreed to report."""
        self._granted = granted
        refused = self._uris - set(granted.resource_subscriptions or ())
        if refused or self._kinds - kinds_of(granted):
            logger.warning("the server agreed to less than was asked for: %s", granted)
        self._news.unpark_all()

    def end(self, error: Exception | None = None) -> None:
        """End the iteration after the changes that wait; then raise the error, if given."""
        if not self._is_over:
            self._is_over = True
            self._error = error
        self._news.unpark_all()

    def leave(self) -> None:
        """End it for good, and drop its error: with its frames it would form a reference cycle."""
        self._is_over, self._error = True, None

    @property
    def is_acknowledged(self) -> bool:
        """Whether the server has agreed."""
        return self._granted is not None

    async def wait_acknowledged(self) -> None:
        """Wait until the server has agreed. Raises the subscription's error if it failed."""
        await trio.lowlevel.checkpoint()
        while self._granted is None:
            if self._is_over:
                if self._error is not None:
                    raise self._error
                return
            await self._news.park()
