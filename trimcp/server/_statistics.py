"""Numbers that show what `Limits` bounds."""

from __future__ import annotations

import attrs

__all__ = ["Statistics"]


@attrs.frozen(kw_only=True)
class Statistics:
    """The state of a server at one moment.

    Attributes:
        connections: Connections being served, without those of HTTP.
        in_flight: Requests without an answer, over all connections; never more than
            `Limits.in_flight` for each.
        http_requests: HTTP requests being served, open streams included.
        http_sessions: Sessions of the handshake era over HTTP.
        buffered_bytes: Bytes held for peers, over all of them.
        outbox_bytes: Bytes that wait for peers to read them, over all connections.
        unsent: Answers and refusals that wait for room beyond these bytes; never more than
            twice `Limits.in_flight` for each connection.
        notifications: Notifications of extensions that are being handled; never more than
            `Limits.in_flight` for each connection.
        questions: Requests to clients without an answer (handshake era).
        parked: Handlers that wait for the client's answer to a question (stateless era).
        subscribers: Subscriptions of clients, and handshake sessions, that are told of changes.
        subscribed_uris: Resources that they have subscribed to, over all subscribers.
        pending_changes: Changes that slow clients were not told of yet; never more than
            `subscribed_uris` and three for each subscriber.
        threads: Worker threads that run tools, abandoned ones included.
        abandoned_threads: Worker threads whose call was cancelled and that still run.
    """

    connections: int = 0
    in_flight: int = 0
    http_requests: int = 0
    http_sessions: int = 0
    buffered_bytes: int = 0
    outbox_bytes: int = 0
    unsent: int = 0
    notifications: int = 0
    questions: int = 0
    parked: int = 0
    subscribers: int = 0
    subscribed_uris: int = 0
    pending_changes: int = 0
    threads: int = 0
    abandoned_threads: int = 0
