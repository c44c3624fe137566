"""The two ways to receive changes: a request that stays open, or a session's subscriptions."""

from __future__ import annotations

import collections
import logging
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from trimcp.errors import ConnectionLost, MCPError, RequestError, RequestTimeout
from trimcp.protocol import (
    PromptsListChanged,
    ResourcesListChanged,
    ToolsListChanged,
    change_of,
    filter_of,
    kinds_of,
)
from trimcp.types import (
    SubscribeRequestParams,
    SubscriptionFilter,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)

from ._http import HTTPPeer
from ._listen import Changes
from ._reconnection import Reconnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from msgspec import Raw

    from trimcp.protocol import Change
    from trimcp.runtime import ConnectedPeer
    from trimcp.types import ServerCapabilities

    from ._cache import ResponseCache
    from ._requester import Requester

__all__ = ["Listening"]

logger = logging.getLogger("trimcp.client")

#: Takes a notification: the sender, its method and its raw params.
Notified: TypeAlias = "Callable[[ConnectedPeer, str, Raw | None], None]"

_ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"

#: Seconds for unsubscribing when a listener ends.
_LEAVE_SECONDS: Final = 1.0


class Listening:
    """The listeners of one client.

    Args:
        requester: Makes the client's requests.
        notified: Also takes the notifications of a subscription.
    """

    def __init__(self, requester: Requester, notified: Notified) -> None:
        self._requester = requester
        self._notified = notified
        self._listeners: set[Changes] = set()
        self._wanted: collections.Counter[str] = collections.Counter()
        # What the server was asked for; whether it has subscribed to it is not always known.
        self._asked: set[str] = set()
        # What it has agreed to.
        self._subscribed: set[str] = set()
        # A server may handle concurrent requests in any order.
        self._subscribing = trio.Lock()

    def tell(self, method: str, wire: Mapping[str, Any]) -> None:
        """Pass on a notification of a handshake session, which belongs to no request."""
        if self._listeners and (change := change_of(method, wire)) is not None:
            for changes in self._listeners:
                changes.put(change)

    def miss(self) -> None:
        """Tell all listeners that everything may have changed, since notifications may be lost."""
        for changes in self._listeners:
            changes.miss()

    def hear(
        self, wanted: SubscriptionFilter, timeout: float
    ) -> AbstractAsyncContextManager[Changes]:
        """Receive changes while the block runs, in the way of the current era.

        Args:
            wanted: The changes to subscribe to.
            timeout: Seconds for the server's agreement.
        """
        way = self._by_request if self._requester.is_stateless else self._by_session
        return way(self._requester.peer, wanted, timeout)

    # -- stateless era --------------------------------------------------------------------

    @asynccontextmanager
    async def _by_request(
        self, peer: ConnectedPeer, wanted: SubscriptionFilter, timeout: float
    ) -> AsyncIterator[Changes]:
        """Keep a `subscriptions/listen` request open; leaving cancels it."""
        changes = Changes(wanted)
        subscription = Subscription(self._requester.cache, self._notified, peer, wanted, changes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscription.keep)
            if isinstance(peer, HTTPPeer):
                nursery.start_soon(_watch, peer, "server/discover", subscription.break_off)
            with trio.move_on_after(timeout) as waiting:
                await changes.wait_acknowledged()
            if waiting.cancelled_caught:
                raise RequestTimeout("the subscription was not acknowledged within the deadline")
            yield changes
            nursery.cancel_scope.cancel(reason="the subscription was left")

    # -- handshake era --------------------------------------------------------------------

    @asynccontextmanager
    async def _by_session(
        self, peer: ConnectedPeer, wanted: SubscriptionFilter, timeout: float
    ) -> AsyncIterator[Changes]:
        """Subscribe to resources; a session gets the changes of lists without a subscription."""
        changes = Changes(wanted)
        self._listeners.add(changes)
        uris = wanted.resource_subscriptions or ()
        self._wanted.update(uris)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_with, peer, changes)
                if isinstance(peer, HTTPPeer):
                    nursery.start_soon(_watch, peer, "ping", peer.break_off)
                for uri in uris:
                    await self._subscribe(uri, timeout)
                # When it is answered, the server has handled `notifications/initialized`.
                await self._requester.ask("ping", None, timeout=timeout)
                changes.grant(_declared(wanted, self._requester.agreement.capabilities))
                yield changes
                nursery.cancel_scope.cancel(reason="the subscription was left")
        finally:
            self._listeners.discard(changes)
            self._wanted.subtract(uris)
            with trio.CancelScope(shield=True, relative_deadline=_LEAVE_SECONDS):
                for uri in uris:
                    await self._unsubscribe(uri)

    async def _subscribe(self, uri: str, timeout: float) -> None:
        """Subscribe to a resource, unless another listener has done so."""
        async with self._subscribing:
            if uri in self._subscribed:
                return
            self._asked.add(uri)
            params = SubscribeRequestParams(uri)
            try:
                await self._requester.ask("resources/subscribe", params, timeout=timeout)
            except RequestError:
                # Without this answer the server may have subscribed, and is asked to undo it.
                self._asked.discard(uri)
                raise
            self._subscribed.add(uri)

    async def subscribe_again(self) -> None:
        """Subscribe in a new session to all resources that the old session was subscribed to.

        Changes in between are not known, so everything in the subscriptions counts as changed.
        """
        for uri in list(self._asked):
            await self._requester.ask(
                "resources/subscribe", SubscribeRequestParams(uri), timeout=None
            )
        self.miss()

    async def _unsubscribe(self, uri: str) -> None:
        """Undo `_subscribe` if no listener wants the resource any more."""
        async with self._subscribing:
            if self._wanted[uri]:
                return
            del self._wanted[uri]
            if uri not in self._asked:
                return
            self._asked.discard(uri)
            self._subscribed.discard(uri)
            params = UnsubscribeRequestParams(uri)
            try:
                await self._requester.ask("resources/unsubscribe", params, timeout=_LEAVE_SECONDS)
            except MCPError as error:
                logger.debug("%s is not unsubscribed: %s", uri, error)


class Subscription:
    """A `subscriptions/listen` request, which is repeated if only its stream breaks (HTTP).

    Specification: 2026-07-28, Patterns ("if the underlying channel is lost, the client re-issues
    the request").
    """

    def __init__(
        self,
        cache: ResponseCache,
        notified: Notified,
        peer: ConnectedPeer,
        wanted: SubscriptionFilter,
        changes: Changes,
    ) -> None:
        self._cache = cache
        self._notified = notified
        self._peer = peer
        self._wanted = wanted
        self._changes = changes
        self._going_on = Reconnection()
        self._attempt = trio.CancelScope()

    def break_off(self, reason: str) -> None:
        """End the current request, since the server seems to be gone."""
        self._attempt.cancel(reason=reason)

    async def keep(self) -> None:
        """Keep the subscription until the server ends or refuses it, or is gone for too long."""
        while True:
            authorization = await self._authorization()
            error = await self._request()
            if error is None:
                if await self._authorization() == authorization:
                    self._changes.end()
                    return
                # A server ends what was asked for with a token that has expired since.
                logger.debug("the subscription is asked for again with another token")
            elif not self._may_come_back(error):
                self._changes.end(error)
                # The error's frames refer to this one, which must not refer to the error.
                del error
                return
            else:
                logger.info("the subscription is asked for again: %s", error)
            del error
            await self._going_on.wait()

    async def _authorization(self) -> str | None:
        """What the request is authorized with, if that changes with the time."""
        try:
            return await self._peer.authorization() if isinstance(self._peer, HTTPPeer) else None
        except MCPError as error:
            # The request itself will say so.
            logger.debug("no token: %s", error)
            return None

    async def _request(self) -> MCPError | None:
        """Make the request once. Returns the error that ended it, or None for a graceful end."""
        params = SubscriptionsListenRequestParams(self._wanted)
        try:
            with trio.CancelScope() as self._attempt:
                await self._peer.request(
                    "subscriptions/listen", params, timeout=math.inf, listener=self._hear
                )
                return None
        except MCPError as error:
            return error
        finally:
            self._going_on.ended()
        return ConnectionLost("the server gives no sign of life")

    def _hear(self, method: str, params: Any) -> None:
        terms = self._peer.connection.terms
        assert terms is not None
        if method == _ACKNOWLEDGED:
            self._going_on.opened()
            if self._changes.is_acknowledged:
                self._cache.drop()
        else:
            self._going_on.brought()
        self._changes.hear(terms.revision, method, params)
        self._notified(self._peer, method, params)

    def _may_come_back(self, error: MCPError) -> bool:
        if not isinstance(self._peer, HTTPPeer) or not self._changes.is_acknowledged:
            return False
        return self._going_on.may_follow(error) and not self._going_on.is_hopeless


def _declared(wanted: SubscriptionFilter, offered: ServerCapabilities) -> SubscriptionFilter:
    """What a server of the handshake era reports: of the lists, those that it declares."""
    declared: dict[type[Change], Any] = {
        ToolsListChanged: offered.tools,
        PromptsListChanged: offered.prompts,
        ResourcesListChanged: offered.resources,
    }
    kinds = [kind for kind in kinds_of(wanted) if getattr(declared[kind], "list_changed", None)]
    return filter_of(kinds, wanted.resource_subscriptions or ())


async def _watch(peer: HTTPPeer, method: str, break_off: Callable[[str], None]) -> None:
    """Call `break_off` whenever the server seems to be gone; `method` is sent to check it."""
    while True:
        await peer.wait_silent(method)
        break_off("the server gives no sign of life")
        # The streams that reconnect now get some time for it.
        await trio.sleep(peer.heartbeat_seconds)


async def _end_with(peer: ConnectedPeer, changes: Changes) -> None:
    changes.end(await peer.wait_lost())
