"""Telling clients of changes: the routes of both eras.

Specification: 2026-07-28, Subscriptions; to 2025-11-25, Resources (Subscriptions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.errors import INVALID_REQUEST, RequestError, ResourceNotFound
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

    from trimcp.runtime import Frame, Subscriber

    from ._application import Application
    from ._session import Session

__all__ = ["listen", "subscribe", "unsubscribe"]

#: Each resource may be compared with many templates; so many are sought in one go.
_BETWEEN_CHECKPOINTS: Final = 50


async def listen(application: Application, frame: Frame) -> SubscriptionsListenResult:
    """`subscriptions/listen`: tell of changes until the client or the server has enough."""
    wanted = params_as(frame.exchange, SubscriptionsListenRequestParams).notifications
    uris = await _known(application, wanted.resource_subscriptions or ())
    subscriber = application.hub.join(kinds_of(wanted), uris)
    ends = frame.peer.at_drain
    ends.add(subscriber.close)
    try:
        await _tell(frame, subscriber)
    finally:
        ends.discard(subscriber.close)
        application.hub.leave(subscriber)
    return _ended(frame)


async def _known(application: Application, asked: Sequence[str]) -> list[str]:
    """The resources among those asked about. Raises LimitExceeded before any of them is sought."""
    distinct = dict.fromkeys(asked)
    application.hub.check_uris(len(distinct))
    resources = application.server.resources
    known: list[str] = []
    for position, uri in enumerate(distinct):
        if position % _BETWEEN_CHECKPOINTS == 0:
            await trio.lowlevel.checkpoint()
        if resources.find(uri) is not None:
            known.append(uri)
    return known


async def _tell(frame: Frame, subscriber: Subscriber) -> None:
    exchange, send = frame.exchange, frame.peer.send
    meta = {META_SUBSCRIPTION_ID: exchange.id}
    granted = filter_of(subscriber.kinds, sorted(subscriber.uris))
    acknowledged = SubscriptionsAcknowledgedNotificationParams(granted)
    await send(exchange.notify("notifications/subscriptions/acknowledged", acknowledged, meta))
    while (change := await subscriber.next()) is not None:
        await send(exchange.notify(method_of(change), params_of(change), meta))


def _ended(frame: Frame) -> SubscriptionsListenResult:
    """The graceful end. On a shared pipe the specification wants a cancellation after it."""
    identity = frame.exchange.id
    cancelled = CancelledNotificationParams(identity, "the server is shutting down")
    frame.afterword = frame.exchange.notify("notifications/cancelled", cancelled)
    frame.exchange.stamp_with({META_SUBSCRIPTION_ID: identity})
    return SubscriptionsListenResult()


async def subscribe(application: Application, frame: Frame) -> EmptyResult:
    """`resources/subscribe` of a handshake session."""
    uri = params_as(frame.exchange, SubscribeRequestParams).uri
    if application.server.resources.find(uri) is None:
        raise ResourceNotFound(uri)
    _session_of(frame).subscribe(uri)
    return EmptyResult()


async def unsubscribe(application: Application, frame: Frame) -> EmptyResult:
    """`resources/unsubscribe` of a handshake session."""
    _session_of(frame).unsubscribe(params_as(frame.exchange, UnsubscribeRequestParams).uri)
    return EmptyResult()


def _session_of(frame: Frame) -> Session:
    """Raises RequestError where there is none: over HTTP, with sessions turned off."""
    session: Session | None = frame.peer.data
    if session is None:
        raise RequestError(INVALID_REQUEST, "without a session nobody can be told of changes")
    return session
