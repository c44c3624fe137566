"""Closing a connection so that its peer can read what was sent last."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import trio

__all__ = ["linger"]

_MOST_BYTES: Final = 4 * 1024 * 1024


async def linger(stream: trio.abc.Stream) -> None:
    """End the sending side, and discard what the peer still sends, at most 4 MiB.

    A connection that is closed before all input was read is reset, and its peer may lose the answer
    that gives the reason. Returns at once if the stream cannot close one direction alone, as with
    TLS. The caller bounds the time.
    """
    if not isinstance(stream, trio.abc.HalfCloseableStream):
        return
    size = 0
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_eof()
        while size < _MOST_BYTES and (piece := await stream.receive_some()):
            size += len(piece)
