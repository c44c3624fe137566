"""Hearing of the signals that end a server, from its first moment to its last."""

from __future__ import annotations

import signal
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["told_of_signals"]


@asynccontextmanager
async def told_of_signals(tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Tell of each SIGINT and SIGTERM, until this is left: also of those during a cleanup.

    Nothing is told in threads other than the main one, since Python has no signals there.

    Args:
        tell: Called with the signal's name.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What is inside may be cancelled from outside, and cleans up then; signals still matter. The
    # shield ends with what is inside.
    watching = trio.CancelScope(shield=True)

    async def watch(*, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received, watching:
            task_status.started()
            async for number in received:
                tell(signal.Signals(number).name)

    async with trio.open_nursery() as nursery:
        await nursery.start(watch)
        try:
            yield
        finally:
            watching.cancel(reason="nobody wants to hear of signals any more")
