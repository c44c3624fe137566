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

from ._expiring import EXPIRED
from ._needs import permits, require
from ._params import params_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimcp.protocol import Change
    from trimcp.runtime import Principal, Subscriber

    from ._context import Context
    from ._offer import Offer
    from ._session import Session

__all__ = ["listen", "subscribe", "unsubscribe"]

logger = logging.getLogger("trimcp.server")

#: Each resource may be compared with many templates; so many are sought in one go.
_BETWEEN_CHECKPOINTS: Final = 50


async def listen(offer: Offer, context: Context[Any]) -> SubscriptionsListenResult:
    """`subscriptions/listen`: tell of changes until the client or the server ends it."""
    handler, hub = context._handler, context._application.hub
    exchange, peer = handler.exchange, handler.peer
    wanted = params_as(exchange, SubscriptionsListenRequestParams).notifications
    uris = await _known(offer, context, wanted.resource_subscriptions or ())
    subscriber = hub.join(kinds_of(wanted), uris)
    peer.at_drain.add(subscriber.close)
    try:
        await _tell(context, subscriber)
    finally:
        peer.at_drain.discard(subscriber.close)
        hub.leave(subscriber)
    # The graceful end. On a shared pipe the specification wants a cancellation after it.
    reason = EXPIRED if _is_over(context.principal) else "the server is shutting down"
    cancelled = CancelledNotificationParams(exchange.id, reason)
    handler.round.afterword = exchange.notify("notifications/cancelled", cancelled)
    exchange.stamp_with({META_SUBSCRIPTION_ID: exchange.id})
    return SubscriptionsListenResult()


async def _known(offer: Offer, context: Context[Any], asked: Sequence[str]) -> list[str]:
    """The resources among those asked about that the caller may use.

    Raises LimitExceeded before any of them is sought.
    """
    hub, principal = context._application.hub, context.principal
    distinct = dict.fromkeys(asked)
    hub.check_uris(len(distinct))
    known: list[str] = []
    for position, uri in enumerate(distinct):
        if position % _BETWEEN_CHECKPOINTS == 0:
            await trio.lowlevel.checkpoint()
        found = offer.resources.find(uri)
        if found is not None and permits(principal, *found):
            known.append(uri)
    return known


async def _tell(context: Context[Any], subscriber: Subscriber) -> None:
    exchange, peer = context._handler.exchange, context._handler.peer
    meta = {META_SUBSCRIPTION_ID: exchange.id}
    granted = filter_of(subscriber.kinds, sorted(subscriber.uris))
    acknowledged = SubscriptionsAcknowledgedNotificationParams(granted)
    await peer.send(exchange.notify("notifications/subscriptions/acknowledged", acknowledged, meta))
    while (change := await _next(subscriber, context.principal)) is not None:
        try:
            data = exchange.notify(method_of(change), params_of(change), meta)
        except LimitExceeded as error:
            logger.warning("a client does not get a notification: %s", error)
        else:
            await peer.send(data)


async def _next(subscriber: Subscriber, principal: Principal | None) -> Change | None:
    """The next change; None at the end, which comes when the caller's token expires."""
    if principal is None:
        return await subscriber.next()
    with trio.move_on_after(max(principal.seconds_left, 0)):
        return await subscriber.next()
    # What is pending is still told.
    subscriber.close()
    return await subscriber.next()


def _is_over(principal: Principal | None) -> bool:
    return principal is not None and principal.seconds_left <= 0


async def subscribe(offer: Offer, context: Context[Any]) -> EmptyResult:
    """`resources/subscribe` of a handshake session."""
    uri = params_as(context._handler.exchange, SubscribeRequestParams).uri
    found = offer.resources.find(uri)
    if found is None:
        raise ResourceNotFound(uri)
    reading, arguments = found
    if reading.scopes is not None:
        require(offer, context, lambda caller: reading.needed(caller, arguments))
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
