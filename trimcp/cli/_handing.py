"""What `trimcp run --reload` hands on to each process that serves: its sockets.

The process that watches the files holds them, so that nobody is refused while one server ends and
the next one begins.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trimcp import transports

from ._options import RELOADED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimcp.server import Server

__all__ = ["HandedOn", "handed_on", "start"]


@attrs.frozen
class HandedOn:
    """What a process that serves got from the one that watches.

    Attributes:
        parent: The id of the process that watches.
        sockets: Descriptors of the listening sockets.
    """

    parent: int
    sockets: Sequence[int]

    @contextmanager
    def used(self) -> Iterator[None]:
        """Make servers listen on these sockets while the block runs."""
        with transports.listening_on(self.sockets):
            yield

    async def follow_parent(self, server: Server[Any], scope: trio.CancelScope) -> None:
        """Shut the server down once the process that watches is gone, however it ended.

        Args:
            server: What serves.
            scope: Cancelled if it does not serve yet.
        """
        await transports.wait_parent_gone(self.parent)
        if server.running is None:
            scope.cancel(reason="the process that watches is gone")
        else:
            server.shutdown()


def handed_on() -> HandedOn:
    """What this process got; processes that it starts itself do not inherit it."""
    given = HandedOn(**json.loads(os.environ.pop(RELOADED)))
    for descriptor in given.sockets:
        os.set_inheritable(descriptor, False)
    return given


async def start(
    command: Sequence[str], listeners: Sequence[trio.SocketListener], **options: Any
) -> trio.Process:
    """Start a process that serves on these sockets.

    Args:
        command: The program and its arguments.
        listeners: What it listens on.
        options: As for `trio.lowlevel.open_process`.
    """
    sockets = [listener.socket.fileno() for listener in listeners]
    given = HandedOn(os.getpid(), sockets)
    return await trio.lowlevel.open_process(
        list(command),
        env={**os.environ, RELOADED: json.dumps(attrs.asdict(given))},
        pass_fds=sockets,
        **options,
    )
