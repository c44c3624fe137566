"""What a server has while it serves: a database, a task beside it, hooks."""

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

import trio

from trimcp import Context, Server

logger = logging.getLogger("lifespan")


class Database:
    """A SQLite database, used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._limiter = trio.CapacityLimiter(1)

    async def execute(self, sql: str, *values: Any) -> list[Any]:
        return await trio.to_thread.run_sync(self._execute, sql, values, limiter=self._limiter)

    def _execute(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._connection:
            return self._connection.execute(sql, values).fetchall()


@dataclass
class App:
    database: Database


@asynccontextmanager
async def lifespan(server: Server) -> AsyncIterator[App]:
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
        database = Database(connection)
        await database.execute("CREATE TABLE visits (name TEXT, day TEXT)")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expire_visits, database)
            yield App(database)
            nursery.cancel_scope.cancel()


async def expire_visits(database: Database) -> None:
    """Needs the database, so the lifespan's own nursery runs it."""
    while True:
        await database.execute("DELETE FROM visits WHERE day < date('now', '-30 days')")
        await trio.sleep(3600)


server = Server("lifespan", version="1.0", lifespan=lifespan)


@server.on_startup
async def announce() -> None:
    logger.info("ready")


@server.background_task
async def watch() -> None:
    """Needs nothing but the server."""
    while True:
        await trio.sleep(60)
        logger.info("%s", server.statistics())


@server.on_shutdown
async def say_goodbye() -> None:
    logger.info("done")


@server.tool
async def visit(name: str, ctx: Context[App]) -> int:
    """Note a visit; return how many there were."""
    database = ctx.lifespan_context.database
    await database.execute("INSERT INTO visits VALUES (?, date('now'))", name)
    return await count(name)


async def count(name: str) -> int:
    """Called by a tool, so `server.request_context` is that tool's context."""
    database = server.request_context.lifespan_context.database
    [(number,)] = await database.execute("SELECT count(*) FROM visits WHERE name = ?", name)
    return int(number)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    trio.run(server.serve_stdio)
