"""Resources and templates, made with the official SDK."""

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError

mcp = MCPServer("users", version="1.0")

USERS = {1: "Ada", 2: "Grace"}


@mcp.resource("config://app", mime_type="application/json")
def config() -> dict[str, str]:
    """The settings."""
    return {"theme": "dark"}


@mcp.resource("user://{number}")
async def user(number: int) -> str:
    """Who has this number."""
    if number not in USERS:
        raise ResourceNotFoundError(f"Nobody has the number {number}.")
    return USERS[number]


@mcp.resource("page://{+path}")
async def page(path: str) -> str:
    """A page, with slashes in its path."""
    return f"The page at {path}"


@mcp.resource("posts://{author}{?limit}")
async def posts(author: str, limit: int = 2) -> str:
    """Posts of an author."""
    return f"{limit} posts by {author}"


@mcp.resource("logo://small", mime_type="image/gif")
def logo() -> bytes:
    """A picture."""
    return b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"


if __name__ == "__main__":
    mcp.run()
