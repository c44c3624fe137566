"""`ws://` and `wss://` URLs, and the headers of the handshake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WebSocketAddress", "header_list"]

_PORTS: Final = {"ws": 80, "wss": 443}


@attrs.frozen
class WebSocketAddress:
    """The address of a WebSocket server.

    Attributes:
        url: The whole URL, for messages.
        host: Its name or address.
        port: Its port.
        resource: The path, with the query.
        is_secure: Whether it is `wss://`.
    """

    url: str
    host: str
    port: int
    resource: str
    is_secure: bool

    @classmethod
    def parse(cls, url: str) -> WebSocketAddress:
        """Parse a URL. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"not ws://HOST[:PORT]/PATH or wss://…: {url!r}")
        if parts.username is not None or parts.fragment:
            raise ValueError(f"a WebSocket URL has no user and no fragment: {url!r}")
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not resource.isascii() or not resource.isprintable() or " " in resource:
            raise ValueError(f"the path has to be percent-encoded: {url!r}")
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
        return cls(url, parts.hostname, port, resource, parts.scheme == "wss")

    @property
    def http_url(self) -> str:
        """The same place as a URL of HTTP, which is what authorization knows it by."""
        return ("https" if self.is_secure else "http") + self.url[self.url.index(":") :]

    @property
    def host_header(self) -> str:
        """The value of the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = self.port == _PORTS["wss" if self.is_secure else "ws"]
        return host if is_usual else f"{host}:{self.port}"


def header_list(headers: Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    """Headers as they are sent. Raises ValueError for an invalid header."""
    found = []
    for name, value in (headers or {}).items():
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"not a header's name: {name!r}")
        if not value.isprintable():
            raise ValueError(f"not the value of a header: {name}")
        try:
            found.append((name.encode(), value.strip().encode("latin-1")))
        except UnicodeEncodeError:
            raise ValueError(f"not the value of a header: {name}") from None
    return found
