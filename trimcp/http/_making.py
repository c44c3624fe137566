"""Which endpoints the applications of a server have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._application import HttpApplication
from ._legacy import MessagesEndpoint, StreamEndpoint
from ._settings import Settings
from ._streamable import StreamableEndpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trimcp.runtime import Served

    from ._application import Endpoint

__all__ = ["make_asgi_app", "make_http_app", "make_sse_app"]

_MCP: Final = "/mcp"
_SSE: Final = "/sse"
_MESSAGES: Final = "/messages"
_WEBSOCKET: Final = "/ws"


def make_http_app(server: Served, path: str, options: Mapping[str, Any]) -> HttpApplication:
    """See `Server.http_app`."""
    settings = Settings(**options)
    return HttpApplication(server, {_checked(path): StreamableEndpoint(settings)}, settings)


def make_sse_app(server: Served, options: Mapping[str, Any]) -> HttpApplication:
    """See `Server.sse_app`."""
    settings = Settings(**options)
    if not settings.sessions:
        raise ValueError("HTTP+SSE is nothing but sessions: http_app() can do without")
    return HttpApplication(server, _legacy(settings), settings)


def make_asgi_app(
    server: Served, options: Mapping[str, Any], listening: Sequence[str] = ()
) -> HttpApplication:
    """See `Server.asgi_app`.

    Args:
        server: The server.
        options: See `HttpOptions`.
        listening: Names that are the server's own.
    """
    settings = Settings(**options, listening=listening)
    endpoints: dict[str, Endpoint] = {_MCP: StreamableEndpoint(settings)}
    if settings.sessions:
        endpoints |= _legacy(settings)
    return HttpApplication(server, endpoints, settings, websocket_path=_WEBSOCKET)


def _legacy(settings: Settings) -> dict[str, Endpoint]:
    return {_SSE: StreamEndpoint(settings, _MESSAGES), _MESSAGES: MessagesEndpoint()}


def _checked(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"the path {path!r} does not begin with a slash")
    return path.rstrip("/") or "/"
