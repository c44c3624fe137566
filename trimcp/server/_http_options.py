"""The options of serving HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimcp.runtime import EventStore

__all__ = ["HttpOptions"]


class HttpOptions(TypedDict, total=False):
    """Options of the ASGI applications and of `serve_http`.

    Attributes:
        allowed_hosts: The host names under which clients may call the server: `name` or
            `name:port`, `*.example.com` for all names below, `*` for any. By default `localhost`,
            the loopback addresses and, for `serve_http`, the address listened on. Requests with
            other names get 403, so that no web page can reach the server through its own DNS name.
        allowed_origins: Origins of web pages, such as `https://app.example.com`, that may call
            the server from a browser and read its answers (CORS); `*` for any. By default pages
            from the allowed hosts may call, and only pages from the server's own origin may read.
            Others get 403.
        keepalive: Seconds of silence after which a comment is sent in an open event stream, so that
            no proxy closes it; 15 by default.
        sessions: Whether clients of the handshake era (to 2025-11-25) get sessions. Without
            sessions each of their requests is answered alone, so any process can answer it, but
            handlers cannot ask the client, and clients are not told of changes. True by default.
        event_store: Makes the store that keeps the events of a session of the handshake era,
            given its id; by default in memory, bounded by `Limits.replay_bytes`.
    """

    allowed_hosts: Sequence[str]
    allowed_origins: Sequence[str]
    keepalive: float
    sessions: bool
    event_store: Callable[[str], EventStore]
