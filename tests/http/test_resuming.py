"""One stream of a session, whatever its senders and readers do: each event is told once, in order.

A client takes events, loses some on the way, leaves, comes back with the last id that it has seen,
or takes its own place from a second connection, while messages are sent that may have to wait for
room. What it has seen in the end is compared with what was sent.

Specification: 2025-11-25, Streamable HTTP, Resumability and Redelivery.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp.http._replay import MemoryEventStore
from trimcp.http._streams import EventStream
from trimcp.transports import Budget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

#: Bytes that may wait for a reader, small against the messages.
LIMIT = 100

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(5, 150)),
        st.tuples(st.sampled_from(["take", "leave", "interrupt", "dismiss"]), st.just(0)),
        # How many of the latest events were lost on the way.
        st.tuples(st.just("resume"), st.integers(0, 3)),
        st.tuples(st.just("resume beside"), st.integers(0, 3)),
    ),
    max_size=25,
)


class Talk:
    """A stream, its senders, and a client that reads it."""

    def __init__(self, nursery: trio.Nursery, *, is_standing: bool) -> None:
        self.budget = Budget()
        self.store = MemoryEventStore(1_000_000, self.budget)
        self.ends = 0
        self.stream = EventStream(
            "0",
            self.store,
            LIMIT,
            is_standing=is_standing,
            at_end=self._end,
            budget=self.budget,
        )
        self.sent: list[bytes] = []
        self.accepted: list[bytes] = []
        self.refused = 0
        self.seen: list[tuple[str, bytes]] = [(self.stream.keep(b""), b"")]
        self._is_standing = is_standing
        self._nursery = nursery
        self._reading: list[ExitStack] = []
        self._readers: list[object] = []

    def _end(self, stream: EventStream) -> None:
        self.ends += 1

    @property
    def waiting(self) -> int:
        """How many senders wait for room."""
        return len(self.sent) - len(self.accepted) - self.refused

    # -- steps ----------------------------------------------------------------------------

    async def send(self, size: int) -> None:
        data = b"%d " % len(self.sent) + b"x" * size
        self.sent.append(data)

        async def send() -> None:
            try:
                await self.stream.send(data)
            except trio.ClosedResourceError:
                self.refused += 1
            else:
                self.accepted.append(data)

        self._nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()

    async def take(self, _: int = 0) -> None:
        """Read what waits for the reader, and nothing for those whose place it has taken."""
        for reader in self._readers[:-1]:
            assert await self.stream.take_events(reader) == []
        if not self._readers or (self.stream.is_empty and not self.stream.is_closed):
            return
        events = await self.stream.take_events(self._readers[-1])
        with self.stream.releasing(events):
            kept = [(self.stream.keep(data) if id is None else id, data) for id, data in events]
        self.seen += kept

    async def leave(self, _: int = 0) -> None:
        """All connections end, the oldest first."""
        for each in self._reading:
            each.close()
        self._reading.clear()
        self._readers.clear()

    async def interrupt(self, _: int = 0) -> None:
        assert self.stream.interrupt(1) == bool(self._readers)

    async def dismiss(self, _: int = 0) -> None:
        """The reader is told to stop, and stops."""
        if self._readers:
            self.stream.dismiss()
            assert await self.stream.take_events(self._readers[-1]) == []
        await self.leave()

    async def resume(self, lost: int) -> None:
        await self.leave()
        await self.resume_beside(lost)

    async def resume_beside(self, lost: int) -> None:
        """A new connection asks for what followed the last event that has come."""
        if self._readers:
            # What the old connection has not read yet, the new one gets.
            lost = 0
        del self.seen[max(1, len(self.seen) - lost) :]
        found = self.store.after(self.seen[-1][0])
        assert found is not None
        reading = ExitStack()
        self._readers.append(reading.enter_context(self.stream.reading(found[1])))
        self._reading.append(reading)

    # -- what must hold -------------------------------------------------------------------

    def check(self) -> None:
        pending = sum(len(data) for _, data in self.stream._pending)
        assert self.stream.waiting_bytes == self.budget.used == pending
        if not self._reading:
            assert self.waiting == 0, "a sender waits, though nobody reads"
        if not pending:
            assert self.waiting == 0, "a sender waits, though there is room"
        if self._is_standing and not self._reading:
            assert pending <= LIMIT or len(self.stream._pending) == 1


def kept_of(sent: Sequence[bytes]) -> list[bytes]:
    """The latest messages that fit into the limit together; at least one."""
    kept: list[bytes] = []
    for data in reversed(sent):
        if kept and sum(map(len, kept)) + len(data) > LIMIT:
            break
        kept.insert(0, data)
    return kept


def play(steps: Sequence[tuple[str, int]], *, is_standing: bool) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            talk = Talk(nursery, is_standing=is_standing)
            moves: dict[str, Callable[[int], Awaitable[None]]] = {
                "send": talk.send,
                "take": talk.take,
                "leave": talk.leave,
                "interrupt": talk.interrupt,
                "dismiss": talk.dismiss,
                "resume": talk.resume,
                "resume beside": talk.resume_beside,
            }
            expected: list[bytes] = []
            for name, argument in steps:
                before = len(talk.accepted)
                await moves[name](argument)
                await trio.testing.wait_all_tasks_blocked()
                talk.check()
                expected += talk.accepted[before:]
                if is_standing and not talk._reading:
                    # Where nobody reads, nobody waits, and the oldest give way.
                    told = {data for _, data in talk.seen}
                    unread = [data for data in expected if data not in told]
                    unread = [data for data in unread if not is_kept(talk, data)]
                    gone = set(unread) - set(kept_of(unread))
                    expected = [data for data in expected if data not in gone]
            # In the end the client reads all there is.
            await talk.resume(0)
            while talk.waiting or not talk.stream.is_empty:
                before = len(talk.accepted)
                await talk.take()
                await trio.testing.wait_all_tasks_blocked()
                expected += talk.accepted[before:]
            talk.check()
            assert [data for _, data in talk.seen[1:]] == expected
            if not is_standing:
                assert expected == talk.sent
            talk.stream.close()
            assert talk.ends == 0
            await talk.leave()
            assert (talk.ends, talk.stream.waiting_bytes, talk.budget.used) == (1, 0, 0)

    trio.run(main)


def is_kept(talk: Talk, data: bytes) -> bool:
    return any(data == each for _, _, each in talk.store._events)


@given(STEPS)
def test_each_event_of_an_answer_is_told_once_in_order(steps: list[tuple[str, int]]) -> None:
    play(steps, is_standing=False)


@given(STEPS)
def test_the_standing_stream_loses_only_the_oldest_that_nobody_read(
    steps: list[tuple[str, int]],
) -> None:
    play(steps, is_standing=True)


@given(st.lists(st.integers(5, 150), min_size=1, max_size=8), st.booleans())
def test_closing_refuses_who_waits_and_loses_nothing_else(
    sizes: list[int], is_standing: bool
) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            talk = Talk(nursery, is_standing=is_standing)
            await talk.resume(0)
            for size in sizes:
                await talk.send(size)
            talk.stream.close()
            await trio.testing.wait_all_tasks_blocked()
            assert talk.waiting == 0
            await talk.take()
            assert [data for _, data in talk.seen[1:]] == talk.accepted
            await talk.take()
            await talk.leave()
            assert (talk.ends, talk.budget.used) == (1, 0)

    trio.run(main)
