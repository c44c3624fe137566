"""Connections whose addresses are judged before they are made.

Loaded by the first exchange, since the HTTP client is slow to load.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

import httpcore2
import httpx2
import trio

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["guarded_transport"]

#: Addresses of one name that are tried.
_MOST_ADDRESSES: Final = 8

#: Seconds after which the next address is tried.
_CONNECT_SECONDS: Final = 3.0


def guarded_transport(
    context: ssl.SSLContext, judge: Callable[[str, Sequence[str]], None]
) -> httpx2.AsyncBaseTransport:
    """A transport that connects to judged addresses only; TLS still checks the name.

    Args:
        context: For https.
        judge: Gets a host and all its addresses, and raises if one is not allowed.

    Raises:
        RuntimeError: The HTTP client has changed, and connections cannot be judged any more.
    """
    transport = httpx2.AsyncHTTPTransport(verify=context, trust_env=False)
    # It takes no network of ours, but its pool does.
    if not isinstance(getattr(transport, "_pool", None), httpcore2.AsyncConnectionPool):
        raise RuntimeError("this version of httpx2 has no place for a judge of addresses")
    transport._pool = httpcore2.AsyncConnectionPool(
        ssl_context=context, network_backend=_JudgedNetwork(judge)
    )
    return transport


class _JudgedNetwork(httpcore2.AsyncNetworkBackend):
    """Resolves names itself, so that what is judged is what is connected to."""

    def __init__(self, judge: Callable[[str, Sequence[str]], None]) -> None:
        self._judge = judge
        self._network = httpcore2.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await _resolved(host, port)
        self._judge(host, addresses)
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                return await self._network.connect_tcp(address, port, _CONNECT_SECONDS)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


async def _resolved(host: str, port: int) -> list[str]:
    """The addresses of a host, each once."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
