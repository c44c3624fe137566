"""The two ways to hear of changes: a request that stays open, or a session's subscriptions."""

from __future__ import annotations

import collections
import logging
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import MCPError, RequestTimeout
from trimcp.protocol import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
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

from ._listen import Changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from trimcp.protocol import Change
    from trimcp.runtime import Peer
    from trimcp.types import ServerCapabilities

    from ._client import Client

__all__ = ["Listening"]

logger = logging.getLogger("trimcp.client")

#: Seconds for taking back subscriptions when a listener is left.
_LEAVE_SECONDS: Final = 1.0


class Listening:
    """The listeners of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._listeners: set[Changes] = set()
        self._subscribed: collections.Counter[str] = collections.Counter()
        # A server may handle requests that are under way together in any order.
        self._subscribing = trio.Lock()

    def tell(self, method: str, wire: Mapping[str, Any]) -> None:
        """A notification that belongs to no request: of a handshake session."""
        if self._listeners and (change := change_of(method, wire)) is not None:
            for changes in self._listeners:
                changes.put(change)

    # -- stateless era --------------------------------------------------------------------

    @asynccontextmanager
    async def by_request(
        self, peer: Peer, wanted: SubscriptionFilter, timeout: float
    ) -> AsyncIterator[Changes]:
        """Keep a `subscriptions/listen` request open; leaving cancels it."""
        changes = Changes(wanted)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._request, peer, wanted, changes)
            with trio.move_on_after(timeout) as waiting:
                await changes.wait_acknowledged()
            if waiting.cancelled_caught:
                raise RequestTimeout("the subscription was not acknowledged within the deadline")
            yield changes
            nursery.cancel_scope.cancel(reason="the subscription was left")

    async def _request(self, peer: Peer, wanted: SubscriptionFilter, changes: Changes) -> None:
        terms = peer.connection.terms
        assert terms is not None

        def hear(method: str, params: Any) -> None:
            changes.hear(terms.revision, method, params)
            self._client.notified(peer, method, params)

        params = SubscriptionsListenRequestParams(wanted)
        try:
            await peer.request("subscriptions/listen", params, timeout=math.inf, listener=hear)
        except MCPError as error:
            changes.end(error)
        else:
            changes.end()

    # -- handshake era --------------------------------------------------------------------

    @asynccontextmanager
    async def by_session(
        self, peer: Peer, wanted: SubscriptionFilter, timeout: float
    ) -> AsyncIterator[Changes]:
        """Subscribe to resources; changes of lists come to every session unasked."""
        changes = Changes(wanted)
        self._listeners.add(changes)
        subscribed: list[str] = []
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_with, peer, changes)
                for uri in wanted.resource_subscriptions or ():
                    await self._subscribe(uri, timeout)
                    subscribed.append(uri)
                # Its answer comes after the server has taken notice that the session is open.
                await self._client.ping(timeout=timeout)
                changes.grant(_declared(wanted, self._client.capabilities))
                yield changes
                nursery.cancel_scope.cancel(reason="the subscription was left")
        finally:
            self._listeners.discard(changes)
            with trio.CancelScope(shield=True, relative_deadline=_LEAVE_SECONDS):
                for uri in subscribed:
                    await self._unsubscribe(uri)

    async def _subscribe(self, uri: str, timeout: float) -> None:
        """Several listeners share one subscription."""
        async with self._subscribing:
            if not self._subscribed[uri]:
                params = SubscribeRequestParams(uri)
                await self._client._ask("resources/subscribe", params, timeout=timeout)
            self._subscribed[uri] += 1

    async def subscribe_again(self) -> None:
        """The session is another one: what was subscribed in the old one is not any more.

        What changed in between nobody tells, so every subscribed resource counts as changed.
        """
        for uri in list(self._subscribed):
            await self._client._ask(
                "resources/subscribe", SubscribeRequestParams(uri), timeout=None
            )
            for changes in self._listeners:
                changes.put(ResourceUpdated(uri))

    async def _unsubscribe(self, uri: str) -> None:
        async with self._subscribing:
            self._subscribed[uri] -= 1
            if self._subscribed[uri]:
                return
            del self._subscribed[uri]
            params = UnsubscribeRequestParams(uri)
            try:
                await self._client._ask("resources/unsubscribe", params, timeout=_LEAVE_SECONDS)
            except MCPError as error:
                logger.debug("%s is not unsubscribed: %s", uri, error)


def _declared(wanted: SubscriptionFilter, offered: ServerCapabilities) -> SubscriptionFilter:
    """What a server of the handshake era tells of: among lists, those that it declares."""
    declared: dict[type[Change], Any] = {
        ToolsListChanged: offered.tools,
        PromptsListChanged: offered.prompts,
        ResourcesListChanged: offered.resources,
    }
    kinds = [kind for kind in kinds_of(wanted) if getattr(declared[kind], "list_changed", None)]
    return filter_of(kinds, wanted.resource_subscriptions or ())


async def _end_with(peer: Peer, changes: Changes) -> None:
    changes.end(await peer.wait_lost())
