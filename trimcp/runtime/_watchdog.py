"""Noticing a task that blocks the event loop: a thread asks the loop to answer, again and again.

It costs a running request nothing. The thread belongs to a block of code, and ends with it.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["watching_for_blocks"]

logger = logging.getLogger("trimcp.server")

#: Seconds to wait for the thread's end, which is delayed only while it writes to the log.
_END_SECONDS: Final = 1.0

#: How many of the innermost frames are shown.
_MOST_FRAMES: Final = 20

_TEXT: Final = (
    "the server has been blocked for %g s: no other request is served, and nothing can be "
    "cancelled. An async function must not block: write it as a plain `def`, which runs in a "
    "thread, or call what blocks with `await trio.to_thread.run_sync(...)`. It is here:\n%s"
)


@contextmanager
def watching_for_blocks(seconds: float) -> Iterator[None]:
    """Warn of whatever blocks this thread's event loop while the block of code runs.

    Args:
        seconds: How long; what takes a quarter more is noticed in all cases. With `math.inf` there
            is no thread.
    """
    if seconds == math.inf:
        yield
        return
    watchdog = _Watchdog(seconds)
    # A daemon, so that a log that cannot be written does not keep the process.
    thread = threading.Thread(target=watchdog.run, name="trimcp watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watchdog.stop()
        thread.join(_END_SECONDS)


class _Watchdog:
    """What the thread does; `stop` is called by the thread that it watches."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._token = trio.lowlevel.current_trio_token()
        self._watched = threading.get_ident()
        #: Set when the loop has answered, and when the thread has to end.
        self._news = threading.Event()
        self._is_over = False

    def stop(self) -> None:
        self._is_over = True
        self._news.set()

    def run(self) -> None:
        while True:
            self._news.clear()
            if self._is_over:
                return
            try:
                self._token.run_sync_soon(self._news.set)
            except trio.RunFinishedError:
                return
            if not self._news.wait(self._seconds):
                self._warn()
                self._news.wait()
            self._news.clear()
            if self._is_over:
                return
            self._news.wait(self._seconds / 4)

    def _warn(self) -> None:
        frame = sys._current_frames().get(self._watched)
        stack = "".join(traceback.format_stack(frame)[-_MOST_FRAMES:]).rstrip()
        del frame
        logger.warning(_TEXT, self._seconds, stack)
