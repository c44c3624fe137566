"""Guarantees 10, 12, 21 to 24: a server and its clients, whatever happens to them, in any order.

A server of puppets, and up to three of our clients at a time, of either era, connected by streams
in memory on which messages can be held back. Which client calls, is asked, leaves, is cut off, and
what the server does meanwhile, up to being shut down or killed and started again, is up to
hypothesis. After each step everything that `base` and `model` state must hold, and what is stated
here about the clients.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.guarantees.held import End, Record, Way
from tests.tasks import is_kept, tasks_below
from trimcp import Client, MCPError, RequestError, RequestTimeout, open_stream_client
from trimcp.errors import INTERNAL_ERROR, INVALID_PARAMS, LIMIT_EXCEEDED, SHUTTING_DOWN
from trimcp.runtime import MOST_IDLE

from .base import SCHEDULES, TOOLS, ServerMachine, among, name_of, steps
from .host import names_of
from .model import Conversation, Told, abandoned
from .puppets import EXTRAS, LIMITS, NOTICE, URIS, Kept, Outcome, thought_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.guarantees.held import Side

REVISIONS: Final = ("2026-07-28", "2026-07-28", "2025-11-25", "2025-06-18")

#: Seconds that a call waits for its answer.
TIMEOUT: Final = 200.0

#: Steps between the beginning of a client and its end.
_CALM: Final = 8

#: Clients at a time.
_MOST: Final = 3

#: Calls and subscriptions of one client at a time: one more than a server handles.
_MOST_CALLS: Final = LIMITS.in_flight + 1


class Overheard(Record):
    """Tells a conversation what its server says and hears."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self._conversation = conversation

    def send(self, side: Side, line: bytes) -> int:
        number = super().send(side, line)
        if side == "server":
            self._conversation.say(self.passed[number].message)
        return number

    def hear(self, number: int, *, at_rest: bool) -> None:
        super().hear(number, at_rest=at_rest)
        if self.passed[number].side == "client":
            self._conversation.hear(self.passed[number].message)


@attrs.define(eq=False)
class Called:
    """A call of a client.

    Attributes:
        label: Its name.
        tool: The tool.
        by: Who calls.
        since: When it was made.
        asked_before: For how many seconds its client had been asked something by then.
        expected: What it must be told, if that is known from the beginning.
        scope: Leaves it.
        was_left: Whether it was left.
        was_crowded: Whether the server may refuse it, since its client has too many.
        chunks: The chunks of a stream.
        outcome: What became of it: what it was told, or how it ended without being told.
        told: Whether it was told something.
        kept: Something that is held for as long as it lasts.
    """

    label: str
    tool: str
    by: Connected
    since: float
    asked_before: float
    expected: Outcome | None = None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    was_left: bool = False
    was_crowded: bool = False
    chunks: list[str] = attrs.field(factory=list)
    outcome: Outcome | None = None
    told: bool = False
    kept: weakref.ref[Kept] | None = None


@attrs.define(eq=False)
class Listening:
    """A subscription of a client.

    Attributes:
        label: Its name.
        by: Whose it is.
        wanted: Of what it is told.
        told: What it was told.
        scope: Leaves it.
        is_open: Whether the server has agreed.
        is_over: Whether it has ended.
    """

    label: str
    by: Connected
    wanted: tuple[str, ...]
    told: Told = attrs.field(factory=Told)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    is_open: bool = False
    is_over: bool = False


@attrs.define(eq=False)
class Question:
    """A question that a client was asked.

    Attributes:
        answered: Set when it is.
        accepts: Whether it is answered, and not declined.
    """

    answered: trio.Event = attrs.field(factory=trio.Event)
    accepts: bool = True


class Connected:
    """A client with its connection.

    Attributes:
        name: Its name.
        answers: Whether it answers questions.
        conversation: What the server hears and says.
        questions: Those that it was asked, by their text.
        is_cut: Whether the connection was cut off.
        is_served: Whether the server still has a task for it.
        age: How many steps it has seen.
        was_held: Whether messages were held back once.
    """

    client: Client
    calls: trio.Nursery

    def __init__(
        self, name: str, revision: str, answers: bool, parked: dict[str | None, float]
    ) -> None:
        self.name = name
        self.revision = revision
        self.answers = answers
        self.conversation = Conversation(parked)
        record = Overheard(self.conversation)
        self.to_server = Way("client", record)
        self.to_client = Way("server", record)
        self.questions: dict[str, Question] = {}
        self._asked_since = self._asked_for = 0.0
        self.leaving = trio.Event()
        self.is_cut = self.is_over = self.is_served = False
        self.age = 0
        self.was_held = False
        self.tasks: list[trio.lowlevel.Task] = []
        self.idle: list[list[str]] = []

    @property
    def is_held(self) -> bool:
        """Whether messages are held back."""
        return not (self.to_server.is_open and self.to_client.is_open)

    def open(self) -> None:
        """Hold nothing back."""
        self.to_server.open()
        self.to_client.open()

    def names(self) -> list[list[str]]:
        """The tasks of the server for this client, and those of the client.

        Those that are kept for what may come are counted apart: there are not too many of them.
        """
        found = []
        for task in self.tasks:
            below = tasks_below(task)
            working = [each for each in below if not is_kept(each)]
            # One nursery for each era, and one task for the deadlines of calls.
            assert len(below) - len(working) <= 2 * MOST_IDLE + 1
            found.append(names_of(working))
        return found

    async def serve(self, machine: InMemory) -> None:
        """The server's side."""
        self.tasks.append(trio.lowlevel.current_task())
        self.is_served = True
        stream = End(self.to_client, self.to_server)
        try:
            await machine.puppets.server.serve_stream(stream)
        finally:
            self.is_served = False
            self.conversation.leave()
            with contextlib.suppress(trio.Cancelled):
                await stream.aclose()

    async def run(self) -> None:
        """The client's side, until it is told to leave."""
        self.tasks.append(trio.lowlevel.current_task())
        opening = open_stream_client(
            End(self.to_server, self.to_client),
            revision=self.revision,
            elicitation=self.fill_in if self.answers else None,
        )
        async with opening as self.client, trio.open_nursery() as self.calls:
            await self.leaving.wait()
            self.calls.cancel_scope.cancel()
        self.is_over = True

    async def fill_in(self, form: Any) -> dict[str, str] | None:
        if not self.questions:
            self._asked_since = trio.current_time()
        question = self.questions[form.message] = Question()
        try:
            await question.answered.wait()
        finally:
            del self.questions[form.message]
            if not self.questions:
                self._asked_for += trio.current_time() - self._asked_since
        return {"text": form.message} if question.accepts else None

    def asked_for(self, now: float) -> float:
        """For how many seconds it has been asked something, which is time that no call counts."""
        return self._asked_for + (now - self._asked_since if self.questions else 0.0)

    # -- calls ----------------------------------------------------------------------------------

    async def call(self, called: Called) -> None:
        try:
            with called.scope:
                await self._call(called)
                called.told = True
        except RequestError as error:
            called.outcome, called.told = error.code, True
        except MCPError as error:
            called.outcome = type(error).__name__
        finally:
            if called.outcome is None:
                called.outcome = "left"

    async def _call(self, called: Called) -> None:
        arguments = {} if called.tool in EXTRAS else {"label": called.label}
        if called.tool == "stream":
            stream = self.client.stream_tool("stream", arguments, timeout=TIMEOUT)
            async with stream as chunks:
                async for chunk in chunks:
                    called.chunks.append(chunk)
            called.outcome = chunks.result.text
            return
        kept = Kept()
        called.kept = weakref.ref(kept)

        async def on_progress(done: float, total: float | None, message: str | None) -> None:
            await trio.lowlevel.checkpoint()
            assert kept is not None

        result = await self.client.call_tool(
            called.tool, arguments, timeout=TIMEOUT, progress=on_progress
        )
        called.outcome = result.text

    async def listen(self, listening: Listening) -> None:
        uris = [each for each in listening.wanted if each != TOOLS]
        try:
            with listening.scope, contextlib.suppress(MCPError):
                async with self.client.listen(
                    resources=uris, tools_list_changed=TOOLS in listening.wanted, timeout=TIMEOUT
                ) as changes:
                    listening.is_open = True
                    async for change in changes:
                        listening.told.hear(name_of(change))
        finally:
            listening.is_open, listening.is_over = False, True


class InMemory(ServerMachine):
    """What a server and its clients may do to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.clients: dict[str, Connected] = {}
        self.calls: dict[str, Called] = {}
        self.listeners: dict[str, Listening] = {}
        self._numbers = iter(range(1, 1000))

    # -- for the base ---------------------------------------------------------------------------

    def conversations(self) -> Iterable[Conversation]:
        return [each.conversation for each in self.clients.values() if each.is_served]

    def subscribers(self) -> Iterator[tuple[Told, str, bool]]:
        for each in self.listeners.values():
            for change in each.wanted:
                yield each.told, change, each.is_open

    def counts(self) -> dict[str, int]:
        served = sum(each.is_served for each in self.clients.values())
        return {"connections": served, "http_requests": 0, "http_sessions": 0}

    def is_idle(self) -> bool:
        return all(each.is_over for each in self.clients.values())

    def can_ask(self, label: str) -> bool:
        return self.calls[label].by.answers

    # -- names ----------------------------------------------------------------------------------

    def connected(self) -> list[str]:
        """Clients that can be used, whether or not their connection still works."""
        return [name for name, each in self.clients.items() if not each.is_over]

    def settled(self) -> list[str]:
        """Those of them that have had some time to do something."""
        return [name for name in self.connected() if self.clients[name].age >= _CALM]

    def free(self) -> list[str]:
        """Those of them that may call once more."""
        return [name for name in self.connected() if len(self.under_way(name)) < _MOST_CALLS]

    def held(self) -> list[str]:
        return [name for name in self.connected() if self.clients[name].is_held]

    def under_way(self, name: str) -> list[str]:
        """Calls and subscriptions that have not ended."""
        client = self.clients[name]
        calls = [k for k, each in self.calls.items() if each.by is client and each.outcome is None]
        return calls + [
            k for k, each in self.listeners.items() if each.by is client and not each.is_over
        ]

    def calling(self) -> list[str]:
        return [label for label, each in self.calls.items() if each.outcome is None]

    def listening(self) -> list[str]:
        return [label for label, each in self.listeners.items() if not each.is_over]

    def questions(self) -> list[str]:
        return [text for each in self.clients.values() for text in each.questions]

    # -- connections ----------------------------------------------------------------------------

    @initialize(
        schedule=SCHEDULES,
        revisions=st.lists(st.sampled_from(REVISIONS), min_size=1, max_size=_MOST),
    )
    def begin(self, schedule: int, revisions: list[str]) -> None:
        """Something is under way from the beginning."""
        self.begin_with(schedule)
        for revision in revisions:
            self.connect(revision, True)
            self.call(f"client{len(self.clients)}", "work", "report")

    @precondition(lambda self: self.is_serving and len(self.connected()) < _MOST)
    @rule(revision=st.sampled_from(REVISIONS), answers=st.sampled_from([True, True, False]))
    def connect(self, revision: str, answers: bool) -> None:
        name = f"client{len(self.clients) + 1}"
        client = self.clients[name] = Connected(name, revision, answers, self.puppets.parked)
        client.open()
        self.host.call(self.doors.start_soon, client.serve, self)
        self.host.call(self.host.nursery.start_soon, client.run)
        assert client.client.revision == revision
        client.idle = client.names()

    @precondition(lambda self: self.settled())
    @rule(name=among(lambda self: self.settled()), how=st.sampled_from(["close", "cut"]))
    def disconnect(self, name: str, how: str) -> None:
        """The client leaves, or its connection is cut."""
        if how == "close":
            self._close(name)
        else:
            self._cut(name)

    def _close(self, name: str) -> None:
        """The client leaves. What it still does is cancelled."""
        client = self.clients[name]
        # First what was held back arrives; else an answer to it and its cancellation could cross.
        self.host.call(client.open)
        for label in self.under_way(name):
            if label in self.calls:
                self.calls[label].was_left = True
        self.host.call(client.leaving.set)
        if not self.is_serving:
            # It unsubscribes, for a second; a server that is shut down may not read that any more.
            self.host.pass_time(1)
        assert client.is_over
        assert not self.under_way(name)
        client.conversation.leave()

    def _cut(self, name: str) -> None:
        """The connection is gone, in both directions, with all messages that were held back."""
        client = self.clients[name]
        client.is_cut = True
        client.conversation.leave()
        self.host.call(client.to_server.end)
        self.host.call(client.to_client.end)
        client.open()
        # Nobody hears what was held back.
        client.conversation.leave()

    @precondition(lambda self: len(self.held()) < len(self.connected()))
    @rule(name=among(lambda self: self.connected()), to_server=st.booleans())
    def hold(self, name: str, to_server: bool) -> None:
        """From now on messages in one direction are held back."""
        client = self.clients[name]
        way = client.to_server if to_server else client.to_client
        way.is_open, client.was_held = False, True

    @precondition(lambda self: self.held())
    @rule(
        name=among(lambda self: self.held()),
        count=st.sampled_from([None, 1, 2]),
        to_server=st.booleans(),
    )
    def deliver(self, name: str, count: int | None, to_server: bool) -> None:
        """Some of the messages that were held back arrive; or all, and none are held any more."""
        client = self.clients[name]
        if count is None:
            self.host.call(client.open)
        else:
            way = client.to_server if to_server else client.to_client
            self.host.call(way.deliver, count)

    # -- what clients do ------------------------------------------------------------------------

    def _start(self, name: str, function: Any, thing: Any) -> None:
        self.host.call(self.clients[name].calls.start_soon, function, thing)

    @precondition(lambda self: self.free())
    @rule(
        name=among(lambda self: self.free()),
        tool=st.sampled_from(["work", "work", "stream", "think", *EXTRAS]),
        first=st.sampled_from(
            ["", "report", "ask", "ask", "ask twice", "ask aside", "chunk", "linger"]
        ),
    )
    def call(self, name: str, tool: str, first: str) -> None:
        """A tool is called; a puppet is given its first order."""
        client = self.clients[name]
        label = f"call{next(self._numbers)}"
        now = self.host.now
        called = self.calls[label] = Called(label, tool, client, now, client.asked_for(now))
        if tool in EXTRAS and not client.is_held:
            called.expected = tool if tool in self.extras else INVALID_PARAMS
        mine = [each for each in self.puppets.living if self.calls[each.label].by is client]
        busy = {*self.under_way(name), *(each.label for each in mine)}
        called.was_crowded = client.was_held or len(busy) > LIMITS.in_flight
        if tool == "think":
            called.expected = thought_of(label)
            left = abandoned(self.puppets, self.conversations())
            called.was_crowded |= len(left) >= LIMITS.abandoned_threads
        self._start(name, client.call, called)
        if label in self.labels() and first and (client.answers or "ask" not in first):
            self._tell(label, first)

    @precondition(lambda self: self.calling())
    @rule(label=among(lambda self: self.calling()))
    def leave(self, label: str) -> None:
        """A call is cancelled by whoever made it."""
        called = self.calls[label]
        called.was_left = True
        self.host.call(called.scope.cancel)
        assert called.outcome is not None

    @precondition(lambda self: self.free())
    @rule(
        name=among(lambda self: self.free()),
        wanted=st.sampled_from(
            [(TOOLS,), URIS[:1], URIS[1:], URIS, (TOOLS, URIS[0]), (TOOLS, *URIS)]
        ),
    )
    def listen(self, name: str, wanted: tuple[str, ...]) -> None:
        client = self.clients[name]
        label = f"listener{next(self._numbers)}"
        listening = self.listeners[label] = Listening(label, client, wanted)
        self._start(name, client.listen, listening)

    @precondition(lambda self: self.listening())
    @rule(label=among(lambda self: self.listening()))
    def stop_listening(self, label: str) -> None:
        listening = self.listeners[label]
        self.host.call(listening.scope.cancel)
        assert not listening.told.owed or listening.by.is_held

    @precondition(lambda self: self.questions())
    @rule(text=among(lambda self: self.questions()), accepts=st.sampled_from([True, True, False]))
    def answer(self, text: str, accepts: bool) -> None:
        """A question is answered or declined, if it has not been answered too late."""
        [question] = [
            each.questions[text] for each in self.clients.values() if text in each.questions
        ]
        question.accepts = accepts
        self.host.call(question.answered.set)

    @precondition(lambda self: self.connected())
    @rule(name=among(lambda self: self.connected()))
    def notify(self, name: str) -> None:
        params = {"label": f"notice{next(self._numbers)}"}
        self.host.call(self.clients[name].client.notify, NOTICE, params)

    # -- what must hold -------------------------------------------------------------------------

    def clients_are_well_served(self) -> None:
        for client in self.clients.values():
            client.age += 1
        self.a_call_that_waits_has_a_reason()
        self.a_call_ends_as_its_handler_did()
        self.subscribers_are_told()
        self.who_is_idle_has_no_more_tasks_than_in_the_beginning()

    def a_call_that_waits_has_a_reason(self) -> None:
        """Its request is open at the server, or its client is asked something: nothing is lost."""
        for label in self.calling():
            called = self.calls[label]
            client = called.by
            if client.is_held or (client.is_served and self.is_ending):
                continue
            is_asked = any(text.split("/")[0] == label for text in client.questions)
            is_open = label in client.conversation.labels or client.conversation.is_deaf
            assert is_open or is_asked, f"{label} waits in vain"
            puppet = self.puppets.running.get(label)
            if called.tool == "stream" and puppet is not None and puppet.leaving_since is None:
                # One chunk may wait for the next round, and others were never sent.
                between = self.puppets.between_rounds(self.host.now)
                waiting = len(puppet.unsure) + (label in between)
                assert puppet.chunks - waiting <= len(called.chunks) <= puppet.chunks
            if puppet is None or not puppet.done:
                asked = client.asked_for(self.host.now) - called.asked_before
                until = called.since + TIMEOUT + asked
                assert self.host.now <= until, f"{label} waits for too long"

    def a_call_ends_as_its_handler_did(self) -> None:
        for label, called in self.calls.items():
            if called.outcome is not None:
                assert called.kept is None or called.kept() is None, f"a cycle of {label}"
                self._check_outcome(called)

    def _check_outcome(self, called: Called) -> None:
        """What a call was told is what its handler came to, unless it did not come to an end."""
        puppet = self.puppets.running.get(called.label)
        assert puppet is None or puppet.has_sent(called.chunks[:-1])
        if not called.told:
            self._check_untold(called)
            return
        own = called.expected if puppet is None else puppet.outcome
        if own is not None and called.outcome == own:
            return
        refusals = {LIMIT_EXCEEDED} if puppet is None and called.was_crowded else set()
        if puppet is not None and puppet.is_stateless:
            # It was asked, and answered when its handler had been given up or its client had too
            # many requests.
            refusals |= {INVALID_PARAMS, LIMIT_EXCEEDED} if puppet.done else set()
        if self.has_been_down or called.by.is_cut:
            refusals |= {SHUTTING_DOWN, INTERNAL_ERROR}
        if called.tool in EXTRAS:
            refusals |= {INVALID_PARAMS, called.tool}
        if puppet is not None and puppet.defies:
            refusals.add("in spite of it")
        assert called.outcome in refusals, f"{called.label}: {called.outcome!r}, not {own!r}"

    def _check_untold(self, called: Called) -> None:
        if called.outcome == "left":
            assert called.was_left
        elif called.outcome == "ConnectionLost":
            assert called.by.is_cut or self.has_been_down
        else:
            assert called.outcome == RequestTimeout.__name__, called.outcome
            assert self.host.now >= called.since + TIMEOUT

    def subscribers_are_told(self) -> None:
        for listening in self.listeners.values():
            client = listening.by
            # What was held back may be older than the subscription.
            assert client.was_held or listening.told.flaws == []
            is_ending = client.conversation.is_deaf or self.is_ending
            if client.is_held or (client.is_served and is_ending):
                continue
            assert listening.is_open or listening.is_over, f"{listening.label} waits in vain"
            if listening.is_open:
                assert not listening.told.owed, f"{listening.label} is not told"

    def who_is_idle_has_no_more_tasks_than_in_the_beginning(self) -> None:
        # Also those that have ended, whose outcome is kept for the next round.
        waiting = self.puppets.between_rounds(self.host.now)
        working = waiting | {each.label for each in self.puppets.living}
        for name in self.connected():
            client = self.clients[name]
            is_working = client.conversation.open or self.under_way(name) or client.questions
            if not is_working and not client.is_held and client.is_served:
                mine = [label for label in working if label and self.calls[label].by is client]
                if not mine and not self.puppets.notices:
                    assert client.names() == client.idle

    def end(self) -> None:
        """Everything comes to its end; then nothing is left."""
        for client in self.clients.values():
            self.host.call(client.open)
        for name in self.connected():
            self._close(name)
        self.host.pass_time(5)
        self.nothing_outlives_its_request()
        self.statistics_are_true()
        self.nothing_is_left_of_clients()
        assert self.puppets.living == []
        if self.is_up:
            self.kill()
            self.host.pass_time(5)
        assert not self.is_up
        self.a_shutdown_ends()


#: A failure is made as short as possible before it is shown.
pytestmark = pytest.mark.timeout(1200)

TestInMemory = InMemory.TestCase
TestInMemory.settings = steps(50)
