"""An HTTP server made with the official Python SDK, the peer of the client under test.

Usage: ``python http_server_sdk.py``

Serves on a free port, until it gets SIGTERM, and says ``http://HOST:PORT`` on standard output:
``/mcp`` is Streamable HTTP answered with streams, ``/json`` answered with JSON, ``/old`` the same
as a server that has never heard of the stateless era, and ``/sse`` HTTP with SSE.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer  # noqa: TC002 (read from annotations)
from server_sdk import create_server
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Receive, Scope, Send


def add_logging(server: MCPServer) -> None:
    """Register a tool that logs."""

    @server.tool(structured_output=False)
    async def chatty(ctx: Context) -> str:
        """Log three lines."""
        for number in range(3):
            await ctx.info(f"line {number}")
        return "said"


class NeverHeardOfIt:
    """Refuses what a server of the handshake era would not understand."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if b"mcp-method" in headers or headers.get(b"mcp-protocol-version") == b"2026-07-28":
            error = {"code": -32600, "message": "Bad Request: Missing session ID"}
            body = {"jsonrpc": "2.0", "id": "server-error", "error": error}
            await JSONResponse(body, 400)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def create_app() -> Starlette:
    """Four endpoints, each with a server of its own."""
    apps: dict[str, Any] = {}
    for path, is_json in (("/mcp", False), ("/json", True), ("/old", False)):
        server = create_server()
        add_logging(server)
        apps[path] = server.streamable_http_app(streamable_http_path=path, json_response=is_json)
    last = create_server()
    add_logging(last)
    apps["/sse"] = last.sse_app()

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for path in ("/mcp", "/json", "/old"):
                app = apps[path]
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    routes = [route for path in ("/mcp", "/json", "/sse") for route in apps[path].routes]
    return Starlette(
        routes=[*routes, Mount("/", NeverHeardOfIt(apps["/old"]))],
        lifespan=lifespan,
    )


def main() -> None:
    """Listen, say where, and serve."""
    # With its protocol named asyncio sends small pieces at once.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(create_app(), log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
