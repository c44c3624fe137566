"""Answering a handshake that somebody else has read: the stream is closed however that ends."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from tests.raw_websocket import KEY, TEXT, RawWebSocket, frame
from trimcp import HandshakeFailed, Limits
from trimcp.transports.websocket import answer_websocket


def answering(stream: trio.abc.Stream, *, rest: bytes = b"") -> Any:
    limits = Limits(header_seconds=3)
    return answer_websocket(stream, limits, KEY.encode(), None, rest=rest, peer="test")


async def is_closed(stream: trio.abc.Stream) -> bool:
    try:
        await stream.send_all(b"x")
    except trio.ClosedResourceError:
        return True
    return False


async def test_the_answer_comes_before_the_answers_to_what_was_received() -> None:
    near, far = memory_stream_pair()
    async with answering(far, rest=frame(TEXT, b"one") + frame(9, b"ping")) as channel:
        assert await channel.incoming.receive() == [b"one"]
        raw = RawWebSocket(near)
        status, headers = await raw.head()
        assert (status, headers["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        assert "sec-websocket-protocol" not in headers
        assert await raw.frame() == (10, b"ping")
    assert await is_closed(far)


async def test_who_does_not_read_the_answer(autojump_clock: MockClock) -> None:
    _, far = lockstep_stream_pair()
    with pytest.raises(HandshakeFailed, match="does not read"):
        async with answering(far):
            raise AssertionError("opened")
    assert trio.current_time() == 3
    assert await is_closed(far)


async def test_who_is_gone_already() -> None:
    near, far = memory_stream_pair()
    await near.aclose()
    with pytest.raises(HandshakeFailed):
        async with answering(far):
            raise AssertionError("opened")
    assert await is_closed(far)


async def test_a_server_that_ends_meanwhile(autojump_clock: MockClock) -> None:
    _, far = lockstep_stream_pair()
    with trio.move_on_after(1) as scope:
        async with answering(far):
            raise AssertionError("opened")
    assert scope.cancelled_caught
    assert trio.current_time() == 1
    assert await is_closed(far)
