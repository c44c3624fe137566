"""Channels and streams with scripted faults."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import trio

from trimcp.transports import Oversized

from ._faults import Break, Faults, Script
from ._relay import BrokenOnPurpose, open_relay
from ._stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

    from trimcp.transports import Incoming, MessageChannel

    from ._stand_in import Served

__all__ = ["FaultyStream", "faulty", "open_faulty"]

T = TypeVar("T")


class _Gate:
    """Applies a script to one direction of a channel."""

    def __init__(self, script: Script) -> None:
        if script.chops:
            raise ValueError("Chop is about bytes: a channel carries whole messages")
        self._script = script

    async def before(self) -> None:
        await trio.lowlevel.checkpoint()
        end = self._script.end
        if isinstance(end, Break):
            raise BrokenOnPurpose(f"broken on purpose after {end.after} messages")
        if end is not None:
            await trio.sleep_forever()

    async def passed(self, message: Incoming) -> Sequence[Incoming]:
        await trio.sleep(self._script.delay)
        if isinstance(message, Oversized):
            return [message for _ in self._script.apply(b"", units=1)]
        return self._script.apply(message, units=1)


@asynccontextmanager
async def open_faulty(
    channel: MessageChannel, faults: Faults, *, outbox_bytes: int = 4 * 1024 * 1024
) -> AsyncIterator[MessageChannel]:
    """A channel to the same peer with faults. The script counts messages.

    Args:
        channel: The channel; from now on it is used only through the faulty one.
        faults: The faults.
        outbox_bytes: Bytes that may wait before the channel's own outbox.

    Raises:
        ValueError: One of the faults is about bytes.
    """
    sending, receiving = map(_Gate, faults.scripts())
    async with open_relay(
        channel, sending=sending, receiving=receiving, outbox_bytes=outbox_bytes
    ) as relay:
        yield relay


def faulty(server: Served, faults: Faults) -> StandIn:
    """Add faults between a server and each client in this process.

    Args:
        server: A `Server`, or a `StandIn` for one.
        faults: The faults, from the client's side; every connection begins the script again.

    Returns:
        A stand-in for the server, as for `recorded`.

    Raises:
        ValueError: One of the faults is about bytes.
    """
    for script in faults.scripts():
        _Gate(script)
    turned = Faults(sending=faults.receiving, receiving=faults.sending, seed=faults.seed)
    outbox_bytes = server.limits.outbox_bytes
    return StandIn(server, lambda channel: open_faulty(channel, turned, outbox_bytes=outbox_bytes))


class FaultyStream(trio.abc.Stream):
    """A byte stream with faults. The script counts bytes.

    Closing it closes the wrapped stream.

    Args:
        stream: The stream.
        faults: What goes wrong.
    """

    def __init__(self, stream: trio.abc.Stream, faults: Faults) -> None:
        self._stream = stream
        self._sending, self._receiving = faults.scripts()
        self._came = b""
        self._ready = b""
        self._broken: str | None = None
        self._over = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As any stream. Raises trio.BrokenResourceError where the script breaks it."""
        rest = bytes(data)
        await self._before(self._sending)
        while rest:
            size = self._sending.alike(len(rest))
            await self._wait(self._sending.delay)
            piece, rest = rest[:size], rest[size:]
            for each in self._sending.apply(piece, units=size):
                await self._checked(self._stream.send_all(each))
            await self._before(self._sending)

    async def wait_send_all_might_not_block(self) -> None:
        """As any stream."""
        await self._checked(self._stream.wait_send_all_might_not_block())

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As any stream. Raises trio.BrokenResourceError where the script breaks it."""
        await trio.lowlevel.checkpoint()
        while not self._ready:
            await self._before(self._receiving)
            if not self._came:
                self._came = bytes(await self._checked(self._stream.receive_some(max_bytes)))
                if not self._came:
                    return b""
            size = self._receiving.alike(len(self._came))
            await self._wait(self._receiving.delay)
            piece, self._came = self._came[:size], self._came[size:]
            self._ready = b"".join(self._receiving.apply(piece, units=size))
        limit = max_bytes or len(self._ready)
        data, self._ready = self._ready[:limit], self._ready[limit:]
        return data

    async def aclose(self) -> None:
        """Close it and the wrapped stream."""
        self._over.set()
        await self._stream.aclose()

    async def _before(self, script: Script) -> None:
        """Break or stall if the script says so now."""
        await trio.lowlevel.checkpoint()
        self._check()
        end = script.end
        if isinstance(end, Break):
            self._broken = f"broken on purpose after {end.after} bytes"
            self._over.set()
            await trio.aclose_forcefully(self._stream)
        elif end is not None:
            await self._over.wait()
        self._check()

    async def _wait(self, seconds: float) -> None:
        """Wait, unless the stream is closed meanwhile."""
        with trio.move_on_after(seconds):
            await self._over.wait()
        self._check()

    def _check(self) -> None:
        if self._broken is not None:
            raise BrokenOnPurpose(self._broken)
        if self._over.is_set():
            raise trio.ClosedResourceError

    async def _checked(self, operation: Awaitable[T]) -> T:
        try:
            return await operation
        except trio.ClosedResourceError:
            # The other direction broke it while this one was in progress.
            self._check()
            raise
