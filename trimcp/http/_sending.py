"""Sending to a client: what has begun is sent whole, or the connection ends."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Sender"]

logger = logging.getLogger("trimcp.http")

#: Whether `os.write` can write to a socket.
_CAN_WRITE: Final = sys.platform != "win32"


class Sender:
    """Sends on one connection.

    A frame that is sent only in part, or left out, would break the connection for the other answers
    on it. So a send cannot be cancelled; only its deadline and `give_up` end it.

    Args:
        stream: The connection.
        seconds: How long the client may leave one piece of an answer unread.

    Attributes:
        seconds: See above.
        has_given_up: Whether nothing more is sent.
    """

    def __init__(self, stream: trio.abc.SendStream, seconds: float) -> None:
        self.has_given_up = False
        self._stream = stream
        self.seconds = seconds
        self._turn = trio.Lock()
        self._sending: trio.CancelScope | None = None
        self._descriptor: Callable[[], int] | None = None
        if _CAN_WRITE and isinstance(stream, trio.SocketStream):
            self._descriptor = stream.socket.fileno

    def give_up(self) -> None:
        """Stop sending: the client is gone, or its time is over."""
        self.has_given_up = True
        if self._sending is not None:
            self._sending.cancel(reason="the answer is not read any more")

    async def send(self, data: bytes) -> bool:
        """Send data. Returns whether all of it was sent; otherwise nothing more will be.

        No checkpoint if the system takes all of it at once, as it mostly does.
        """
        rest: bytes | memoryview = data
        if self._descriptor is not None and not self._turn.locked() and not self.has_given_up:
            try:
                written = os.write(self._descriptor(), data)
            except BlockingIOError:
                written = 0
            except OSError:
                self.has_given_up = True
                return False
            if written == len(data):
                return True
            rest = memoryview(data)[written:]
        is_sent = await self._send_slowly(rest)
        self.has_given_up = self.has_given_up or not is_sent
        return is_sent

    async def _send_slowly(self, data: bytes | memoryview) -> bool:
        """Send data while the client takes its time, after what is being sent."""
        if self.has_given_up:
            return False
        try:
            with trio.CancelScope(shield=True, relative_deadline=self.seconds) as scope:
                async with self._turn:
                    if self.has_given_up:
                        return False
                    self._sending = scope
                    try:
                        await self._stream.send_all(data)
                    finally:
                        self._sending = None
                return True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        if not self.has_given_up:
            logger.warning("a client read nothing for %g s: disconnected", self.seconds)
        return False
