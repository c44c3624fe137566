"""A relay between a client and a server that can cut one connection and leaves the others alone."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Relay:
    """Passes bytes on.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self._server_port = server_port
        self._passed: dict[trio.CancelScope, bytearray] = {}

    def cut(self, mark: bytes) -> int:
        """Cut every connection over which the client has sent this; how many there were."""
        found = [scope for scope, passed in self._passed.items() if mark in passed]
        for scope in found:
            scope.cancel()
        return len(found)

    async def serve(self, near: trio.SocketStream) -> None:
        """One connection of a client."""
        far = await trio.open_tcp_stream("127.0.0.1", self._server_port)
        try:
            async with trio.open_nursery() as nursery:
                self._passed[nursery.cancel_scope] = bytearray()
                nursery.start_soon(_pass_on, far, near, None)
                await _pass_on(near, far, self._passed[nursery.cancel_scope])
                nursery.cancel_scope.cancel()
            del self._passed[nursery.cancel_scope]
        finally:
            await trio.aclose_forcefully(far)
            await trio.aclose_forcefully(near)


async def _pass_on(
    source: trio.SocketStream, sink: trio.SocketStream, passed: bytearray | None
) -> None:
    try:
        async for data in source:
            if passed is not None:
                passed += data
            await sink.send_all(data)
        await sink.send_eof()
    except trio.BrokenResourceError:
        return


@asynccontextmanager
async def relayed(port: int) -> AsyncIterator[Relay]:
    """A relay in front of a port of this machine."""
    relay = Relay(port)
    async with trio.open_nursery() as nursery:
        listen = functools.partial(trio.serve_tcp, relay.serve, 0, host="127.0.0.1")
        listeners: Any = await nursery.start(listen)
        relay.port = listeners[0].socket.getsockname()[1]
        yield relay
        nursery.cancel_scope.cancel()
