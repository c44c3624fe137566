"""The options of the doors that HTTP comes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimcp.runtime import EventStore

__all__ = ["HttpOptions"]


class HttpOptions(TypedDict, total=False):
    """Options of the ASGI applications and of `serve_http`.

    Attributes:
        allowed_hosts: The names that clients may call the server by, `name` or `name:port`,
            `*.example.com` for all names below, `*` for any. By default `localhost`, the loopback
            addresses and, for `serve_http`, the address listened on. Others get 403, so that no
            web page can reach the server through a DNS name of its own.
        allowed_origins: Origins of web pages, such as `https://app.example.com`, that may call
            the server from a browser and read its answers (CORS); `*` for any. By default pages
            from the allowed hosts, and only those from the server's own origin may read. Others
            get 403.
        keepalive: Seconds of silence after which an open answer gets a comment, so that no
            proxy takes it for dead; 15 by default.
        sessions: Whether clients of the handshake era (to 2025-11-25) get sessions. Without them
            each of their requests stands alone, so that any process can answer it: handlers
            cannot ask the client, and nobody is told of changes. True by default.
        event_store: Makes the store that keeps the events of a session of the handshake era,
            given its id; by default in memory, bounded by `Limits.replay_bytes`.
    """

    allowed_hosts: Sequence[str]
    allowed_origins: Sequence[str]
    keepalive: float
    sessions: bool
    event_store: Callable[[str], EventStore]
