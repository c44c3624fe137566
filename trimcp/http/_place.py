"""Where a connection leads, as the scopes of ASGI tell it."""

from __future__ import annotations

from typing import Any

import attrs
import trio
from hypercorn.utils import parse_socket_addr

__all__ = ["Place"]


@attrs.frozen
class Place:
    """The two ends of a connection.

    Attributes:
        client: Address and port of the client; None if it has none.
        server: Address and port at which it has arrived; for a Unix socket its path and -1.
        is_secure: Whether it has TLS.
    """

    client: tuple[str, int] | None
    server: tuple[str, int] | None
    is_secure: bool

    @classmethod
    def of(cls, stream: Any) -> Place:
        """The place of a connection. Raises OSError where it is lost already."""
        is_secure = isinstance(stream, trio.SSLStream)
        socket = (stream.transport_stream if is_secure else stream).socket
        family = socket.family
        return cls(
            parse_socket_addr(family, socket.getpeername()),
            parse_socket_addr(family, socket.getsockname()),
            is_secure,
        )
