"""A peer that reads nothing more may still answer what it has read, and nothing else."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from trimcp import Client, ConnectionLost, RequestTimeout, open_stream_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Seconds in which a peer that reads nothing more may still end its output.
SOON = 1.0


@attrs.define(eq=False)
class Deaf(trio.abc.SendStream):
    """A stream that passes on what is sent, until it breaks; the other direction goes on.

    Attributes:
        inner: Where it passes it on to.
        is_broken: Whether the peer cannot get anything more.
        is_full: Whether the peer takes nothing more.
    """

    inner: trio.testing.MemorySendStream
    is_broken: bool = False
    is_full: bool = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_broken:
            raise trio.BrokenResourceError
        if self.is_full:
            await trio.sleep_forever()
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.inner.aclose()


@attrs.define(eq=False)
class Peer:
    """A server that is played by the test."""

    stream: trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
    sending: Deaf

    async def question(self) -> Any:
        """The next request."""
        line = b""
        while not line.endswith(b"\n"):
            line += await self.stream.receive_some()
        return json.loads(line)

    async def answer(self, request: Any, **result: Any) -> None:
        """Answer a request."""
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        await self.stream.send_all(json.dumps(answer).encode() + b"\n")


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Client, Peer]]:
    """A client of the handshake era, and its server."""
    near, far = trio.testing.memory_stream_pair()
    sending = Deaf(near.send_stream)
    peer = Peer(far, sending)

    async def greet() -> None:
        await peer.answer(
            await peer.question(),
            protocolVersion="2025-11-25",
            capabilities={"tools": {}},
            serverInfo={"name": "played", "version": "1"},
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(greet)
        stream = trio.StapledStream(sending, near.receive_stream)
        async with open_stream_client(stream, revision="2025-11-25", timeout=60) as client:
            await peer.question()  # that it is initialized
            yield client, peer


async def test_it_fails_soon_and_what_was_read_is_still_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pages = []

    async def list_tools(client: Client) -> None:
        pages.append(await client.list_tools())

    async with connected() as (client, peer), trio.open_nursery() as nursery:
        nursery.start_soon(list_tools, client)
        request = await peer.question()
        peer.sending.is_broken = True
        for _ in range(2):
            began = trio.current_time()
            with pytest.raises(ConnectionLost, match="reads nothing more") as caught:
                await client.ping()
            assert isinstance(caught.value.__cause__, trio.BrokenResourceError)
            assert trio.current_time() - began == SOON
        await peer.answer(request, tools=[])
        await trio.testing.wait_all_tasks_blocked()
        assert pages == [[]]


async def test_its_own_deadline_holds(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as (client, peer):
        peer.sending.is_broken = True
        for _ in range(2):
            with pytest.raises(RequestTimeout):
                await client.ping(timeout=SOON / 4)


async def test_the_end_of_the_output_says_more(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as (client, peer), trio.open_nursery() as nursery:

        async def end() -> None:
            await trio.sleep(SOON / 2)
            await peer.stream.send_stream.aclose()

        nursery.start_soon(end)
        peer.sending.is_broken = True
        with pytest.raises(ConnectionLost, match="the connection broke"):
            await client.ping()


async def test_a_cancelled_client_takes_its_leave_for_a_bounded_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with trio.CancelScope() as leaving:
        async with connected() as (client, peer), trio.open_nursery() as nursery:
            nursery.start_soon(client.list_tools)
            await peer.question()
            # Its cancellation of the call finds no room.
            peer.sending.is_full = True
            began = trio.current_time()
            leaving.cancel()
    assert leaving.cancelled_caught
    assert trio.current_time() - began <= 2 * SOON
