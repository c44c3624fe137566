"""The events that `Connection.receive` returns: none, one or several for a message."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from ._exchange import Call, Exchange
from ._shapes import Progress


class RequestReceived(msgspec.Struct, gc=False):
    """A request came: run a handler and answer the exchange."""

    exchange: Exchange


class ExchangeCancelled(msgspec.Struct, gc=False):
    """The peer cancelled an exchange whose handler still runs: stop the handler.

    If that completed a batch, `released` holds the answers to its other requests, to be sent to
    where the batch came from.
    """

    exchange: Exchange
    reason: str | None
    released: bytes | None = None


class SessionEnded(msgspec.Struct, gc=False):
    """The client has begun another session; the requests of the earlier session are closed.

    Attributes:
        calls: Our own requests in the earlier session, which will get no answer.
    """

    calls: list[Call]


class NotificationReceived(msgspec.Struct, gc=False):
    """A notification that belongs to no exchange; `params` is raw JSON or None."""

    method: str
    params: Raw | None


class ResultReceived(msgspec.Struct, gc=False):
    """A call succeeded; `result` is raw JSON."""

    call: Call
    result: Raw


class FailureReceived(msgspec.Struct, gc=False):
    """A call was answered with an error."""

    call: Call
    code: int
    message: str
    data: Any


class AnswerUnusable(msgspec.Struct, gc=False):
    """A call was answered with something that is not a JSON-RPC response."""

    call: Call
    reason: str


class ProgressReceived(msgspec.Struct, gc=False):
    """The peer reports progress of a call."""

    call: Call
    progress: Progress


class SubscriptionReceived(msgspec.Struct, gc=False):
    """A notification on the stream that a call of `subscriptions/listen` opened."""

    call: Call
    method: str
    params: Raw | None


class Reply(msgspec.Struct, gc=False):
    """These bytes must be sent; no handler is involved."""

    data: bytes


class Ignored(msgspec.Struct, gc=False):
    """Input that needs no answer; to be logged for debugging.

    `garbage` is the beginning of the input if it was not a message at all.
    """

    reason: str
    garbage: bytes = b""


Event: TypeAlias = (
    RequestReceived
    | ExchangeCancelled
    | SessionEnded
    | NotificationReceived
    | ResultReceived
    | FailureReceived
    | AnswerUnusable
    | ProgressReceived
    | SubscriptionReceived
    | Reply
    | Ignored
)


def without_given_up(events: list[Event]) -> list[Event]:
    """The events of a batch without the requests that the same batch cancels: they never begin."""
    begun = {
        id(event.exchange)
        for event in events
        if isinstance(event, RequestReceived) and not event.exchange.is_open
    }
    if not begun:
        return events
    return [
        event
        for event in events
        if not isinstance(event, RequestReceived | ExchangeCancelled)
        or id(event.exchange) not in begun
    ]
