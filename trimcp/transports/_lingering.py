"""Closing a connection so that its peer can read what was sent last."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import trio

__all__ = ["linger"]

_MOST_BYTES: Final = 4 * 1024 * 1024


async def linger(stream: trio.abc.Stream) -> None:
    """Say that nothing more is sent, and discard what the peer still sends, at most 4 MiB.

    A connection that is closed before all was read is reset, and its peer may lose the answer that
    says why. Returns at once where a stream cannot end in one direction, as with TLS. There is no
    bound of time: that is the caller's.
    """
    if not isinstance(stream, trio.abc.HalfCloseableStream):
        return
    size = 0
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_eof()
        while size < _MOST_BYTES and (piece := await stream.receive_some()):
            size += len(piece)
