"""Any split of any messages into fragments, and of those into packets, arrives as the messages."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from tests.raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    frame,
    upgrade,
)
from trimcp import Limits
from trimcp.transports import Budget, Incoming, Oversized, PartialMessage
from trimcp.transports.websocket import Upgrade, accept_websocket, answer_websocket

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 40


def pieces(data: bytes, cuts: Sequence[float]) -> list[bytes]:
    """The data, cut at these parts of its length."""
    places = sorted(int(cut * len(data)) for cut in cuts)
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def expected(data: bytes) -> Incoming:
    return data if len(data) <= LIMIT else Oversized(len(data))


CUTS = st.lists(st.floats(0, 1), max_size=6)
MESSAGES = st.lists(st.tuples(st.text(max_size=80).map(str.encode), CUTS), max_size=6)


@given(MESSAGES)
def test_assembly(messages: list[tuple[bytes, list[float]]]) -> None:
    partial = PartialMessage(LIMIT, Budget())
    for data, cuts in messages:
        for piece in pieces(data, cuts):
            partial.add(piece)
        assert partial.finish() == expected(data)


@given(st.binary(min_size=LIMIT + 1, max_size=1000), CUTS)
def test_the_head_of_what_is_skipped(data: bytes, cuts: list[float]) -> None:
    """It tells which request it was, however it was cut."""
    partial = PartialMessage(LIMIT, Budget())
    for piece in pieces(data, cuts):
        partial.add(piece)
    found = partial.finish()
    assert isinstance(found, Oversized)
    assert found.size == len(data)
    assert found.head == data[: len(found.head)]
    assert len(found.head) == min(256, len(data))


def wire_of(data: bytes, cuts: Sequence[float], controls: Sequence[int]) -> bytes:
    """A message in fragments, with control frames between them."""
    fragments = pieces(data, cuts)
    wire = b""
    for number, piece in enumerate(fragments):
        opcode = CONTINUATION if number else TEXT
        wire += frame(opcode, piece, last=number == len(fragments) - 1)
        if number < len(controls):
            wire += frame(controls[number], b"%d" % number)
    return wire


@pytest.mark.parametrize("is_judged", [False, True])
@given(
    st.lists(
        st.tuples(
            st.text(max_size=80).map(str.encode),
            CUTS,
            st.lists(st.sampled_from([PING, PONG]), max_size=7),
        ),
        max_size=5,
    ),
    CUTS,
    st.sampled_from([b"", frame(CLOSE, b"\x03\xe8"), frame(BINARY, b"x"), frame(3)]),
)
def test_fragments_on_the_wire(
    is_judged: bool,
    messages: list[tuple[bytes, list[float], list[int]]],
    packets: list[float],
    end: bytes,
) -> None:
    """Also what stands right before the end.

    Where somebody else has read the handshake, the first packet came with it.
    """
    # Everything after the handshake, cut once more as a network might.
    wire = b"".join(wire_of(*each) for each in messages) + end
    sent = pieces(wire, packets)
    rest = sent.pop(0) if is_judged else b""
    found: list[Incoming] = []

    async def main() -> None:
        near, far = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            if is_judged:
                nursery.start_soon(receive_judged, far, rest, found)
            else:
                nursery.start_soon(receive, far, found)
                await near.send_all(upgrade())
            assert bytes(await near.receive_some()).startswith(b"HTTP/1.1 101")
            # The server may have heard enough before the last packet.
            with suppress(trio.BrokenResourceError):
                for packet in filter(None, sent):
                    await near.send_all(packet)
                    await trio.testing.wait_all_tasks_blocked()
                await near.send_eof()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert found == [expected(data) for data, _, _ in messages]


async def admit_all(upgrade: Upgrade) -> None:
    """Refuse nobody."""


async def receive(stream: trio.abc.Stream, found: list[Incoming]) -> None:
    limits = Limits(message_bytes=LIMIT)
    async with accept_websocket(stream, limits, admit_all, peer="test") as channel:
        async for batch in channel.incoming:
            found += batch


async def receive_judged(stream: trio.abc.Stream, rest: bytes, found: list[Incoming]) -> None:
    limits = Limits(message_bytes=LIMIT)
    opening = answer_websocket(stream, limits, KEY.encode(), "mcp", rest=rest, peer="test")
    async with opening as channel:
        async for batch in channel.incoming:
            found += batch
