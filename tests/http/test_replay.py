"""What a session keeps for a client that was cut off, without a network.

Specification: 2025-11-25, Streamable HTTP, Resumability and Redelivery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp.http._replay import MemoryEventStore
from trimcp.http._streams import EventStream
from trimcp.transports import Budget

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Which stream an event is on, and how long it is.
EVENTS = st.lists(st.tuples(st.sampled_from("012"), st.integers(0, 300)), max_size=60)


def filled(limit: int, events: Sequence[tuple[str, int]]) -> tuple[MemoryEventStore, list[str]]:
    store = MemoryEventStore(limit, Budget())
    return store, [store.append(stream, b"x" * size) for stream, size in events]


@given(EVENTS, st.integers(1, 4000))
def test_all_that_followed_or_none_of_it(events: list[tuple[str, int]], limit: int) -> None:
    store, ids = filled(limit, events)
    assert len(set(ids)) == len(ids)
    for number, id in enumerate(ids):
        stream = events[number][0]
        found = store.after(id)
        later = [
            (ids[each], b"x" * size)
            for each, (name, size) in enumerate(events)
            if each > number and name == stream and size
        ]
        assert found is None or found == (stream, later)
    if ids:
        # The latest event is kept, whatever it takes.
        assert store.after(ids[-1]) == (events[-1][0], [])


@given(EVENTS, st.integers(1, 4000))
def test_the_place_of_the_latest_forgotten_event_is_known(
    events: list[tuple[str, int]], limit: int
) -> None:
    """Of every open stream: who has seen all that is forgotten has missed just what is kept."""
    store, ids = filled(limit, events)
    kept = {id for number, id in enumerate(ids) if _is_kept(events, limit, number)}
    for stream in "012":
        own = [id for id, (name, _) in zip(ids, events, strict=True) if name == stream]
        forgotten = [id for id in own if id not in kept]
        if forgotten:
            assert store.after(forgotten[-1]) is not None
            assert all(store.after(id) is None for id in forgotten[:-1])


def _is_kept(events: Sequence[tuple[str, int]], limit: int, number: int) -> bool:
    later = sum(size + 128 for _, size in events[number:])
    return later <= limit or number == len(events) - 1


@given(EVENTS, st.integers(1, 4000), st.integers(0, 300))
def test_longer_than_the_limit_is_kept_while_there_is_room(
    events: list[tuple[str, int]], limit: int, room: int
) -> None:
    budget = Budget(room)
    store = MemoryEventStore(limit, budget)
    for stream, size in events:
        id = store.append(stream, b"x" * size)
        assert store.after(id) == (stream, [])
        held = sum(len(data) for _, _, data in store._events)
        assert held <= limit + budget.used
        assert bool(store._events) == (size + 128 <= limit or size <= room)
    store.close()
    assert budget.used == 0


def test_events_without_data_are_bounded_too() -> None:
    store, ids = filled(1000, [("0", 0)] * 10_000)
    known = [id for id in ids if store.after(id) is not None]
    assert len(known) < 20
    assert len(store._events) < 20
    assert len(store._places) == 1


@given(EVENTS, st.integers(1, 4000), st.sets(st.sampled_from("012")))
def test_streams_that_have_ended_take_no_room(
    events: list[tuple[str, int]], limit: int, ended: set[str]
) -> None:
    store, ids = filled(limit, events)
    for stream in ended:
        store.end(stream)
    kept = {name for number, (name, _) in enumerate(events) if _is_kept(events, limit, number)}
    used = {name for name, _ in events}
    assert set(store._places) == kept | (used - ended)
    for _ in range(3):
        store.append("other", b"x" * limit)
    assert set(store._places) == (used - ended) | {"other"}
    assert all((store.after(id) is None) >= (id[0] in ended) for id in ids)


def test_what_is_no_id_is_unknown() -> None:
    store, _ = filled(1000, [("0", 1)])
    for id in ("", "0", "0-", "0-x", "0--1", "1-1", "0-2", "0-" + "9" * 30, "0-\u0661"):
        assert store.after(id) is None, id


class Stream:
    """A stream of a session, with what its readers saw."""

    def __init__(self, *, is_standing: bool, limit: int = 100) -> None:
        self.store = MemoryEventStore(10_000, Budget())
        self.ended: list[EventStream] = []
        self.stream = EventStream(
            "0", self.store, limit, is_standing=is_standing, at_end=self.ended.append
        )

    async def read(self, reader: object) -> list[bytes]:
        """What waits for this reader, kept and told."""
        events = await self.stream.take_events(reader)
        told = [(self.stream.keep(data) if id is None else id, data) for id, data in events]
        with self.stream.releasing(events):
            pass
        return [data for _, data in told]

    def missed(self, id: str) -> list[tuple[str, bytes]]:
        found = self.store.after(id)
        assert found is not None
        return found[1]


async def test_a_superseded_reader_takes_nothing_more() -> None:
    each = Stream(is_standing=True)
    with each.stream.reading() as first, each.stream.reading() as second:
        each.stream.send_nowait(b"one")
        assert await each.stream.take_events(first) == []
        assert await each.read(second) == [b"one"]


async def test_the_standing_stream_drops_the_oldest_where_nobody_reads() -> None:
    each = Stream(is_standing=True)
    for number in range(30):
        each.stream.send_nowait(b"%10d" % number)
    assert each.stream.waiting_bytes <= 100
    with each.stream.reading() as reader:
        assert await each.read(reader) == [b"%10d" % number for number in range(20, 30)]
    assert each.stream.waiting_bytes == 0


async def test_a_sender_waits_for_a_reader_that_is_slow(autojump_clock: object) -> None:
    each = Stream(is_standing=False)
    sent: list[int] = []
    async with trio.open_nursery() as nursery:
        with each.stream.reading() as reader:

            async def send() -> None:
                for number in range(30):
                    await each.stream.send(b"%10d" % number)
                    sent.append(number)

            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            assert len(sent) == 10
            assert len(await each.read(reader)) == 10
            await trio.testing.wait_all_tasks_blocked()
            assert len(sent) == 20
        # Nobody reads any more: the rest goes where it can be asked for.
    assert len(sent) == 30
    assert each.stream.waiting_bytes == 0


async def test_events_are_told_once_however_often_readers_change() -> None:
    for is_standing in (True, False):
        each = Stream(is_standing=is_standing)
        place = each.stream.keep(b"")
        for data in (b"one", b"two"):
            each.stream.keep(data)
        missed = each.missed(place)
        # Two that never come to read, one after the other, and one beside a third.
        with each.stream.reading(missed):
            pass
        with each.stream.reading(missed), each.stream.reading(missed):
            pass
        with each.stream.reading(missed) as reader:
            assert await each.read(reader) == [b"one", b"two"]
        assert each.missed(place) == missed
        assert each.stream.waiting_bytes == 0


async def test_a_slot_is_given_back_once() -> None:
    each = Stream(is_standing=False)
    with each.stream.reading() as reader:
        each.stream.send_nowait(b"answer")
        each.stream.close()
        assert each.ended == []
        assert await each.read(reader) == [b"answer"]
        assert await each.stream.take_events(reader) == []
    assert each.ended == [each.stream]
