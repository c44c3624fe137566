"""Subscribers and their pending changes: who is told of what, in which order, and what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp import LimitExceeded, Limits
from trimcp.protocol import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from trimcp.runtime import Hub, Subscriber
from trimcp.transports import Budget

if TYPE_CHECKING:
    from trimcp.protocol import Change

LISTS = (ToolsListChanged, PromptsListChanged, ResourcesListChanged)
URIS = ("test://a", "test://b", "test://c", "test://longer")

SUBSCRIBERS = 3
SUBSCRIBED_URIS = 2
BUDGET = 40

uris = st.sampled_from(URIS)
changes = st.one_of(st.sampled_from([each() for each in LISTS]), st.builds(ResourceUpdated, uris))
numbers = st.integers(0, SUBSCRIBERS)
steps = st.one_of(
    st.tuples(st.just("join"), st.frozensets(st.sampled_from(LISTS)), st.lists(uris, max_size=4)),
    st.tuples(st.just("leave"), numbers),
    st.tuples(st.just("add"), numbers, uris),
    st.tuples(st.just("remove"), numbers, uris),
    st.tuples(st.just("publish"), changes),
    st.tuples(st.just("close"), numbers),
    st.tuples(st.just("take"), numbers),
)


class Expected:
    """What a hub has to know of one subscriber."""

    def __init__(self, kinds: frozenset[type[Change]]) -> None:
        self.kinds = kinds
        self.uris: set[str] = set()
        self.pending: list[Change] = []
        self.is_closed = False

    def hear(self, change: Change) -> None:
        wanted = (
            change.uri in self.uris
            if isinstance(change, ResourceUpdated)
            else type(change) in self.kinds
        )
        if wanted and not self.is_closed and change not in self.pending:
            self.pending.append(change)


class Model:
    """A hub, and beside it a plain account of what it has to hold."""

    def __init__(self) -> None:
        self.budget = Budget(BUDGET)
        limits = Limits(subscribers=SUBSCRIBERS, subscribed_uris=SUBSCRIBED_URIS)
        self.hub = Hub(limits, self.budget)
        self.joined: list[tuple[Subscriber, Expected]] = []

    def has_room_for(self, expected: Expected, uri: str) -> bool:
        used = sum(len(each) for _, known in self.joined for each in known.uris)
        return len(expected.uris) < SUBSCRIBED_URIS and used + len(uri) <= BUDGET

    def subscribe(self, expected: Expected, uri: str) -> bool:
        """Add a resource to the account. Returns whether the hub has to accept it."""
        if uri in expected.uris:
            return True
        if not self.has_room_for(expected, uri):
            return False
        expected.uris.add(uri)
        return True

    def join(self, kinds: frozenset[type[Change]], wanted: list[str]) -> None:
        expected = Expected(kinds)
        room = len(self.joined) < SUBSCRIBERS
        entry: Any = (None, expected)
        self.joined.append(entry)
        accepted = room and all(self.subscribe(expected, uri) for uri in wanted)
        self.joined.remove(entry)
        try:
            subscriber = self.hub.join(kinds, wanted)
        except LimitExceeded:
            assert not accepted, "refused, though there was room"
        else:
            assert accepted, "accepted, though there was no room"
            self.joined.append((subscriber, expected))

    def add(self, number: int, uri: str) -> None:
        subscriber, expected = self.joined[number]
        try:
            self.hub.add(subscriber, uri)
        except LimitExceeded:
            assert not self.subscribe(expected, uri), "refused, though there was room"
        else:
            assert self.subscribe(expected, uri), "accepted, though there was no room"

    async def do(self, verb: str, *args: Any) -> None:
        if verb == "join":
            self.join(*args)
        elif verb == "publish":
            self.hub.publish(*args)
            for _, expected in self.joined:
                expected.hear(*args)
        elif args[0] < len(self.joined):
            await self.do_to(verb, *args)

    async def do_to(self, verb: str, number: int, *args: Any) -> None:
        subscriber, expected = self.joined[number]
        if verb == "leave":
            self.hub.leave(subscriber)
            del self.joined[number]
        elif verb == "add":
            self.add(number, *args)
        elif verb == "remove":
            self.hub.remove(subscriber, *args)
            expected.uris.discard(*args)
        elif verb == "close":
            subscriber.close()
            expected.is_closed = True
        elif expected.pending:
            assert await subscriber.next() == expected.pending.pop(0)
        elif expected.is_closed:
            assert await subscriber.next() is None

    def check(self) -> None:
        held = {uri for _, expected in self.joined for uri in expected.uris}
        assert len(self.hub) == len(self.joined)
        assert set(self.hub.uris()) == held
        assert self.hub.subscribed_uris == sum(len(known.uris) for _, known in self.joined)
        assert self.hub.pending == sum(len(known.pending) for _, known in self.joined)
        assert self.budget.used == sum(len(uri) for _, known in self.joined for uri in known.uris)
        for subscriber, expected in self.joined:
            assert subscriber.uris == expected.uris
            assert subscriber.pending == len(expected.pending)


@given(st.lists(steps, max_size=25))
def test_a_hub_holds_what_its_subscribers_need_and_no_more(taken: list[Any]) -> None:
    """Each is told of its changes in the order of their first announcement; equal ones count once.

    Bounds are exact: nothing is refused while there is room, and nothing stays of what has left.
    """

    async def main() -> None:
        model = Model()
        for step in taken:
            await model.do(*step)
            model.check()
        for subscriber, _ in list(model.joined):
            await model.do("leave", [each for each, _ in model.joined].index(subscriber))
        model.check()

    trio.run(main)


@given(st.lists(changes, max_size=20))
def test_changes_are_told_in_the_order_of_their_first_announcement(announced: list[Change]) -> None:
    """One that is announced again keeps its place, so that none is delayed for ever."""

    async def main() -> None:
        hub = Hub(Limits())
        subscriber = hub.join(LISTS, URIS)
        for change in announced:
            hub.publish(change)
        subscriber.close()
        told = [await subscriber.next() for _ in range(subscriber.pending)]
        assert told == list(dict.fromkeys(announced))
        assert await subscriber.next() is None

    trio.run(main)


async def test_who_waits_is_woken() -> None:
    """By a change, however often it waits, and by the end; what is pending at the end is told."""
    hub = Hub(Limits())
    subscriber = hub.join([ToolsListChanged], ["test://a"])
    told: list[Change | None] = []

    async def listen() -> None:
        while told[-1:] != [None]:
            told.append(await subscriber.next())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for number in range(1, 4):
            await trio.testing.wait_all_tasks_blocked()
            hub.publish(ToolsListChanged())
            await trio.testing.wait_all_tasks_blocked()
            assert told == [ToolsListChanged()] * number
        hub.publish(ResourceUpdated("test://a"))
        subscriber.close()
        hub.publish(ToolsListChanged())
    assert told[3:] == [ResourceUpdated("test://a"), None]
