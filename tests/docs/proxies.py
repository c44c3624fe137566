"""Programs of Debian that stand between clients and servers, with configurations of a page."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from tests.http.test_nginx import answered
from trimcp import Context, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

__all__ = ["Watched", "changed", "proxied", "tool"]

#: Where Debian has what a user's path may lack.
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"


def tool(name: str) -> str:
    """The path of a program; CI installs each of them."""
    found = shutil.which(name, path=_PATH)
    assert found is not None, f"install Debian's {name}, as .ci/run does"
    return found


def changed(text: str, changes: dict[str, str]) -> str:
    """What a page shows, with other addresses and files; each one must be there."""
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


@asynccontextmanager
async def proxied(command: Sequence[str], port: int, place: Path) -> AsyncIterator[None]:
    """A proxy that runs during the block.

    Args:
        command: The program and its arguments.
        port: Where it listens.
        place: Its home directory.
    """
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[trio.Process]) -> None:
            env = {**os.environ, "HOME": str(place), "XDG_DATA_HOME": str(place)}
            await trio.run_process(list(command), env=env, task_status=task_status)

        await nursery.start(run)
        with trio.fail_after(20):
            await answered(port)
        yield
        nursery.cancel_scope.cancel()


class Watched:
    """A server whose tool waits, and what became of its call."""

    def __init__(self, name: str = "watched") -> None:
        self.server = Server[Any](name)
        self.ended = trio.Event()

        @self.server.tool
        async def wait(ctx: Context) -> None:
            """Report progress, and wait."""
            try:
                await ctx.report_progress(1, 2, "half")
                await trio.sleep_forever()
            finally:
                self.ended.set()

        @self.server.tool
        async def who() -> str:
            """The name of the server."""
            return name
