"""The body of an HTTP request, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.transports import Budget

from ._refusals import Refused, no_room

if TYPE_CHECKING:
    from trimcp.limits import Limits
    from trimcp.protocol.http import Headers

    from ._asgi import Receive

__all__ = ["RequestBody"]

#: Seconds and bytes for which the rest of a refused body is read: were the connection closed at
#: once, its sender would not get to see why.
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 4 * 1024 * 1024

#: Pieces that are taken at most without letting others run.
_PIECES: Final = 64

_DISCONNECT: Final = "http.disconnect"

#: Seconds between two questions whether the client is gone, where the answers mean nothing.
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 1.0


class RequestBody:
    """A body that is being received.

    Args:
        receive: The ASGI callable.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_read = False
        self._pieces = 0
        self._budget = Budget()
        self._held = 0

    async def read(self, headers: Headers, limits: Limits, budget: Budget) -> bytes:
        """The whole body, which is held until `release`.

        Args:
            headers: The request's headers.
            limits: `message_bytes` and `body_seconds` are used.
            budget: Counts what has come of it.

        Raises:
            Refused: It is too long (413), takes too long (408), or there is no room for it (503).
            ConnectionError: The client went away before it was complete.
        """
        limit = limits.message_bytes
        declared = _declared_size(headers)
        if declared > limit:
            raise Refused(413, f"the body is longer than {limit} bytes")
        if declared > budget.room:
            raise no_room()
        self._budget = budget
        with trio.move_on_after(limits.body_seconds):
            return await self._read(limit)
        raise Refused(408, f"the body took longer than {limits.body_seconds:g} s")

    async def _read(self, limit: int) -> bytes:
        """Piece by piece, in one growing piece of memory: there may be very many."""
        body: bytes | bytearray = b""
        while not self._is_read:
            piece = await self._next()
            if self._held + len(piece) > limit:
                raise Refused(413, f"the body is longer than {limit} bytes")
            if not self._budget.take(len(piece)):
                raise no_room()
            self._held += len(piece)
            if not body:
                body = piece
                continue
            if isinstance(body, bytes):
                body = bytearray(body)
            body += piece
        return bytes(body)

    def release(self) -> None:
        """It is not held any more."""
        self._budget.give(self._held)
        self._held = 0

    async def _next(self) -> bytes:
        event = await self._receive()
        if event["type"] == _DISCONNECT:
            raise ConnectionResetError("the client went away")
        self._is_read = not event.get("more_body", False)
        piece: bytes = event.get("body", b"")
        self._pieces += 1
        if not self._is_read and (not piece or self._pieces % _PIECES == 0):
            # Middleware that has read the body already does not wait, and may never end.
            await trio.lowlevel.checkpoint()
        return piece

    async def wait_gone(self) -> None:
        """Wait until the client is gone, or its answer is complete.

        Middleware may repeat the body instead, once or for ever, and without waiting. So it is
        asked again after growing pauses.
        """
        pause = 0.0
        while (await self._receive())["type"] != _DISCONNECT:
            await trio.sleep(pause)
            pause = min(2 * pause + _FIRST_PAUSE, _LONGEST_PAUSE)

    async def linger(self) -> None:
        """Read and forget what is still coming, within bounds. Raises ConnectionError."""
        size = 0
        with trio.move_on_after(_LINGER_SECONDS):
            while not self._is_read and size < _LINGER_BYTES:
                size += len(await self._next())


def _declared_size(headers: Headers) -> int:
    size = headers.get("content-length", "0")
    return int(size) if size.isascii() and size.isdigit() else 0
