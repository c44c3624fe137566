"""Several processes that serve the same thing, and tell each other's clients of changes."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import trio

from trimcp import (
    Change,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    Server,
    ToolsListChanged,
)

FILE = "votes.db"
TABLES = """
    CREATE TABLE IF NOT EXISTS changes (id INTEGER PRIMARY KEY AUTOINCREMENT, kind, uri);
    CREATE TABLE IF NOT EXISTS votes (choice);
"""


def execute(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(FILE)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def create_tables() -> None:
    with closing(sqlite3.connect(FILE)) as connection:
        connection.executescript(TABLES)


KINDS = {
    kind.__name__: kind
    for kind in (PromptsListChanged, ResourcesListChanged, ResourceUpdated, ToolsListChanged)
}


class FileBus:
    """Carries changes through a table that all processes look into."""

    async def publish(self, change: Change) -> None:
        uri = change.uri if isinstance(change, ResourceUpdated) else None
        insert = "INSERT INTO changes (kind, uri) VALUES (?, ?)"
        await trio.to_thread.run_sync(execute, insert, type(change).__name__, uri)
        forget = "DELETE FROM changes WHERE id <= (SELECT max(id) FROM changes) - 10000"
        await trio.to_thread.run_sync(execute, forget)

    async def run(
        self, deliver: Callable[[Change], None], *, task_status: trio.TaskStatus[None]
    ) -> None:
        await trio.to_thread.run_sync(create_tables)
        latest = "SELECT coalesce(max(id), 0) FROM changes"
        [(seen,)] = await trio.to_thread.run_sync(execute, latest)
        task_status.started()
        newer = "SELECT id, kind, uri FROM changes WHERE id > ? ORDER BY id"
        while True:
            for number, kind, uri in await trio.to_thread.run_sync(execute, newer, seen):
                deliver(KINDS[kind](*filter(None, [uri])))
                seen = number
            await trio.sleep(0.2)


server = Server("bus", version="1.0", bus=FileBus())


@server.resource("votes://{choice}")
def votes(choice: str) -> int:
    """How many votes there are for a choice."""
    [(number,)] = execute("SELECT count(*) FROM votes WHERE choice = ?", choice)
    return int(number)


@server.tool
async def vote(choice: str) -> None:
    """Vote, in any of the processes."""
    await trio.to_thread.run_sync(execute, "INSERT INTO votes VALUES (?)", choice)
    await server.notify_resource_updated(f"votes://{choice}")


if __name__ == "__main__":
    trio.run(server.serve_stdio)
