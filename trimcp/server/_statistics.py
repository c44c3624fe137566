"""Numbers that show what `Limits` bounds."""

from __future__ import annotations

import attrs

__all__ = ["Statistics"]


@attrs.frozen(kw_only=True)
class Statistics:
    """A moment of a server.

    Attributes:
        connections: Connections being served.
        in_flight: Requests without an answer, over all connections.
        http_requests: HTTP requests being served, open streams included.
        outbox_bytes: Bytes that wait for peers to read them, over all connections.
        parked: Handlers that wait for the client's answer to a question.
        subscribers: Subscriptions of clients, and handshake sessions, that hear of changes.
        subscribed_uris: Resources they asked about, over all subscribers.
        pending_changes: Changes that slow clients were not told of yet; never more than
            `subscribed_uris` and three for each subscriber.
        threads: Worker threads that run tools, abandoned ones included.
        abandoned_threads: Worker threads whose call was cancelled and that still run.
    """

    connections: int = 0
    in_flight: int = 0
    http_requests: int = 0
    outbox_bytes: int = 0
    parked: int = 0
    subscribers: int = 0
    subscribed_uris: int = 0
    pending_changes: int = 0
    threads: int = 0
    abandoned_threads: int = 0
