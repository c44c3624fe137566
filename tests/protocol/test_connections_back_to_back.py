"""A client's and a server's `Connection` back to back, without IO, in every interleaving.

Each direction is a queue of messages; what is said, answered, given up and delivered when is up
to hypothesis. The model beside them knows only what each side has done.
"""

from __future__ import annotations

import collections
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as BundleOf
from hypothesis.stateful import (
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from tests.strategies import JSON_VALUES, TEXT, examples
from trimcp.limits import Limits
from trimcp.protocol import (
    LATEST,
    REVISIONS,
    AnswerUnusable,
    Call,
    Connection,
    Era,
    Exchange,
    ExchangeCancelled,
    FailureReceived,
    Ignored,
    NotificationReceived,
    ProgressReceived,
    Reply,
    RequestReceived,
    ResultReceived,
    Revision,
    Role,
    SessionEnded,
    Terms,
    find_revision,
)
from trimcp.protocol._eras import ERAS
from trimcp.types import (
    ClientCapabilities,
    Implementation,
    InitializeRequestParams,
    ProgressNotificationParams,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimcp.protocol import Event

IN_FLIGHT = 6
LIMITS = Limits(in_flight=IN_FLIGHT)
# Those with batches twice, for there is more to get wrong.
DATES = [revision.date for revision in REVISIONS for _ in range(1 + revision.batches)]
CLIENT = Implementation("client", "1")
SERVER = Implementation("server", "1")


@attrs.define(eq=False)
class Asked:
    """A call in the model."""

    call: Call
    by: Side
    batch: frozenset[int | str] | None = None
    """The ids of the requests that were sent in one array with it."""
    given_up: bool = False
    lost: bool = False
    answers: int = 0


@attrs.define(eq=False)
class Handled:
    """An exchange in the model."""

    exchange: Exchange
    by: Side
    done: bool = False
    cancelled: bool = False
    progress: int = 0


@attrs.define(eq=False)
class Side:
    """One connection, the messages on their way to it, and the model of it."""

    connection: Connection
    inbox: collections.deque[bytes] = attrs.field(factory=collections.deque)
    asked: dict[int | str, Asked] = attrs.field(factory=dict)
    handled: list[Handled] = attrs.field(factory=list)
    on_wire: collections.Counter[int | str] = attrs.field(factory=collections.Counter)
    """How many answers this side has sent to what was asked, by id."""
    peer: Side = attrs.field(init=False)

    def send(self, data: bytes | None) -> None:
        """Put a message on its way, and look at it as a bystander would."""
        if not data:
            return
        answered = [
            message["id"]
            for message in messages_of(data)
            if "method" not in message and message.get("id") in self.peer.asked
        ]
        self.on_wire.update(answered)
        self.check_batches(answered, data)
        self.peer.inbox.append(data)

    def check_batches(self, answered: list[int | str], data: bytes) -> None:
        """The answers to a batch come in one array, with all that were not cancelled."""
        batches = {self.peer.asked[identity].batch for identity in answered}
        assert len(batches) <= 1
        for batch in batches - {None}:
            assert data[:1] == b"["
            assert batch is not None
            missing = [self.handling(identity) for identity in batch.difference(answered)]
            assert all(each is not None and each.cancelled for each in missing)

    def handling(self, identity: int | str) -> Handled | None:
        found = [each for each in self.handled if each.exchange.id == identity]
        return found[-1] if found else None


def messages_of(data: bytes) -> Iterator[dict[str, Any]]:
    value = json.loads(data)
    for message in value if isinstance(value, list) else [value]:
        if isinstance(message, dict):
            yield message


NOISE = st.one_of(
    st.binary(max_size=20),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"jsonrpc": st.sampled_from(["2.0", "1.0", 2])},
        optional={
            # Ids that are nobody's, or none at all: what is answered here answers no call.
            "id": st.sampled_from([None, True, 1.5, "nobody's", 10**9, [1]]),
            "result": JSON_VALUES,
            "error": JSON_VALUES | st.just({"code": 1, "message": "x"}),
        },
    ).map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda method, params: json.dumps(
            {"jsonrpc": "2.0", "method": method, "params": params}
        ).encode(),
        st.sampled_from(
            ["notifications/cancelled", "notifications/progress", "notifications/initialized", "x"]
        ),
        JSON_VALUES
        | st.fixed_dictionaries(
            {}, optional={"requestId": st.just("nobody's"), "progressToken": JSON_VALUES}
        ),
    ),
)


class BackToBack(RuleBasedStateMachine):
    """What two connections may do to each other."""

    calls = BundleOf("calls")
    exchanges = BundleOf("exchanges")

    def __init__(self) -> None:
        super().__init__()
        self.client = Side(Connection(Role.CLIENT, CLIENT, LIMITS))
        self.server = Side(Connection(Role.SERVER, SERVER, LIMITS))
        self.client.peer, self.server.peer = self.server, self.client
        self.ended = False
        self.session: Revision | None = None

    def side(self, is_client: bool) -> Side:
        return self.client if is_client else self.server

    # -- the beginning --------------------------------------------------------------------

    @initialize(date=st.sampled_from(DATES))
    def begin(self, date: str) -> None:
        revision = find_revision(date)
        assert revision is not None
        terms = Terms(revision, CLIENT, ClientCapabilities())
        if revision.era is Era.STATELESS:
            self.client.connection.terms = terms
            return
        self.session = revision
        params = InitializeRequestParams(revision.date, ClientCapabilities(), CLIENT)
        call, data = self.client.connection.call("initialize", params, terms=terms)
        (event,) = self.server.connection.receive(data)
        assert isinstance(event, RequestReceived)
        assert event.exchange.terms.revision is revision
        answer = event.exchange.answer({"protocolVersion": revision.date})
        assert answer is not None
        (event,) = self.client.connection.receive(answer)
        assert isinstance(event, ResultReceived)
        assert event.call is call
        self.client.connection.terms = terms
        self.client.send(self.client.connection.notify("notifications/initialized"))

    # -- asking ---------------------------------------------------------------------------

    def terms(self, side: Side, *, stateless: bool) -> Terms | None:
        """One pipe carries both eras: a client may choose per request."""
        if stateless and side is self.client and self.session is not None:
            return Terms(LATEST, CLIENT)
        return None

    def open_call(self, side: Side, method: str, progress: bool, stateless: bool) -> bytes:
        call, data = side.connection.call(
            method, None, terms=self.terms(side, stateless=stateless), progress=progress
        )
        side.asked[call.id] = Asked(call, side)
        return data

    @precondition(lambda self: not self.ended)
    @rule(
        target=calls,
        by_client=st.booleans(),
        method=st.sampled_from(["tools/call", "ping", "x"]),
        progress=st.booleans(),
        stateless=st.booleans(),
    )
    def ask(self, by_client: bool, method: str, progress: bool, stateless: bool) -> Any:
        if not by_client and self.session is None:
            return multiple()  # a server of the stateless era asks nothing
        side = self.side(by_client)
        side.send(self.open_call(side, method, progress, stateless))
        return list(side.asked.values())[-1]

    @precondition(lambda self: not self.ended and self.session and self.session.batches)
    @rule(
        target=calls,
        by_client=st.booleans(),
        kinds=st.lists(
            st.sampled_from(["request", "stateless", "notification", "noise", "answer"]),
            min_size=1,
            max_size=IN_FLIGHT + 1,
        ),
    )
    def ask_batch(self, by_client: bool, kinds: list[str]) -> Any:
        side = self.side(by_client)
        before = len(side.asked)
        items = [self.batch_item(side, kind) for kind in kinds]
        new = list(side.asked.values())[before:]
        for asked in new:
            asked.batch = frozenset(each.call.id for each in new)
        side.send(b"[" + b",".join(items) + b"]")
        if len(items) > IN_FLIGHT:
            # Refused whole, under no id: the asker has to give these up.
            for asked in new:
                side.connection.cancel(asked.call)
                asked.given_up = True
        return multiple(*new)

    def batch_item(self, side: Side, kind: str) -> bytes:
        if kind == "notification":
            return side.connection.notify("notifications/x")
        if kind == "noise":
            return b"1"
        if kind == "answer":
            return b'{"jsonrpc":"2.0","id":"nobody\'s","result":{}}'
        return self.open_call(side, "tools/call", False, kind == "stateless")

    @precondition(lambda self: not self.ended)
    @rule(by_client=st.booleans(), method=st.sampled_from(["x", "notifications/initialized"]))
    def notify(self, by_client: bool, method: str) -> None:
        side = self.side(by_client)
        side.send(side.connection.notify(method))

    @precondition(lambda self: not self.ended and self.session)
    @rule()
    def initialize_again(self) -> None:
        """Another session begins. Its client forgets what it has asked in the one before."""
        assert self.session is not None
        for asked in self.client.asked.values():
            is_open = not (asked.given_up or asked.answers)
            # A batch belongs to its session, with all that stands in it.
            if is_open and (asked.call.terms.revision.era is Era.HANDSHAKE or asked.batch):
                self.client.connection.cancel(asked.call)
                asked.given_up = True
        params = InitializeRequestParams(self.session.date, ClientCapabilities(), CLIENT)
        call, data = self.client.connection.call("initialize", params)
        self.client.asked[call.id] = Asked(call, self.client)
        self.client.send(data)

    @precondition(lambda self: not self.ended)
    @rule(call=calls)
    def ask_twice(self, call: Asked) -> None:
        """The same id again while it is in use is refused; the first request is unharmed."""
        handled = call.by.peer.handling(call.call.id)
        if handled is None or handled.done or handled.cancelled:
            return
        receiver = call.by.peer.connection
        meta = {"_meta": ERAS[LATEST.era].request_meta(Terms(LATEST))}
        events = receiver.receive(
            json.dumps(
                {"jsonrpc": "2.0", "id": call.call.id, "method": "x", "params": meta}
            ).encode()
        )
        assert not any(isinstance(event, RequestReceived) for event in events)
        assert handled.exchange.is_open

    @precondition(lambda self: not self.ended)
    @rule(to_client=st.booleans(), data=NOISE)
    def make_noise(self, to_client: bool, data: bytes) -> None:
        self.side(to_client).inbox.append(data)

    # -- giving up ------------------------------------------------------------------------

    @rule(asked=calls, reason=st.none() | TEXT)
    def give_up(self, asked: Asked, reason: str | None) -> None:
        was_open = not (asked.given_up or asked.answers or asked.lost)
        data = asked.by.connection.cancel(asked.call, reason)
        assert (data is not None) == was_open
        if was_open:
            asked.given_up = True
        if not self.ended:
            asked.by.send(data)

    # -- answering ------------------------------------------------------------------------

    @rule(handled=consumes(exchanges), result=JSON_VALUES, fails=st.booleans())
    def answer(self, handled: Handled, result: Any, fails: bool) -> None:
        self.finish(handled, result, fails)

    def finish(self, handled: Handled, result: Any, fails: bool) -> None:
        exchange = handled.exchange
        before = handled.by.on_wire[exchange.id]
        was_open = exchange.is_open
        assert was_open == (not handled.cancelled and not self.ended)
        data = exchange.fail(1, "no", result) if fails else exchange.answer({"value": result})
        handled.done = True
        if not was_open:
            assert data is None
        if not self.ended:
            handled.by.send(data)
        if data is not None and data[:1] == b"{":
            assert handled.by.on_wire[exchange.id] == before + 1

    @rule(handled=exchanges)
    def answer_with_what_json_lacks(self, handled: Handled) -> None:
        """An answer that cannot be written leaves the exchange open for another."""
        if handled.done or not handled.exchange.is_open:
            return
        with pytest.raises(TypeError):
            handled.exchange.answer({"value": object()})
        with pytest.raises(TypeError):
            handled.exchange.fail(1, "x", object())
        assert handled.exchange.is_open

    @rule(handled=exchanges)
    def report(self, handled: Handled) -> None:
        handled.progress += 1
        exchange = handled.exchange
        may = exchange.progress_token is not None and exchange.is_open and not handled.done
        assert exchange.advances(handled.progress) == may
        assert not exchange.advances(handled.progress)
        params = ProgressNotificationParams(exchange.progress_token or 0, handled.progress)
        data = exchange.notify("notifications/progress", params)
        assert bool(data) == exchange.is_open
        if may:
            handled.by.send(data)

    # -- delivering -----------------------------------------------------------------------

    @precondition(lambda self: self.client.inbox or self.server.inbox)
    @rule(target=exchanges, to_client=st.booleans())
    def deliver(self, to_client: bool) -> Any:
        side = self.side(to_client)
        if not side.inbox:
            side = side.peer
        return multiple(*self.deliver_one(side))

    def deliver_one(self, side: Side) -> list[Handled]:
        new = []
        for event in side.connection.receive(side.inbox.popleft()):
            if isinstance(event, RequestReceived):
                assert event.exchange.is_open
                new.append(Handled(event.exchange, side))
                side.handled.append(new[-1])
            else:
                self.on_event(side, event)
        return new

    def on_event(self, side: Side, event: Event) -> None:
        if isinstance(event, Reply):
            side.send(event.data)
        elif isinstance(event, ResultReceived | FailureReceived | AnswerUnusable):
            asked = side.asked[event.call.id]
            assert asked.call is event.call
            assert not asked.given_up, "the answer to a call that was given up"
            asked.answers += 1
            assert asked.answers == 1, "two answers"
        elif isinstance(event, ProgressReceived):
            asked = side.asked[event.call.id]
            assert not asked.given_up
            assert not asked.answers
        elif isinstance(event, ExchangeCancelled):
            handled = side.handling(event.exchange.id)
            assert handled is not None
            assert not handled.done
            handled.cancelled = True
            # The answers to the rest of its batch.
            side.send(event.released)
        elif isinstance(event, SessionEnded):
            assert side is self.server
            for handled in side.handled:
                if not handled.done and handled.exchange.terms.revision.era is Era.HANDSHAKE:
                    handled.cancelled = True
            for call in event.calls:
                side.asked[call.id].lost = True
        else:
            assert isinstance(event, Ignored | NotificationReceived)

    # -- the end --------------------------------------------------------------------------

    @precondition(lambda self: not self.ended and (self.client.asked or self.server.asked))
    @rule(keep_inboxes=st.booleans())
    def end(self, keep_inboxes: bool) -> None:
        """The pipe breaks. What had arrived before may still be read."""
        self.ended = True
        for side in (self.client, self.server):
            if not keep_inboxes:
                side.inbox.clear()
            while side.inbox:
                self.deliver_one(side)
        for side in (self.client, self.server):
            side.inbox.clear()
            lost = side.connection.lose_calls()
            side.connection.drop()
            still_open = [
                asked.call
                for asked in side.asked.values()
                if not (asked.answers or asked.given_up or asked.lost)
            ]
            assert lost == still_open
            for call in lost:
                side.asked[call.id].lost = True

    @precondition(lambda self: self.ended)
    @rule(to_client=st.booleans(), data=NOISE)
    def read_after_the_end(self, to_client: bool, data: bytes) -> None:
        for event in self.side(to_client).connection.receive(data):
            assert isinstance(event, Reply | Ignored | NotificationReceived)

    @invariant()
    def nobody_is_answered_twice(self) -> None:
        for side in (self.client, self.server):
            for identity, count in side.on_wire.items():
                assert count == 1, f"{count} answers to {identity!r} on the wire"

    @invariant()
    def bookkeeping_is_right(self) -> None:
        for side in (self.client, self.server):
            calls = [
                each
                for each in side.asked.values()
                if not (each.given_up or each.answers or each.lost)
            ]
            assert side.connection.open_calls == len(calls)
            assert side.connection.open_exchanges <= IN_FLIGHT
            if not self.ended:
                exchanges = [each for each in side.handled if not (each.done or each.cancelled)]
                assert side.connection.open_exchanges == len(exchanges)
                assert [each.exchange for each in exchanges] == list(side.connection.exchanges())

    def teardown(self) -> None:
        """Let everything come to its end: then each call has had its one answer."""
        if not self.ended:
            self.quiesce()
        for side in (self.client, self.server):
            for handled in side.handled:
                if not handled.done:
                    self.finish(handled, None, fails=False)
        if not self.ended:
            self.quiesce()
        for side in (self.client, self.server):
            assert side.connection.open_calls == 0
            assert side.connection.open_exchanges == 0
            for asked in side.asked.values():
                ends = (asked.answers, int(asked.given_up), int(asked.lost))
                assert sum(ends) == 1, f"{asked.call} ended as {ends}"

    def quiesce(self) -> None:
        while self.client.inbox or self.server.inbox:
            for side in (self.client, self.server):
                while side.inbox:
                    self.deliver_one(side)


TestBackToBack = BackToBack.TestCase
TestBackToBack.settings = examples(300)
