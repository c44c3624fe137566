"""Your site knows its users already: its Starlette middleware says who they are.

hypercorn -k trio docs/examples/auth_starlette.py:site
"""

import functools

import trio
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    BaseUser,
    SimpleUser,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from trimcp import Context, Forbidden, Server, open_http_client
from trimcp.types import TextResourceContents

server = Server("members", version="1.0")

#: What stands in a real site's table of sessions.
MEMBERS = {"key-of-alice": "alice", "key-of-bob": "bob"}


class Keys(AuthenticationBackend):
    """Knows members by the key in a header."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        name = MEMBERS.get(conn.headers.get("x-member-key", ""))
        return None if name is None else (AuthCredentials(["authenticated"]), SimpleUser(name))


@server.resource("user://{id}")
async def get_user(id: str, ctx: Context) -> dict[str, str]:
    """What is known of a member; for themselves only."""
    user: BaseUser | None = None if ctx.http_scope is None else ctx.http_scope["user"]
    if user is None or not user.is_authenticated or user.display_name != id:
        raise Forbidden("not yours")
    return {"id": id, "name": f"User {id}"}


site = Starlette(
    routes=[Mount("/", app=server.asgi_app())],
    middleware=[Middleware(AuthenticationMiddleware, backend=Keys())],
    lifespan=server.asgi_lifespan,
)


async def main() -> None:
    """Serve the site in this process, and call it as alice, as bob, and as nobody."""
    async with trio.open_nursery() as nursery:
        serve = functools.partial(server.serve_http, "127.0.0.1", 0, app=site)
        [url] = await nursery.start(serve)
        for key in [*MEMBERS, "no such key"]:
            headers = {"X-Member-Key": key}
            async with open_http_client(f"{url}/mcp", headers=headers) as client:
                try:
                    result = await client.read_resource("user://alice")
                except Forbidden as error:
                    print(f"{key}: {error.message}")
                else:
                    content = result.contents[0]
                    assert isinstance(content, TextResourceContents)
                    print(f"{key}: {content.text}")
        server.shutdown()


if __name__ == "__main__":
    trio.run(main)
