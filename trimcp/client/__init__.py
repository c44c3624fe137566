"""Clients: opening them, and the requests that they can make."""

from ._client import Client
from ._listen import Changes
from ._open import (
    ClientOptions,
    client_for,
    open_client,
    open_http_client,
    open_memory_client,
    open_stdio_client,
    open_stream_client,
    open_tcp_client,
    open_unix_client,
    open_websocket_client,
)

__all__ = [
    "Changes",
    "Client",
    "ClientOptions",
    "client_for",
    "open_client",
    "open_http_client",
    "open_memory_client",
    "open_stdio_client",
    "open_stream_client",
    "open_tcp_client",
    "open_unix_client",
    "open_websocket_client",
]
