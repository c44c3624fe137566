"""Ctrl-C while a command is connected to a server.

The first one cancels what the command does and ends the connection in order, without waiting for an
answer. The second one kills the server's process and ends the command at once.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from ._errors import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Interrupts"]


class Interrupts:
    """The interrupts of one command.

    Args:
        kill: Ends the server's process at once, if it was started by the command.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self._has_come = False
        self._working: trio.CancelScope | None = None
        self._connecting = trio.CancelScope()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch for interrupts during all that a command does with a server.

        Raises:
            KeyboardInterrupt: There was an interrupt.
        """
        if threading.current_thread() is not threading.main_thread():
            # Python handles signals only in the main thread.
            yield
            return
        token = trio.lowlevel.current_trio_token()

        def hear(number: int, frame: object) -> None:
            if self._has_come:
                self._kill()
                os._exit(INTERRUPTED)
            self._has_come = True
            token.run_sync_soon(self._cancel)

        before = signal.signal(signal.SIGINT, hear)
        try:
            with self._connecting:
                yield
        finally:
            signal.signal(signal.SIGINT, before)
        if self._has_come:
            raise KeyboardInterrupt

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let an interrupt cancel what runs in the block, once there is a connection."""
        with trio.CancelScope() as self._working:
            if self._has_come:
                self._cancel()
            yield

    def _cancel(self) -> None:
        scope = self._connecting if self._working is None else self._working
        scope.cancel(reason="Ctrl-C")
