"""`trimcp run --reload`: serve in a child process, and in a new one whenever a file changes.

::

    watch        holds the listening sockets, receives signals and changes of files
    └── child    `trimcp run`, which serves on these sockets; ends when the watch is gone
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.transports import open_tcp_listeners, unix_listener

from ._errors import CommandError, reason
from ._handing import start

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

    from ._options import Address

__all__ = ["run_reloading"]

#: Seconds for requests in flight and for the cleanup, before a child is killed.
_GRACE: Final = 15.0

#: The same after a second signal, which ends the requests at once.
_HURRY: Final = 3.0

#: How often the watch checks whether it should stop, in milliseconds.
_WATCH_MS: Final = 200


def run_reloading(
    file: str,
    command: Sequence[str],
    where: Address | str,
    say: Callable[[str], None],
    beside: Callable[[Address], Awaitable[None]] | None = None,
) -> int:
    """Serve until a signal comes.

    Args:
        file: The server's file: Python files in and below its directory are watched.
        command: The command that serves it, in a separate process.
        where: The host and port to listen on, or the path of a Unix socket.
        say: Tells the user what happens.
        beside: What runs meanwhile, given the host and port that are listened on; it is cancelled
            at the end.

    Raises:
        CommandError: The address cannot be bound.
    """
    return trio.run(_reload, Path(file).resolve().parent, list(command), where, say, beside)


async def _reload(
    directory: Path,
    command: list[str],
    where: Address | str,
    say: Callable[[str], None],
    beside: Callable[[Address], Awaitable[None]] | None,
) -> int:
    # The children are in a separate session: the terminal's signals reach this process only, which
    # ends them in order.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with AsyncExitStack() as stack:
            listeners = await _listeners(where, stack)
            async with trio.open_nursery() as nursery:
                child = _Child(command, listeners, say)
                nursery.start_soon(_end_at_signals, signals, child)
                if beside is not None:
                    nursery.start_soon(beside, listeners[0].socket.getsockname()[:2])
                await child.serve(directory)
                nursery.cancel_scope.cancel(reason="the last child has ended")
    return 0


async def _listeners(where: Address | str, stack: AsyncExitStack) -> list[trio.SocketListener]:
    """Bind the sockets; they are closed with the stack. Raises CommandError."""
    try:
        if isinstance(where, str):
            return [stack.enter_context(unix_listener(where))]
        listeners = await open_tcp_listeners(*where)
    except OSError as error:
        name = where if isinstance(where, str) else ":".join(map(str, where))
        raise CommandError(f"cannot serve {name}: {reason(error)}") from error
    for listener in listeners:
        await stack.enter_async_context(listener)
    return listeners


async def _end_at_signals(signals: AsyncIterator[int], child: _Child) -> None:
    """End the child in order after the first signal, and at once after the second one."""
    await anext(signals)
    child.stop()
    await anext(signals)
    await child.hurry()


class _Child:
    """The processes that serve, one after another.

    Args:
        command: The command of the process.
        listeners: The sockets on which it serves.
        say: Tells the user what happens.
    """

    def __init__(
        self,
        command: list[str],
        listeners: Sequence[trio.SocketListener],
        say: Callable[[str], None],
    ) -> None:
        self._command = command
        self._listeners = listeners
        self._say = say
        self._scope = trio.CancelScope()
        self._process: trio.Process | None = None

    def stop(self) -> None:
        """Stop serving: `serve` returns when the child has ended; new connections are refused."""
        self._scope.cancel(reason="a signal came")
        # Whoever still waited for a connection would fail, and not be cancelled.
        for listener in self._listeners:
            listener.socket.close()

    async def hurry(self) -> None:
        """End the child without waiting for its requests, and kill it if it hangs."""
        process = self._process
        if process is not None:
            process.terminate()
            with trio.move_on_after(_HURRY):
                await process.wait()
            process.kill()

    async def serve(self, directory: Path) -> None:
        """Serve, and again after each change in a directory, until stopped."""
        self._say(f"watching {directory}")
        with self._scope:
            async with aclosing(_changes(directory)) as changes:
                while True:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._serve_once)
                        self._say(f"{_names(await anext(changes))} changed: starting again")
                        nursery.cancel_scope.cancel(reason="a file changed")

    async def _serve_once(self) -> None:
        """Run one child until it ends or is cancelled."""
        process = await start(
            self._command, self._listeners, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._process = process
        try:
            await process.wait()
        finally:
            # The sockets stay open, so clients that connect meanwhile wait for the next child.
            with trio.CancelScope(shield=True, relative_deadline=_GRACE + _HURRY):
                await _end(process)
            self._process = None
        self._say(f"the server ended with status {process.returncode}; waiting for a change")
        async with trio.open_nursery() as nursery:
            for listener in self._listeners:
                nursery.start_soon(_refuse, listener)


async def _end(process: trio.Process) -> None:
    if process.returncode is None:
        process.terminate()
        with trio.move_on_after(_GRACE):
            await process.wait()
        process.kill()
    await process.wait()


async def _refuse(listener: trio.SocketListener) -> None:
    """Accept and close connections while no server runs, so that no client waits."""
    while True:
        await trio.aclose_forcefully(await listener.accept())


def _changes(directory: Path) -> AsyncGenerator[set[tuple[Any, str]], None]:
    # Loaded late, since only `--reload` needs it.
    import watchfiles

    return watchfiles.awatch(
        directory, watch_filter=watchfiles.PythonFilter(), rust_timeout=_WATCH_MS
    )


def _names(changes: set[tuple[Any, str]]) -> str:
    return ", ".join(sorted({os.path.relpath(path) for _, path in changes}))
