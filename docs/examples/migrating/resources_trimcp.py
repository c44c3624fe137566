"""Resources and templates, made with trimcp."""

import trio

from trimcp import ResourceNotFound, Server

server = Server("users", version="1.0")

USERS = {1: "Ada", 2: "Grace"}


@server.resource("config://app")
def config() -> dict[str, str]:
    """The settings."""
    return {"theme": "dark"}


@server.resource("user://{number}")
async def user(number: int) -> str:
    """Who has this number."""
    if number not in USERS:
        raise ResourceNotFound(f"user://{number}")
    return USERS[number]


@server.resource("page://{+path}")
async def page(path: str) -> str:
    """A page, with slashes in its path."""
    return f"The page at {path}"


@server.resource("posts://{author}{?limit}")
async def posts(author: str, limit: int = 2) -> str:
    """Posts of an author."""
    return f"{limit} posts by {author}"


@server.resource("logo://small", mime_type="image/gif")
def logo() -> bytes:
    """A picture."""
    return b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"


if __name__ == "__main__":
    trio.run(server.serve_stdio)
