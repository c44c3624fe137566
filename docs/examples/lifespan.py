"""What a server has while it serves: a database, an HTTP client, tasks beside them, hooks."""

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2
import trio

from trimcp import Context, Server, ToolError

logger = logging.getLogger("lifespan")


class Database:
    """One SQLite connection, used by one worker thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        connection.set_progress_handler(_is_cancelled, 10_000)
        self._connection = connection
        self._limiter = trio.CapacityLimiter(1)

    async def fetch_all(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a statement. One that is cancelled is interrupted and rolled back."""
        return await trio.to_thread.run_sync(self._fetch_all, sql, values, limiter=self._limiter)

    def _fetch_all(self, sql: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        try:
            with self._connection:
                return [dict(row) for row in self._connection.execute(sql, values)]
        except sqlite3.OperationalError:
            trio.from_thread.check_cancelled()
            raise


def _is_cancelled() -> bool:
    """SQLite asks this every so many steps, in the worker thread, and stops if it is true."""
    try:
        trio.from_thread.check_cancelled()
    except trio.Cancelled:
        return True
    return False


@asynccontextmanager
async def open_database(path: str) -> AsyncIterator[Database]:
    connect = partial(sqlite3.connect, path, check_same_thread=False)
    connection = await trio.to_thread.run_sync(connect)
    try:
        database = Database(connection)
        await database.fetch_all("CREATE TABLE IF NOT EXISTS notes (title, text, day)")
        yield database
    finally:
        connection.close()


@dataclass
class App:
    db: Database
    http: httpx2.AsyncClient


@asynccontextmanager
async def lifespan(server: Server) -> AsyncIterator[App]:
    async with open_database("notes.db") as db, httpx2.AsyncClient(timeout=10) as http:
        yield App(db, http)


server = Server("lifespan", version="1.0", lifespan=lifespan)


@server.tool
async def query(sql: str, ctx: Context[App]) -> list[dict[str, Any]]:
    """Ask the database."""
    try:
        return await ctx.lifespan_context.db.fetch_all(sql)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise ToolError(f"SQLite: {error}") from error


@server.tool
async def save_page(url: str, ctx: Context[App]) -> int:
    """Keep a web page as a note; return how many notes there are."""
    try:
        response = await ctx.lifespan_context.http.get(url)
        response.raise_for_status()
    except httpx2.HTTPError as error:
        raise ToolError(f"{url}: {error}") from error
    await add_note(url, response.text)
    return await count_notes()


async def add_note(title: str, text: str) -> None:
    """Called by a tool, so `server.request_context` is that tool's context."""
    app = server.request_context.lifespan_context
    await app.db.fetch_all("INSERT INTO notes VALUES (?, ?, date('now'))", title, text)


async def count_notes() -> int:
    app = server.request_context.lifespan_context
    [row] = await app.db.fetch_all("SELECT count(*) AS number FROM notes")
    return int(row["number"])


@server.on_startup
async def announce() -> None:
    logger.info("ready")


@server.background_task
async def watch() -> None:
    """Needs nothing but the server."""
    while True:
        await trio.sleep(60)
        logger.info("%s", server.statistics())


@server.background_task
async def expire_notes(app: App) -> None:
    """Takes what the lifespan yielded."""
    while True:
        await app.db.fetch_all("DELETE FROM notes WHERE day < date('now', '-30 days')")
        await trio.sleep(3600)


@server.on_shutdown
async def say_goodbye(app: App) -> None:
    [row] = await app.db.fetch_all("SELECT count(*) AS number FROM notes")
    logger.info("done, with %d notes", row["number"])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    trio.run(server.serve_stdio)
