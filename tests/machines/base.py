"""What both machines share: a server of puppets, its beginnings and ends, and what must hold."""

from __future__ import annotations

import gc
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.tasks import tasks_below
from trimcp import ResourceUpdated, ToolsListChanged

from .host import TrioHost, names_of
from .model import abandoned, check_bounds, check_puppets, expected_counts
from .puppets import BLOCKS, ENDS, EXTRAS, LINGER, URIS, Puppets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hypothesis.strategies import SearchStrategy

    from .model import Conversation, Told

__all__ = ["SCHEDULES", "TOOLS", "ServerMachine", "among", "name_of", "steps"]

#: Seeds of Trio's choices.
SCHEDULES: Final = st.integers(0, 2**16)

#: The name of the change of the list of tools.
TOOLS: Final = "tools"

#: Seconds that an application may take beyond the grace period, when nothing lingers.
_SLACK: Final = 1.0

#: Steps between the start of a server and its end.
_CALM: Final = 12

_ORDERS: Final = ("report", "report", "chunk", "chunk", "linger", "defy", "leave")
_QUESTIONS: Final = ("ask", "ask", "ask twice", "ask aside", "ask aside")


def steps(count: int) -> settings:
    """Settings for machines of so many steps, as many machines as the loaded profile asks for."""
    return settings(stateful_step_count=count, deadline=None, suppress_health_check=[])


def among(find: Callable[[Any], Sequence[str]]) -> SearchStrategy[str]:
    """One of the names that a machine has now; a precondition sees to it that there is one."""
    return st.runner().flatmap(lambda machine: st.sampled_from(find(machine)))


def name_of(change: object) -> str:
    """A change as a word."""
    if isinstance(change, ToolsListChanged):
        return TOOLS
    assert isinstance(change, ResourceUpdated)
    return change.uri


class ServerMachine(RuleBasedStateMachine):
    """A server that is started, used, shut down, killed and started again.

    Attributes:
        host: The run in which everything happens.
        puppets: The server.
        extras: The additional tools that are registered.
        ends_by: When the application must have ended, once it is being shut down.
        is_up: Whether it is open.
        has_been_down: Whether it was shut down or killed once.
    """

    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("trimcp").setLevel(logging.CRITICAL + 1)
        gc.disable()
        self.host = TrioHost()
        self.puppets = Puppets()
        self.extras: set[str] = set()
        self.ends_by: float | None = None
        self.is_up = self.has_been_down = False
        self._life = trio.CancelScope()
        self._idle_tasks: list[str] = []
        self._steps = 0

    # -- for the machines -----------------------------------------------------------------------

    def conversations(self) -> Iterable[Conversation]:
        """Those that are not over."""
        raise NotImplementedError

    def subscribers(self) -> Iterable[tuple[Told, str, bool]]:
        """What subscribers were told, a change that they want, and whether it is owed to them."""
        raise NotImplementedError

    def counts(self) -> dict[str, int]:
        """The numbers of connections, sessions and requests that the statistics must show."""
        raise NotImplementedError

    def is_idle(self) -> bool:
        """Whether no client is there at all."""
        raise NotImplementedError

    def can_ask(self, label: str) -> bool:
        """Whether the client of a call answers questions."""
        raise NotImplementedError

    # -- the server -----------------------------------------------------------------------------

    def begin_with(self, schedule: int) -> None:
        """Start the server. Trio's choices depend on a seed, so that a failure can be repeated."""
        trio._core._run._r.seed(schedule)
        self.start()
        self._idle_tasks = names_of(tasks_below(self.host.root))

    def start(self) -> None:
        """Open the application."""
        self.ends_by = None
        self._steps = 0
        self.host.call(self.host.nursery.start_soon, self._serve)
        assert self.is_up

    async def _serve(self) -> None:
        try:
            with trio.CancelScope() as self._life:
                async with (
                    self.puppets.server.application(signals=False),
                    trio.open_nursery() as self.doors,
                ):
                    self.is_up = True
                    await trio.sleep_forever()
        finally:
            self.is_up = False
            # Threads cannot be ended; whoever serves next does not count them.
            for thought in self.puppets.thoughts.values():
                thought.is_counted = False

    @property
    def is_serving(self) -> bool:
        """Whether new requests are accepted."""
        return self.is_up and self.ends_by is None

    @property
    def is_ending(self) -> bool:
        """Whether the grace period is over, and what still runs is cancelled."""
        return self.ends_by is not None and self.host.now >= self.ends_by - _SLACK

    @precondition(lambda self: self.is_serving and self._steps >= _CALM)
    @rule(grace=st.sampled_from([None, 0, 5, 50]))
    def end_server(self, grace: float | None) -> None:
        """It is shut down, or, without any grace, cancelled."""
        self.ends_by = self.host.now + (grace or 0) + _SLACK
        self.has_been_down = True
        for conversation in self.conversations():
            conversation.is_draining = True
        if grace is None:
            self.kill()
        else:
            self.host.call(lambda: self.puppets.server.shutdown(grace=grace))

    @precondition(lambda self: self.is_up and not self.is_serving)
    @rule()
    def kill(self) -> None:
        """It is cancelled."""
        self.ends_by = self.host.now + _SLACK
        self.host.call(self._life.cancel)
        assert all(each.is_shielded(self.host.now) for each in self.puppets.working)

    @precondition(lambda self: not self.is_up)
    @rule()
    def start_again(self) -> None:
        self.start()

    @rule(seconds=st.sampled_from([1, 1, 5, 5, 30, 120, 400]))
    def pass_time(self, seconds: float) -> None:
        self.host.pass_time(seconds)

    # -- handlers -------------------------------------------------------------------------------

    def labels(self) -> list[str]:
        """Those of handlers that take orders."""
        return [each.label for each in self.puppets.working if each.outcome is None]

    def askers(self) -> list[str]:
        """Those of handlers that may ask their client."""
        return [label for label in self.labels() if self.can_ask(label)]

    def _tell(self, label: str, order: str) -> None:
        self.host.call(self.puppets.running[label].tell, order)

    @precondition(lambda self: self.labels())
    @rule(label=among(lambda self: self.labels()), order=st.sampled_from(_ORDERS))
    def order(self, label: str, order: str) -> None:
        self._tell(label, order)

    @precondition(lambda self: self.labels())
    @rule(label=among(lambda self: self.labels()), how=st.sampled_from(["finish", *ENDS]))
    def finish(self, label: str, how: str) -> None:
        self._tell(label, how)

    @precondition(lambda self: self.askers())
    @rule(label=among(lambda self: self.askers()), order=st.sampled_from(_QUESTIONS))
    def ask(self, label: str, order: str) -> None:
        self._tell(label, order)

    def inside(self) -> list[str]:
        """Those of handlers that are in a nursery or a scope."""
        return [each.label for each in self.puppets.working if each.blocks]

    @precondition(lambda self: self.labels())
    @rule(label=among(lambda self: self.labels()), block=st.sampled_from(sorted(BLOCKS)))
    def enter(self, label: str, block: str) -> None:
        self._tell(label, block)

    @precondition(lambda self: self.inside())
    @rule(label=among(lambda self: self.inside()))
    def cancel_block(self, label: str) -> None:
        """The innermost scope of a handler is cancelled, by itself or by another task."""
        self.host.call(self.puppets.running[label].blocks.cancel)

    @precondition(lambda self: self.puppets.notices)
    @rule(label=among(lambda self: sorted(self.puppets.notices)))
    def let_go(self, label: str) -> None:
        """The handler of a notification ends."""
        self.host.call(self.puppets.notices[label].set)
        assert label not in self.puppets.notices

    @precondition(lambda self: self.puppets.thoughts)
    @rule(label=among(lambda self: sorted(self.puppets.thoughts)))
    def stop_thinking(self, label: str) -> None:
        """A tool ends that runs in a thread."""
        self.puppets.thoughts.pop(label).going.set()
        if self.is_up:
            self.host.wait_for(self._is_thread_done)

    def _is_thread_done(self) -> bool:
        now = self.puppets.server.statistics()
        left = len(abandoned(self.puppets, self.conversations()))
        is_told = self.is_ending or now.abandoned_threads == left
        return now.threads == len(self.puppets.counted) and is_told

    # -- changes --------------------------------------------------------------------------------

    def _happen(self, change: str) -> None:
        for told, wanted, is_owed in self.subscribers():
            if wanted == change:
                told.happen(change, is_owed=is_owed)

    @rule(what=st.sampled_from([*URIS, *URIS, *EXTRAS]))
    def change(self, what: str) -> None:
        """A resource changes, or a tool is registered or removed."""
        if self.is_serving:
            self._happen(TOOLS if what in EXTRAS else what)
        if what in URIS:
            if self.is_serving:
                self.host.call(self.puppets.server.notify_resource_updated, what)
        elif what in self.extras:
            self.extras.discard(what)
            self.host.call(self.puppets.server.remove_tool, what)
        else:
            self.extras.add(what)
            self.host.call(self.puppets.add_extra, what)

    # -- what must hold -------------------------------------------------------------------------

    @invariant()
    def check(self) -> None:
        """Everything that must hold; one method, so that a printed failure is short."""
        self._steps += 1
        self.puppets.wait_begun()
        self.settle()
        self.nothing_outlives_its_request()
        self.statistics_are_true()
        self.a_shutdown_ends()
        self.nothing_is_left_of_clients()
        self.clients_are_well_served()

    def settle(self) -> None:
        """Let the model follow what has happened in the step."""

    def clients_are_well_served(self) -> None:
        """What must hold of the clients of one machine."""
        raise NotImplementedError

    def nothing_outlives_its_request(self) -> None:
        check_puppets(self.puppets, self.conversations(), self.host.now)

    def statistics_are_true(self) -> None:
        now = self.puppets.server.statistics()
        expected = expected_counts(
            self.puppets, self.conversations(), now, self.counts(), self.host.now
        )
        if self.is_ending:
            # What is cancelled now is answered, or its client loses the connection; it may count
            # until it has cleaned up, though its client has gone.
            expected = attrs.evolve(
                expected,
                in_flight=expected.in_flight + len(self.puppets.living),
                abandoned_threads=expected.threads,
            )
            for name, number in attrs.asdict(now).items():
                assert number <= getattr(expected, name), name
        else:
            assert attrs.asdict(now) == attrs.asdict(expected)
        check_bounds(now, len(list(self.conversations())))

    def a_shutdown_ends(self) -> None:
        if self.ends_by is None:
            assert self.puppets.lifespans["server"] == self.is_up
            return
        last = [each.leaving_since for each in self.puppets.living if each.is_leaving]
        last += [each.blocks.shielded_until for each in self.puppets.working]
        by = max([self.ends_by, *(each + LINGER + _SLACK for each in last if each)])
        assert not self.is_up or self.host.now <= by, "the application goes on"
        if not self.is_up:
            assert self.puppets.living == []
            assert self.puppets.notices == {}
            assert self.puppets.lifespans == {"server": 0, "session": 0}

    def nothing_is_left_of_clients(self) -> None:
        """Without clients and requests the server is as it was in the beginning."""
        # The outcome of a handler may wait for the next round.
        waiting = self.puppets.between_rounds(self.host.now)
        is_working = self.puppets.living or self.puppets.notices or waiting
        if self.is_serving and self.is_idle() and not is_working:
            # One task looks after all sessions, from the first one on.
            left = [each for each in names_of(tasks_below(self.host.root)) if "_sweep" not in each]
            assert left == self._idle_tasks
            assert self.puppets.server.statistics().buffered_bytes == 0

    def end(self) -> None:
        """Let everything come to its end."""

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.end()
        finally:
            for thought in self.puppets.thoughts.values():
                thought.going.set()
            try:
                self.host.close()
            finally:
                gc.enable()
                logging.getLogger("trimcp").setLevel(logging.NOTSET)
