"""The stream below a WebSocket, of which several tasks know."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from trimcp.transports.websocket._stream import WatchedStream


async def nothing() -> None:
    return


async def test_what_is_sent_while_the_output_is_ended_comes_too_late() -> None:
    """Ending it takes a checkpoint, in which Trio lets nobody send."""
    ours, theirs = socket.socketpair()
    with theirs:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        async with stream, trio.open_nursery() as nursery:
            watched = WatchedStream(stream, nothing)

            async def send() -> None:
                # The other task is at its checkpoint now.
                with pytest.raises(trio.ClosedResourceError):
                    await watched.send_all(b"late")

            with stream._send_conflict_detector:
                nursery.start_soon(send)
                await trio.testing.wait_all_tasks_blocked()
