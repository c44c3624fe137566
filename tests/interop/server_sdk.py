"""A stdio server made with the official Python SDK, the peer of the client under test.

Usage: ``python server_sdk.py [handshake|stateless|both] [--backend asyncio|trio]``

``both`` (the default) lets the client's opening request choose the era of the connection.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.lowlevel import Server

ERAS = ("handshake", "stateless", "both")
STEP_SECONDS = 0.02
"""Between two steps of progress, so that each is read by itself: the TypeScript SDK's client
drops progress that arrives in one chunk with the answer."""


class Confirmation(BaseModel):
    """The form that `ask` sends."""

    ok: bool


class Cancellations:
    """How many calls of `forever` this process has seen cancelled."""

    def __init__(self) -> None:
        self.count = 0


async def question() -> Elicit[Confirmation]:
    """Ask in whichever way the era of the request has."""
    return Elicit("Go on?", Confirmation)


async def report_steps(steps: int, ctx: Context) -> None:
    """Send 1 … `steps`; the SDK stays silent when the caller gave no progress token."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await anyio.sleep(STEP_SECONDS)


def add_tools(server: MCPServer) -> None:
    """Register the tools that need no answer from the client."""

    @server.tool()
    async def add(a: int, b: int) -> int:
        """Add two integers."""
        return a + b

    @server.tool(structured_output=False)
    async def slow(ctx: Context) -> str:
        """Report three steps of progress."""
        await report_steps(3, ctx)
        return "done"

    @server.tool(structured_output=False)
    async def countdown(steps: int, ctx: Context) -> str:
        """Report so many steps."""
        await report_steps(steps, ctx)
        return "liftoff"

    @server.tool(structured_output=False)
    async def fail() -> str:
        """Fail, as a tool may."""
        raise ToolError("this tool always fails")

    @server.tool(structured_output=False)
    async def ask(
        answer: Annotated[ElicitationResult[Confirmation], Resolve(question)],
    ) -> str:
        """Ask the user yes or no."""
        return "yes" if isinstance(answer, AcceptedElicitation) and answer.data.ok else "no"


def add_cancellation(server: MCPServer) -> None:
    """Register a tool that never returns and one that tells how often it was cancelled."""
    seen = Cancellations()

    @server.tool(structured_output=False)
    async def forever() -> str:
        """Wait to be cancelled."""
        try:
            await anyio.sleep_forever()
        finally:
            seen.count += 1
        return "never"

    @server.tool(structured_output=False)
    async def cancelled() -> str:
        """Cancelled calls of forever."""
        return str(seen.count)


def create_server() -> MCPServer:
    """Build the server, with every tool registered."""
    server = MCPServer(
        "python-sdk-peer", version="1.0.0", instructions="A peer for interoperability tests."
    )
    add_tools(server)
    add_cancellation(server)
    return server


async def refuse_handshake(
    ctx: ServerRequestContext[Any, Any], call_next: CallNext
) -> HandlerResult:
    """Answer `initialize` as a server does that knows the stateless era only."""
    if ctx.method == "initialize":
        requested = str((ctx.params or {}).get("protocolVersion", ""))
        raise MCPError(
            UNSUPPORTED_PROTOCOL_VERSION,
            "this server has no handshake",
            {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": requested},
        )
    return await call_next(ctx)


async def serve_handshake(server: Server[Any]) -> None:
    """Serve the SDK's handshake-only loop."""
    async with server.lifespan(server) as state, stdio_server() as (read, write):
        options = server.create_initialization_options()
        await serve_loop(server, read, write, lifespan_state=state, init_options=options)


async def serve_both(server: Server[Any]) -> None:
    """Serve the SDK's usual loop, in which the client's opening request chooses the era."""
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def choose(era: str) -> tuple[Callable[[Server[Any]], Awaitable[None]], Server[Any]]:
    """Pair the server with the loop for `era`.

    The SDK has no switch for this: what it wraps is reached for, and a middleware refuses
    the handshake where only the stateless era is wanted.
    """
    server = create_server()._lowlevel_server
    if era == "handshake":
        return serve_handshake, server
    if era == "stateless":
        server.middleware.append(refuse_handshake)
    return serve_both, server


def main() -> None:
    """Read the arguments and serve until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("era", nargs="?", choices=ERAS, default="both")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    options = parser.parse_args()
    serve, server = choose(options.era)
    anyio.run(serve, server, backend=options.backend)


if __name__ == "__main__":
    main()
