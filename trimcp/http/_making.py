"""Which endpoints the applications of a server have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._application import HttpApplication
from ._settings import Settings
from ._streamable import StreamableEndpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trimcp.server import Server

__all__ = ["make_http_app"]


def make_http_app(
    server: Server[Any], path: str, options: Mapping[str, Any], listening: Sequence[str] = ()
) -> HttpApplication:
    """See `Server.http_app`.

    Args:
        server: The server.
        path: The MCP endpoint.
        options: See `HttpOptions`.
        listening: Names that are the server's own.
    """
    settings = Settings(**options, listening=listening)
    return HttpApplication(server, {_checked(path): StreamableEndpoint(settings)}, settings)


def _checked(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"the path {path!r} does not begin with a slash")
    return path.rstrip("/") or "/"
