"""The chunks of a streaming tool, between the connection's reader and their consumer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from trimcp.transports import Pace

__all__ = ["Chunks"]


class Chunks:
    """A bounded queue that holds a producer in the same process back to the consumer's speed.

    Args:
        room: How many chunks may wait to be taken.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._send, self._receive = trio.open_memory_channel[Any](room)
        self._pace: Pace | None = None
        self._stream: int | str = 0

    # -- for the caller --------------------------------------------------------------------

    def begin(self, pace: Pace | None, stream: int | str) -> None:
        """Take chunks for this stream from now on; each round of the call has another one.

        Args:
            pace: Holds the producer back; None if it is in another process.
            stream: The name by which the producer knows the stream.
        """
        self._leave()
        self._pace, self._stream = pace, stream
        if pace is not None:
            pace.open(stream, self._room - self._receive.statistics().current_buffer_used)

    def end(self) -> None:
        """Accept no more chunks: `take` gives those that wait, and then ends."""
        self._leave()
        self._send.close()

    def _leave(self) -> None:
        if self._pace is not None:
            self._pace.close(self._stream)

    # -- for the reader -------------------------------------------------------------------

    def send_nowait(self, chunk: Any) -> None:
        """Add a chunk. Raises trio.WouldBlock, or trio.BrokenResourceError if none are taken."""
        self._send.send_nowait(chunk)

    async def send(self, chunk: Any) -> None:
        """Add a chunk, waiting for room. Raises trio.BrokenResourceError if none are taken."""
        await self._send.send(chunk)

    # -- for the consumer -----------------------------------------------------------------

    async def take(self) -> Any:
        """Return the next chunk. Raises trio.EndOfChannel."""
        chunk = await self._receive.receive()
        self._make_room()
        return chunk

    def take_nowait(self) -> Any:
        """Return a chunk that waits. Raises trio.WouldBlock, trio.EndOfChannel."""
        chunk = self._receive.receive_nowait()
        self._make_room()
        return chunk

    def _make_room(self) -> None:
        if self._pace is not None:
            self._pace.grant(self._stream)

    def leave(self) -> None:
        """Stop taking chunks."""
        self._leave()
        self._receive.close()
