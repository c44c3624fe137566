"""The HTTP doors: ASGI applications for MCP, and serving them with hypercorn's trio worker."""

__all__: list[str] = []
