"""Pairs of connected ends over every transport that runs in one process."""

from __future__ import annotations

import math
import os
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio
import trio.testing

from trimcp.http._websocket import _open_channel as open_asgi_channel
from trimcp.testing import end_of
from trimcp.transports import (
    MessageChannel,
    addresses_of,
    open_memory_channels,
    open_stream_channel,
    open_tcp_listeners,
    open_unix_stream,
    unix_listener,
)
from trimcp.transports._stdio import DescriptorStream
from trimcp.transports.websocket import WebSocketAddress, accept_websocket, connect_websocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from trimcp.limits import Limits
    from trimcp.transports.websocket import Upgrade

    Ends: TypeAlias = tuple[
        AbstractAsyncContextManager[MessageChannel], AbstractAsyncContextManager[MessageChannel]
    ]
    OpenPair: TypeAlias = Callable[[Limits], AbstractAsyncContextManager[Ends]]


def over(one: trio.abc.Stream, other: trio.abc.Stream, limits: Limits) -> Ends:
    """Line-framed ends over two connected streams."""
    return (
        open_stream_channel(one, limits, peer="one"),
        open_stream_channel(other, limits, peer="other"),
    )


@asynccontextmanager
async def memory(limits: Limits) -> AsyncIterator[Ends]:
    """The transport of `open_memory_client`."""
    async with open_memory_channels(limits) as (first, second):
        yield end_of(first), end_of(second)


@asynccontextmanager
async def memory_streams(limits: Limits) -> AsyncIterator[Ends]:
    """Streams without a bound of their own, so each is given one by lock-step."""
    yield over(*trio.testing.lockstep_stream_pair(), limits)


@asynccontextmanager
async def tcp(limits: Limits) -> AsyncIterator[Ends]:
    """A connection over the loopback interface."""
    (listener,) = await open_tcp_listeners("127.0.0.1", 0)
    async with listener:
        ((host, port),) = addresses_of([listener])
        client = await trio.open_tcp_stream(host, port)
        server = await listener.accept()
    yield over(client, server, limits)


@asynccontextmanager
async def unix(limits: Limits) -> AsyncIterator[Ends]:
    """A connection over a socket file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "socket")
        with unix_listener(path) as listener:
            async with listener:
                client = await open_unix_stream(path)
                server = await listener.accept()
        yield over(client, server, limits)


@asynccontextmanager
async def pipes(limits: Limits) -> AsyncIterator[Ends]:
    """Two pipes, as standard input and output are, with blocking descriptors."""
    one_in, other_out = os.pipe()
    other_in, one_out = os.pipe()
    yield over(DescriptorStream(one_in, one_out), DescriptorStream(other_in, other_out), limits)


@asynccontextmanager
async def websocket(limits: Limits) -> AsyncIterator[Ends]:
    """A WebSocket over the loopback interface."""
    # The clock may jump here, and a peer that seems silent for long must not be given up.
    limits = attrs.evolve(limits, heartbeat_seconds=math.inf)
    (listener,) = await open_tcp_listeners("127.0.0.1", 0)
    async with listener:
        ((host, port),) = addresses_of([listener])
        address = WebSocketAddress.parse(f"ws://{host}:{port}/")
        # Before the server accepts: the system does that already.
        client = connect_websocket(address, limits, timeout=math.inf)
        yield client, accepted(listener, limits)


async def admit_all(_: Upgrade) -> None:
    """Refuse nobody."""


@asynccontextmanager
async def accepted(listener: trio.SocketListener, limits: Limits) -> AsyncIterator[MessageChannel]:
    """The server's end of the next connection."""
    limits = attrs.evolve(limits, header_seconds=math.inf)
    stream = await listener.accept()
    async with accept_websocket(stream, limits, admit_all, peer="client") as channel:
        yield channel


class AsgiSocket:
    """One side of a WebSocket as an ASGI server shows it, connected to another such side."""

    def __init__(self) -> None:
        self.feed, self._events = trio.open_memory_channel[dict[str, Any]](1)
        self.other: AsgiSocket

    async def receive(self) -> dict[str, Any]:
        try:
            return await self._events.receive()
        except trio.EndOfChannel:
            return {"type": "websocket.disconnect", "code": 1001}

    async def send(self, event: dict[str, Any]) -> None:
        if event["type"] == "websocket.close":
            self.other.feed.close()
            self.feed.close()
            return
        # Who sends to somebody that is gone learns nothing: the event is lost.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.other.feed.send({"type": "websocket.receive", "text": event["text"]})


@asynccontextmanager
async def asgi(limits: Limits) -> AsyncIterator[Ends]:
    """What `websocket_endpoint` uses, on both ends."""
    one, other = AsgiSocket(), AsgiSocket()
    one.other, other.other = other, one
    yield (
        open_asgi_channel(limits, one.receive, one.send),
        open_asgi_channel(limits, other.receive, other.send),
    )


PAIRS: dict[str, OpenPair] = {
    "memory": memory,
    "memory streams": memory_streams,
    "tcp": tcp,
    "unix": unix,
    "pipes": pipes,
    "websocket": websocket,
    "asgi": asgi,
}
