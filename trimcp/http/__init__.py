"""The HTTP doors: ASGI applications for MCP, and serving them with hypercorn's trio worker."""

from ._asgi import ASGIApp
from ._making import make_asgi_app, make_http_app, make_sse_app
from ._serving import Hosting, serve, supervise
from ._sharing import check_sharing
from ._websocket import WebSocketApp, websocket_endpoint
from ._workers import assignment_for

__all__ = [
    "ASGIApp",
    "Hosting",
    "WebSocketApp",
    "assignment_for",
    "check_sharing",
    "make_asgi_app",
    "make_http_app",
    "make_sse_app",
    "serve",
    "supervise",
    "websocket_endpoint",
]
