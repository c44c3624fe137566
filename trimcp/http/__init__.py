"""The HTTP doors: ASGI applications for MCP, and serving them with hypercorn's trio worker."""

from ._asgi import ASGIApp
from ._websocket import WebSocketApp, refuse_websocket, websocket_endpoint

__all__ = ["ASGIApp", "WebSocketApp", "refuse_websocket", "websocket_endpoint"]
