"""The bounds of everything that could otherwise grow without one."""

from __future__ import annotations

import math
from typing import Any

import attrs

__all__ = ["Limits"]


def _positive(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value <= 0:
        raise ValueError(f"Limits({attribute.name}=…) must be above zero, got {value!r}")


def _not_negative(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value < 0:
        raise ValueError(f"Limits({attribute.name}=…) must not be negative, got {value!r}")


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds of a server or client. A refusal is always a clear error.

    Attributes:
        message_bytes: The largest message accepted or sent, in bytes. A longer line is skipped to
            its end and answered with an error; the connection stays open.
        nesting: The deepest nesting of JSON arrays and objects in one message.
        in_flight: Requests that one connection handles at the same time. Further ones are refused;
            a peer that does not read the refusals either is disconnected.
        outbox_bytes: Bytes waiting for one peer to read them. Handlers that answer or notify
            beyond it wait; one message is always accepted.
        buffered_bytes: Bytes of all peers that one server holds in memory: parts of messages,
            requests in flight, answers that are not read yet, subscribed URIs. An HTTP request
            whose body would exceed this gets 503; a message on a stream is skipped and answered
            with an error. Never less than `message_bytes`.
        connections: Connections served at once by one server over sockets; further ones are
            closed at once.
        threads: Worker threads that run synchronous tools, shared by the whole server.
        abandoned_threads: Threads still running a tool whose call was cancelled. While there
            are that many, new synchronous calls are refused.
        blocked_seconds: How long an async function may block a server's event loop before a warning
            with its stack is logged. With `math.inf` nothing watches.
        parked: Handlers that wait for the client's answer to a question (stateless era). Beyond
            this, the handler that has waited longest is cancelled. With 0, handlers never wait;
            tools registered with `replay=True` still work.
        parked_seconds: How long a handler waits for such an answer, in either era.
        subscribers: Clients' subscriptions to changes at the same time, in the whole server.
        subscribed_uris: Resources that one subscription may name. Each change that has not been
            sent to a slow client yet is one entry, so this bounds these changes too.
        header_seconds: How long the head of an HTTP request, or the next one on an open connection,
            may take; also the TLS handshake. After that, or up to an eighth later, the connection
            is closed.
        heartbeat_seconds: Seconds of silence after which the peer of a WebSocket is pinged, and an
            HTTP server to which a client listens gets a request; a peer that stays silent for the
            same time again is disconnected. `math.inf` turns this off.
        stderr_bytes: The longest single line of a child's standard error kept in memory.
        header_bytes: The largest head of an HTTP request, in bytes (431).
        token_bytes: The longest access token that a server looks at (401).
        token_seconds: How long a server waits for its `TokenVerifier` to judge one (503).
        body_seconds: How long the body of an HTTP request may take (408).
        http_requests: HTTP requests served at once by one server, open streams included;
            further ones get 503.
        http_sessions: Sessions of the handshake era over HTTP. Beyond this, the session that has
            been idle longest ends; if none is idle, new ones get 503.
        session_seconds: How long such a session may be idle.
        replay_bytes: Bytes of events that such a session keeps for a client that resumes a
            stream; at least one event is kept.
        list_pages: Pages of one list that a client reads.
        list_bytes: Bytes of one list, all its pages together, that a client reads.
        send_seconds: How long an HTTP client may leave an answer unread before it is
            disconnected.
    """

    message_bytes: int = attrs.field(default=16 * 1024 * 1024, validator=_positive)
    nesting: int = attrs.field(default=200, validator=_positive)
    in_flight: int = attrs.field(default=1000, validator=_positive)
    outbox_bytes: int = attrs.field(default=4 * 1024 * 1024, validator=_positive)
    buffered_bytes: int = attrs.field(default=256 * 1024 * 1024, validator=_positive)
    connections: int = attrs.field(default=1000, validator=_positive)
    threads: int = attrs.field(default=40, validator=_positive)
    abandoned_threads: int = attrs.field(default=200, validator=_positive)
    blocked_seconds: float = attrs.field(default=math.inf, validator=_positive)
    parked: int = attrs.field(default=1000, validator=_not_negative)
    parked_seconds: float = attrs.field(default=600.0, validator=_positive)
    subscribers: int = attrs.field(default=10_000, validator=_positive)
    subscribed_uris: int = attrs.field(default=10_000, validator=_positive)
    header_seconds: float = attrs.field(default=5.0, validator=_positive)
    heartbeat_seconds: float = attrs.field(default=20.0, validator=_positive)
    stderr_bytes: int = attrs.field(default=64 * 1024, validator=_positive)
    header_bytes: int = attrs.field(default=64 * 1024, validator=_positive)
    token_bytes: int = attrs.field(default=16 * 1024, validator=_positive)
    token_seconds: float = attrs.field(default=10.0, validator=_positive)
    body_seconds: float = attrs.field(default=60.0, validator=_positive)
    http_requests: int = attrs.field(default=10_000, validator=_positive)
    http_sessions: int = attrs.field(default=1000, validator=_positive)
    session_seconds: float = attrs.field(default=1800.0, validator=_positive)
    replay_bytes: int = attrs.field(default=256 * 1024, validator=_positive)
    list_pages: int = attrs.field(default=1000, validator=_positive)
    list_bytes: int = attrs.field(default=64 * 1024 * 1024, validator=_positive)
    send_seconds: float = attrs.field(default=60.0, validator=_positive)
