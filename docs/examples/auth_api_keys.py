"""API keys instead of OAuth: a verifier of your own, or one that is given a few keys."""

import functools
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import trio

from trimcp import Context, InvalidToken, Principal, Server, open_http_client


class ApiKeys:
    """Keys that users have made on our site; the database holds their digests only."""

    database: sqlite3.Connection

    def __init__(self, path: str) -> None:
        self._path = path

    @asynccontextmanager
    async def opened(self, _: Server) -> AsyncIterator[None]:
        """Keep the database open while the server runs."""
        with closing(sqlite3.connect(self._path, check_same_thread=False)) as self.database:
            self.database.execute("CREATE TABLE IF NOT EXISTS keys (digest, user, scopes)")
            yield

    def add(self, key: str, user: str, scopes: str) -> None:
        """Let a user call us with a key."""
        row = (self._digest(key), user, scopes)
        self.database.execute("INSERT INTO keys VALUES (?, ?, ?)", row)

    @staticmethod
    def _digest(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()

    async def verify(self, token: str) -> Principal:
        """Judge one key; other requests go on meanwhile."""
        find = functools.partial(self._find, self._digest(token))
        row = await trio.to_thread.run_sync(find)
        if row is None:
            raise InvalidToken("the API key is not known")
        return Principal(row[0], scopes=row[1].split())

    def _find(self, digest: str) -> tuple[str, str] | None:
        query = "SELECT user, scopes FROM keys WHERE digest = ?"
        found: tuple[str, str] | None = self.database.execute(query, (digest,)).fetchone()
        return found


keys = ApiKeys(":memory:")
server = Server("keyed", version="1.0", lifespan=keys.opened, auth=keys)


@server.tool
async def who(ctx: Context) -> str:
    """Say who calls."""
    return "nobody" if ctx.principal is None else ctx.principal.subject


@server.tool(scopes={"delete"})
async def delete_all() -> str:
    """Delete everything."""
    return "deleted"


async def main() -> None:
    """Serve, and call the server with two keys."""
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(server.serve_http, "127.0.0.1", 0)
        keys.add("key-of-alice", "alice", "delete")
        keys.add("key-of-bob", "bob", "")
        for key in ("key-of-alice", "key-of-bob"):
            headers = {"Authorization": f"Bearer {key}"}
            async with open_http_client(f"{url}/mcp", headers=headers) as client:
                names = [tool.name for tool in await client.list_tools()]
                print((await client.call_tool("who")).content[0], names)
        server.shutdown()


if __name__ == "__main__":
    trio.run(main)
