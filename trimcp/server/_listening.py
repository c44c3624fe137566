"""Telling clients of changes: the routes of both eras.

Specification: 2026-07-28, Subscriptions; to 2025-11-25, Resources (Subscriptions).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import INVALID_REQUEST, LimitExceeded, RequestError, ResourceNotFound
from trimcp.protocol import META_SUBSCRIPTION_ID, filter_of, kinds_of, method_of, params_of
from trimcp.types import (
    CancelledNotificationParams,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from ._params import params_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimcp.protocol import Exchange
    from trimcp.runtime import Hub, Peer, Subscriber

    from ._context import Context
    from ._offer import Offer
    from ._session import Session

__all__ = ["listen", "subscribe", "unsubscribe"]

logger = logging.getLogger("trimcp.server")

#: How many resources are looked up between checkpoints, since each is compared with templates.
_BETWEEN_CHECKPOINTS: Final = 50


async def listen(offer: Offer, context: Context[Any]) -> SubscriptionsListenResult:
    """`subscriptions/listen`: tell of changes until the client or the server ends it."""
    handler, hub = context._handler, context._application.hub
    exchange, peer = handler.exchange, handler.peer
    wanted = params_as(exchange, SubscriptionsListenRequestParams).notifications
    uris = await _known(offer, hub, wanted.resource_subscriptions or ())
    subscriber = hub.join(kinds_of(wanted), uris)
    peer.at_drain.add(subscriber.close)
    try:
        await _tell(exchange, peer, subscriber)
    finally:
        peer.at_drain.discard(subscriber.close)
        hub.leave(subscriber)
    # The graceful end. On a shared stream the specification requires a cancellation after it.
    cancelled = CancelledNotificationParams(exchange.id, "the server is shutting down")
    handler.round.afterword = exchange.notify("notifications/cancelled", cancelled)
    exchange.stamp_with({META_SUBSCRIPTION_ID: exchange.id})
    return SubscriptionsListenResult()


async def _known(offer: Offer, hub: Hub, asked: Sequence[str]) -> list[str]:
    """The requested resources that exist. Raises LimitExceeded before any of them is looked up."""
    distinct = dict.fromkeys(asked)
    hub.check_uris(len(distinct))
    known: list[str] = []
    for position, uri in enumerate(distinct):
        if position % _BETWEEN_CHECKPOINTS == 0:
            await trio.lowlevel.checkpoint()
        if offer.resources.find(uri) is not None:
            known.append(uri)
    return known


async def _tell(exchange: Exchange, peer: Peer, subscriber: Subscriber) -> None:
    meta = {META_SUBSCRIPTION_ID: exchange.id}
    granted = filter_of(subscriber.kinds, sorted(subscriber.uris))
    acknowledged = SubscriptionsAcknowledgedNotificationParams(granted)
    await peer.send(exchange.notify("notifications/subscriptions/acknowledged", acknowledged, meta))
    while (change := await subscriber.next()) is not None:
        try:
            data = exchange.notify(method_of(change), params_of(change), meta)
        except LimitExceeded as error:
            logger.warning("a client does not get a notification: %s", error)
        else:
            await peer.send(data)


async def subscribe(offer: Offer, context: Context[Any]) -> EmptyResult:
    """`resources/subscribe` of a handshake session."""
    uri = params_as(context._handler.exchange, SubscribeRequestParams).uri
    if offer.resources.find(uri) is None:
        raise ResourceNotFound(uri)
    _session_of(context).subscribe(uri)
    return EmptyResult()


async def unsubscribe(offer: Offer, context: Context[Any]) -> EmptyResult:
    """`resources/unsubscribe` of a handshake session."""
    uri = params_as(context._handler.exchange, UnsubscribeRequestParams).uri
    _session_of(context).unsubscribe(uri)
    return EmptyResult()


def _session_of(context: Context[Any]) -> Session[Any]:
    """The session. Raises RequestError if there is none: over HTTP, with sessions turned off."""
    if context.session is None:
        raise RequestError(INVALID_REQUEST, "without a session a client gets no notifications")
    return context.session
