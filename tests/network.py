"""A network inside one process: servers and clients find each other without ports.

Connections are pairs of real sockets, over which everything arrives at once; so it works with a
clock that jumps, and nothing depends on timing. Each connection may be given faults.
"""

from __future__ import annotations

import math
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import trio

from trimcp.testing import FaultyStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trimcp.testing import Faults

__all__ = ["HOST", "Network", "sockets"]

HOST: Final = "127.0.0.1"


def sockets() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Both ends of a connection."""
    ours, theirs = map(trio.socket.from_stdlib_socket, socket.socketpair())
    return trio.SocketStream(ours), trio.SocketStream(theirs)


class _Bound:
    """As much of a listening socket as is asked for its address."""

    def __init__(self, port: int) -> None:
        self._address = (HOST, port)

    def getsockname(self) -> tuple[str, int]:
        return self._address


class _Listener(trio.abc.Listener[trio.SocketStream]):
    def __init__(self, network: Network, port: int) -> None:
        self._network = network
        self.socket = _Bound(port)
        self.port = port
        self.arriving, self._accepting = trio.open_memory_channel[trio.SocketStream](math.inf)

    async def accept(self) -> trio.SocketStream:
        try:
            return await self._accepting.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self) -> None:
        self._network.forget(self.port)
        with suppress(trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            while True:
                self._accepting.receive_nowait().socket.close()
        self.arriving.close()
        self._accepting.close()
        await trio.lowlevel.checkpoint()


class Network:
    """Connects those who listen to those who connect, while `installed`.

    Args:
        nursery: Where the relays of faulty connections run.
        faults: The faults of a connection, by its number from 0 on: `sending` is what its client
            receives. None for a connection without a relay.

    Attributes:
        connections: How many there have been.
    """

    def __init__(
        self, nursery: trio.Nursery, faults: Callable[[int], Faults | None] = lambda _: None
    ) -> None:
        self._nursery = nursery
        self._faults = faults
        self._listeners: dict[int, _Listener] = {}
        self._relays: set[trio.CancelScope] = set()
        self.connections = 0

    @contextmanager
    def installed(self) -> Iterator[Network]:
        """In place of Trio's network.

        There is no TLS here; making its configuration anew for each HTTP client would take most of
        the time.
        """
        with (
            mock.patch("httpx2._transports.default.create_ssl_context", return_value=None),
            mock.patch.object(trio, "open_tcp_listeners", self._listen),
            mock.patch.object(trio, "open_tcp_stream", self._connect),
        ):
            yield self

    def cut(self) -> None:
        """Break all connections with faults; one that stalls tells of no end."""
        for scope in tuple(self._relays):
            scope.cancel(reason="the network was cut")

    async def _relay(self, near: trio.abc.Stream, far: trio.abc.Stream) -> None:
        with trio.CancelScope() as scope:
            self._relays.add(scope)
            try:
                await relay(near, far)
            finally:
                self._relays.discard(scope)

    def forget(self, port: int) -> None:
        """Nobody listens there any more."""
        self._listeners.pop(port, None)

    async def _listen(self, port: int, **_: Any) -> list[_Listener]:
        await trio.lowlevel.checkpoint()
        port = port or 50_000 + len(self._listeners)
        listener = self._listeners[port] = _Listener(self, port)
        return [listener]

    async def _connect(self, host: str, port: int, **_: Any) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        listener = self._listeners.get(port)
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        faults = self._faults(self.connections)
        self.connections += 1
        ours, theirs = sockets()
        if faults is not None:
            near = theirs
            far, theirs = sockets()
            self._nursery.start_soon(self._relay, FaultyStream(near, faults), far)
        listener.arriving.send_nowait(theirs)
        return ours


async def relay(near: trio.abc.Stream, far: trio.abc.Stream) -> None:
    """Pass on what comes from either side, until either ends or breaks; then both end."""

    async def pump(source: trio.abc.ReceiveStream, target: trio.abc.SendStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                await target.send_all(data)
        nursery.cancel_scope.cancel()

    async with near, far, trio.open_nursery() as nursery:
        nursery.start_soon(pump, near, far)
        nursery.start_soon(pump, far, near)
