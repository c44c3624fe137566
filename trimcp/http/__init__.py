"""The HTTP doors: ASGI applications for MCP, and serving them with hypercorn's trio worker."""

from ._asgi import ASGIApp
from ._websocket import WebSocketApp, websocket_endpoint

__all__ = ["ASGIApp", "WebSocketApp", "websocket_endpoint"]
