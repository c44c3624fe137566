"""Serving MCP over HTTP: ASGI applications, and running them in this process."""

from ._application import WebSocketApp, make_asgi_app, make_http_app, make_sse_app
from ._asgi import ASGIApp
from ._serving import Hosting, serve_http
from ._websocket import websocket_endpoint

__all__ = [
    "ASGIApp",
    "Hosting",
    "WebSocketApp",
    "make_asgi_app",
    "make_http_app",
    "make_sse_app",
    "serve_http",
    "websocket_endpoint",
]
