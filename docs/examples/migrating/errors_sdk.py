"""Errors, made with the official SDK."""

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

mcp = MCPServer("stocks", version="1.0")


@mcp.tool()
async def take(count: int) -> int:
    """Fail with a text for the model."""
    raise ToolError(f"There are not {count} left. Take 3.")


@mcp.tool()
async def stumble() -> int:
    """Fail by mistake."""
    raise KeyError("a secret")


@mcp.tool()
async def close() -> int:
    """Fail with an error for the program that calls."""
    raise MCPError(4711, "It is closed already.", {"since": "Monday"})


if __name__ == "__main__":
    mcp.run()
