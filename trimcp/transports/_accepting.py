"""Accepting connections for as long as it takes, also while the process has no descriptors left."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["accept_connections"]

logger = logging.getLogger("trimcp.transports")

#: The system has no room for a connection now, but may have some later.
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

#: Seconds until it is tried again.
_PAUSE: Final = 0.1


async def accept_connections(
    serve: Callable[[Any], Awaitable[object]],
    listeners: Sequence[trio.abc.Listener[Any]],
    nursery: trio.Nursery,
) -> None:
    """Serve each connection in a task, until cancelled. Closes the listeners at the end.

    Args:
        serve: Serves one.
        listeners: Where they come from.
        nursery: Where the tasks run.
    """
    patient = [_PatientListener(each) for each in listeners]
    await trio.serve_listeners(serve, patient, handler_nursery=nursery)


class _PatientListener(trio.abc.Listener[Any]):
    """A listener that waits while the system has no room for a connection, and says so once.

    `trio.serve_listeners` waits too, but writes an error with its traceback at every attempt.
    """

    def __init__(self, listener: trio.abc.Listener[Any]) -> None:
        self._listener = listener
        self._has_room = True

    async def accept(self) -> Any:
        while True:
            try:
                stream = await self._listener.accept()
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                if self._has_room:
                    logger.error("no connection can be accepted now: %s", error)
                self._has_room = False
                await trio.sleep(_PAUSE)
            else:
                if not self._has_room:
                    logger.warning("connections are accepted again")
                self._has_room = True
                return stream

    async def aclose(self) -> None:
        await self._listener.aclose()
