"""Receiving from a client."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Receive = Callable[[], Awaitable[bytes]]

__all__ = ["receiving"]

_READ_BYTES: Final = 64 * 1024

#: Whether `os.read` can read from a socket.
_CAN_READ: Final = sys.platform != "win32"


def receiving(stream: trio.abc.ReceiveStream) -> Receive:
    """How the bytes of a connection are received: empty at its end, also if it is lost.

    Args:
        stream: The connection.
    """
    if _CAN_READ and isinstance(stream, trio.SocketStream):
        return _Readable(stream.socket).receive

    async def receive() -> bytes:
        try:
            return bytes(await stream.receive_some(_READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    return receive


class _Readable:
    """A socket that is read when there is something to read.

    Trio's own method reads first and waits only where there is nothing. But a client that waits for
    an answer has sent nothing yet, so each request would pay for a system call that fails.
    """

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self._socket = socket

    async def receive(self) -> bytes:
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                return os.read(self._socket.fileno(), _READ_BYTES)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return b""
