"""Newline-delimited messages over any Trio stream.

Specification: 2026-07-28, stdio; the same framing is used for TCP and Unix sockets, as Custom
Transports recommends.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from trimcp._groups import unwrapping

from ._budget import Budget
from ._channel import Incoming, MessageChannel, Outbox, Oversized, write_out
from ._partial import PartialMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp.limits import Limits

__all__ = ["LineSplitter", "open_stream_channel"]

_CHUNK = 64 * 1024

#: The beginning of a message, which is an object or an array of objects, or a part of this
#: beginning.
_MAY_BE_MESSAGE: Final = re.compile(
    rb"(?:\xef(?:\xbb(?:\xbf|$)|$))?\s*(?:$|\[\s*(?:$|(?=\{)))?(?:\{\s*(?:$|[\"}])|$)"
)


class LineSplitter:
    """Splits a byte stream into lines.

    Args:
        limit: The maximum length of a line, in bytes. A longer one is skipped to its end.
        budget: Counts the bytes of a line that has not ended.
    """

    def __init__(self, limit: int, budget: Budget | None = None) -> None:
        self._limit = limit
        self._partial = PartialMessage(limit, budget or Budget())

    def feed(self, data: bytes) -> list[Incoming]:
        """Take some bytes; return the lines they complete, without blank ones."""
        *complete, rest = data.split(b"\n")
        lines: list[Incoming] = []
        for piece in complete:
            self._finish(piece, lines)
        if rest:
            self._partial.add(rest)
        return lines

    def end(self) -> list[Incoming]:
        """The stream has ended: bytes after the last newline are a line too."""
        lines: list[Incoming] = []
        self._finish(b"", lines)
        return lines

    def close(self) -> None:
        """Forget the line that has not ended."""
        self._partial.close()

    @property
    def stray(self) -> bytes:
        """The beginning of the line that has not ended, if it cannot become a message."""
        if not self._partial.size:
            return b""
        head = self._partial.head
        return b"" if _MAY_BE_MESSAGE.match(head) else head

    def _finish(self, piece: bytes, lines: list[Incoming]) -> None:
        line: Incoming = piece
        if self._partial.size or len(piece) > self._limit:
            self._partial.add(piece)
            line = self._partial.finish()
        if isinstance(line, Oversized) or (line and not line.isspace()):
            lines.append(line)


@asynccontextmanager
async def open_stream_channel(
    stream: trio.abc.Stream,
    limits: Limits,
    *,
    peer: str,
    drains: bool = False,
    farewell: float = 0.0,
    budget: Budget | None = None,
) -> AsyncIterator[MessageChannel]:
    """A message channel over a byte stream, which is closed at the end.

    Args:
        stream: Any bidirectional Trio stream.
        limits: `message_bytes` and `outbox_bytes` are used.
        peer: A name for logs.
        drains: See `MessageChannel`.
        farewell: Seconds to write what is sent after the caller was cancelled.
        budget: Counts the bytes that it holds; by default a new one for this channel.
    """
    budget = budget or Budget.of(limits)
    feed, incoming = trio.open_memory_channel[list[Incoming]](1)
    channel = MessageChannel(incoming, Outbox(limits.outbox_bytes, budget), peer, drains)
    splitter = LineSplitter(limits.message_bytes, budget)

    async def deliver(batch: list[bytes]) -> None:
        await stream.send_all(b"\n".join([*batch, b""]))

    with unwrapping() as whole:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_in, stream, channel, feed, splitter)
            nursery.start_soon(write_out, channel, deliver, farewell)
            try:
                with whole.block():
                    yield channel
            finally:
                channel.outbox.close()
                # In a cancelled scope this raises Cancelled; what the block has raised comes out
                # nevertheless.
                await trio.aclose_forcefully(stream)
                nursery.cancel_scope.cancel(reason="the connection was closed")


async def _read_in(
    stream: trio.abc.Stream,
    channel: MessageChannel,
    feed: trio.MemorySendChannel[list[Incoming]],
    splitter: LineSplitter,
) -> None:
    """The reader: pass on complete lines until the stream ends."""
    with feed:
        try:
            while data := await stream.receive_some(_CHUNK):
                if lines := splitter.feed(bytes(data)):
                    await _pass_on(lines, feed)
                channel.note_stray(splitter.stray)
            if lines := splitter.end():
                await feed.send(lines)
        except (trio.BrokenResourceError, OSError) as error:
            channel.failure = channel.failure or error
        except trio.ClosedResourceError:
            pass
        finally:
            splitter.close()


async def _pass_on(lines: list[Incoming], feed: trio.MemorySendChannel[list[Incoming]]) -> None:
    """Pass on lines. A checkpoint only if there is no room, since reading is one anyway."""
    try:
        feed.send_nowait(lines)
    except trio.WouldBlock:
        await feed.send(lines)
