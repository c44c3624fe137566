"""How `trimcp run --reload` passes its sockets to each process that serves.

The process that watches the files holds the sockets, so that no client is refused between the end
of one server and the start of the next.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
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
    """What the process that watches passes to a process that serves.

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
        """Shut the server down when the process that watches is gone, in any way.

        Args:
            server: The server.
            scope: Cancelled if the server does not serve yet.
        """
        await transports.wait_parent_gone(self.parent)
        if server.running is None:
            scope.cancel(reason="the process that watches is gone")
        else:
            server.shutdown()


def handed_on() -> HandedOn:
    """Take what was passed to this process, so that its own children do not inherit it."""
    given = HandedOn(**json.loads(os.environ.pop(RELOADED)))
    for descriptor in given.sockets:
        os.set_inheritable(descriptor, False)
    return given


async def start(
    command: Sequence[str], listeners: Sequence[trio.SocketListener], **options: Any
) -> trio.Process:
    """Start a process that serves on these sockets, which may be closed meanwhile.

    Args:
        command: The program and its arguments.
        listeners: The sockets on which it listens.
        options: As for `trio.lowlevel.open_process`.
    """
    await trio.lowlevel.checkpoint()
    with ExitStack() as stack:
        sockets = [os.dup(listener.socket.fileno()) for listener in listeners]
        for descriptor in sockets:
            stack.callback(os.close, descriptor)
        given = HandedOn(os.getpid(), sockets)
        return await trio.lowlevel.open_process(
            list(command),
            env={**os.environ, RELOADED: json.dumps(attrs.asdict(given))},
            pass_fds=sockets,
            **options,
        )
