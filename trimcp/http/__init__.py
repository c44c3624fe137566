"""The HTTP doors: ASGI applications for MCP, and serving them with hypercorn's trio worker."""

from ._making import make_http_app
from ._serving import Hosting, serve

__all__ = ["Hosting", "make_http_app", "serve"]
