"""Receiving the signals that end a server, during its whole life."""

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
    """Report each SIGINT and SIGTERM until the block ends, also while it cleans up.

    In threads other than the main thread nothing is reported, since Python has no signals there.

    Args:
        tell: Called with the signal's name.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # The block may be cancelled from outside and then clean up; signals are still needed then. The
    # shield ends with the block. (Not `nursery.start`, which a shielded task can block for ever if
    # it is cancelled.)
    watching = trio.CancelScope(shield=True)

    async def watch(received: AsyncIterator[int]) -> None:
        with watching:
            async for number in received:
                tell(signal.Signals(number).name)

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, received)
            try:
                yield
            finally:
                watching.cancel(reason="signals are not handled any more")
