"""Resources: fixed ones, templates, binary ones, files, completion."""

from dataclasses import dataclass
from pathlib import Path

import trio

from trimcp import ResourceNotFound, Server
from trimcp.types import TextResourceContents

HERE = Path(__file__).parent

server = Server("resources", version="1.0", list_ttl_ms=60_000, list_scope="public")


@server.resource("config://app")
def config() -> dict[str, str]:
    """The settings."""
    return {"theme": "dark", "language": "en"}


@dataclass
class User:
    id: int
    name: str


USERS = {1: "Ada", 2: "Grace"}


@server.resource("user://{id}")
async def user(id: int) -> User:
    """Who has this number."""
    if id not in USERS:
        raise ResourceNotFound(f"user://{id}")
    return User(id, USERS[id])


@server.completion("id", resource="user://{id}")
async def complete_id(value: str) -> list[str]:
    return [str(number) for number in USERS if str(number).startswith(value)]


@server.resource("posts://{author}{?limit}", mime_type="text/markdown")
async def posts(author: str, limit: int = 2) -> list[TextResourceContents]:
    """The latest posts, each as contents of its own."""
    return [
        TextResourceContents(f"post://{author}/{number}", f"# Post {number}", "text/markdown")
        for number in range(1, limit + 1)
    ]


@server.resource("logo://small", mime_type="image/gif", ttl_ms=3_600_000, cache_scope="public")
def logo() -> bytes:
    """A picture, which clients may keep for an hour."""
    return b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"


server.add_file("source://resources.py", __file__, title="This program")
server.add_directory("examples://all", HERE)


if __name__ == "__main__":
    trio.run(server.serve_stdio)
