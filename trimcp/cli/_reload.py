"""`trimcp run --reload`: serve in a child process, and in a new one whenever a file changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

__all__ = ["run_reloading"]

#: Seconds for requests in flight, and for the cleaning up, before a child is killed.
_GRACE: Final = 15.0

#: How long the watch may take to notice that it is not wanted any more.
_WATCH_MS: Final = 200


def run_reloading(file: str, command: Sequence[str]) -> int:
    """Serve until a signal comes.

    Args:
        file: The server's file: Python files in and below its directory are watched.
        command: Serves it, in a process of its own.
    """
    return trio.run(_reload, Path(file).resolve().parent, list(command))


async def _reload(directory: Path, command: list[str]) -> int:
    # The children are in a session of their own: the terminal's signals reach this process only,
    # which ends them in good order.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve_again_and_again, directory, command)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel(reason="a signal came")
    return 0


async def _serve_again_and_again(directory: Path, command: list[str]) -> None:
    _say(f"watching {directory}")
    async with aclosing(_changes(directory)) as changes:
        while True:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_serve, command)
                _say(f"{_names(await anext(changes))} changed: starting again")
                nursery.cancel_scope.cancel(reason="a file changed")


def _changes(directory: Path) -> AsyncGenerator[set[tuple[Any, str]], None]:
    # Only who reloads pays for loading it.
    import watchfiles

    return watchfiles.awatch(
        directory, watch_filter=watchfiles.PythonFilter(), rust_timeout=_WATCH_MS
    )


def _names(changes: set[tuple[Any, str]]) -> str:
    return ", ".join(sorted({os.path.relpath(path) for _, path in changes}))


async def _serve(command: list[str]) -> None:
    """One child, until it ends or is not wanted any more."""
    done = await trio.run_process(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        deliver_cancel=_end,
        start_new_session=True,
    )
    _say(f"the server ended with status {done.returncode}; waiting for a change")


async def _end(process: trio.Process) -> None:
    process.terminate()
    with trio.move_on_after(_GRACE):
        await process.wait()
    if process.returncode is None:
        process.kill()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
