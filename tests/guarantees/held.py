"""A connection in memory whose messages arrive when the test says so, and a record of them."""

from __future__ import annotations

import collections
import json
from typing import TYPE_CHECKING, Any, Literal

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

Message = dict[str, Any]
Side = Literal["client", "server"]


@attrs.frozen
class Passed:
    """One message.

    Attributes:
        side: Who said it.
        message: What.
        sent: The number of the step in which it was sent.
    """

    side: Side
    message: Message
    sent: int


class Record:
    """All that was said, and when it was heard.

    Between two steps everything has come to rest.

    Attributes:
        step: The number of the step that goes on.
        passed: The messages.
        heard: By the number of a message, the step in which its other side got it.
        unaware: The last step in which that side may have spoken without knowing of it.
    """

    def __init__(self) -> None:
        self.step = 0
        self.passed: list[Passed] = []
        self.heard: dict[int, int] = {}
        self.unaware: dict[int, int] = {}

    def send(self, side: Side, line: bytes) -> int:
        """Note a message; its number."""
        self.passed.append(Passed(side, json.loads(line), self.step))
        return len(self.passed) - 1

    def hear(self, number: int, *, at_rest: bool) -> None:
        """Its other side has it now, and if it was at rest, has said nothing yet in this step."""
        self.heard[number] = self.step
        self.unaware[number] = self.step - at_rest

    def by(self, side: Side) -> Iterator[tuple[int, Passed]]:
        """What one side said, with its numbers."""
        for number, each in enumerate(self.passed):
            if each.side == side:
                yield number, each


class Way:
    """One direction."""

    def __init__(self, side: Side, record: Record) -> None:
        self.side = side
        self.is_open = False
        self._record = record
        self._held: collections.deque[tuple[int, bytes]] = collections.deque()
        self._arrived = bytearray()
        self._ended = False
        self._news = trio.lowlevel.ParkingLot()

    def send(self, data: bytes) -> None:
        """Hold messages back, each by itself."""
        for line in data.splitlines(keepends=True):
            assert line.endswith(b"\n"), "a message in pieces"
            self._held.append((self._record.send(self.side, line), line))
        if self.is_open:
            self.deliver(len(self._held))

    def deliver(self, count: int) -> None:
        """Let the oldest messages arrive."""
        for _ in range(min(count, len(self._held))):
            number, line = self._held.popleft()
            self._record.hear(number, at_rest=not self.is_open)
            self._arrived += line
        self._news.unpark_all()

    def open(self) -> None:
        """From now on nothing is held back."""
        self.is_open = True
        self.deliver(len(self._held))

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._news.unpark_all()

    async def receive(self) -> bytes:
        """What has arrived; nothing at the end."""
        while not self._arrived and not self._ended:
            await self._news.park()
        data = bytes(self._arrived)
        self._arrived.clear()
        return data


class End(trio.abc.Stream):
    """One end of two ways."""

    def __init__(self, out: Way, back: Way) -> None:
        self._out, self._back = out, back
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed or self._back._ended:
            raise trio.BrokenResourceError
        self._out.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        return await self._back.receive()

    async def aclose(self) -> None:
        self._closed = True
        self._out.end()
        self._back.end()
        await trio.lowlevel.checkpoint()
