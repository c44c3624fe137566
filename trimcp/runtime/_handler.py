"""One run of a user's function, and the questions that it asks."""

from __future__ import annotations

import collections
import math
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import trio

from trimcp.errors import ConnectionLost, RequestTimeout

from ._boundary import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trimcp.types import InputRequest

    from ._home import Home
    from ._peer import Peer
    from ._round import Round
    from ._seal import State

__all__ = ["Answers", "Asker", "Delivery", "Handler", "Question", "Retried"]

#: By key, the digest of the question and the answer; no digest if the question is not known.
Answers: TypeAlias = dict[str, tuple[str | None, dict[str, Any]]]


@attrs.frozen
class Retried:
    """What a request carries from an earlier round.

    Attributes:
        responses: The answers, by key; None if it carries none.
        state: The state that belongs to the answers, if the request has it.
        kept: A value that the handler stored in the state.
    """

    responses: Mapping[str, Any] | None = None
    state: State | None = None
    kept: Any = None


_NOTHING: Final = Retried()


class Handler:
    """One run of a user's function for a round.

    Args:
        round_: The round that it answers.
        data: What the role keeps for the peer.

    Attributes:
        round: The round that it answers now.
        peer: The peer of that round.
        exchange: The round's exchange.
        data: What the role kept for the peer when the handler began.
        retry: What its first round carried from an earlier one.
        timer: The limit of its running time, or None; see `pause`.
    """

    __slots__ = ("_pauses", "_remaining", "data", "exchange", "peer", "retry", "round", "timer")

    def __init__(self, round_: Round, data: Any) -> None:
        self.round = round_
        self.peer = round_.peer
        self.exchange = round_.exchange
        self.data = data
        self.retry = _NOTHING
        self.timer: trio.CancelScope | None = None
        self._pauses = 0
        self._remaining = 0.0

    def pause(self) -> None:
        """Stop the timer: the handler waits for the client's answer."""
        if self.timer is not None:
            if self._pauses == 0:
                self._remaining = self.timer.deadline - trio.current_time()
                self.timer.deadline = math.inf
            self._pauses += 1

    def resume(self) -> None:
        """Undo one `pause`; the last one lets the timer go on."""
        if self.timer is not None:
            self._pauses -= 1
            if self._pauses == 0:
                self.timer.deadline = trio.current_time() + self._remaining


@attrs.define(eq=False)
class Question:
    """One open question.

    Attributes:
        request: What the client is asked.
        digest: Identifies the question, to match it with the answer.
        answered: Set when the answer has arrived, or cannot arrive any more.
        answer: The client's result in wire form.
        scope: Where who asks waits; it has the deadline of the answer. A handler that asks in a
            shield is out of the reach of its own scope.
    """

    request: InputRequest
    digest: str
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: dict[str, Any] | None = None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _failure: str = ""

    def fail(self, reason: str) -> None:
        """End the wait, unless there is an answer: none can arrive any more."""
        if not self.answered.is_set():
            self._failure = reason
            self.answered.set()

    async def wait(self) -> dict[str, Any]:
        """Wait for the answer.

        Raises:
            ConnectionLost: It cannot arrive any more.
            RequestTimeout: It did not come in time.
        """
        with self.scope:
            await self.answered.wait()
        if self.scope.cancelled_caught:
            raise RequestTimeout("the client did not answer in time")
        if self.answer is None:
            raise ConnectionLost(f"no answer can arrive: {self._failure}")
        return self.answer


class Delivery:
    """The outcome of one round, on its way from the handler's task to the round's.

    Args:
        unheard: Called with an outcome for which its round does not wait any more.
    """

    __slots__ = ("_arrived", "_outcome", "_unheard", "_was_left")

    def __init__(self, unheard: Callable[[Any], None]) -> None:
        self._arrived = trio.Event()
        self._outcome: Any = None
        self._unheard = unheard
        self._was_left = False

    def put(self, outcome: Any) -> None:
        """Set the outcome: a value, a `Failed`, or None if cancelled. Only the first one counts."""
        if self._arrived.is_set() or self._was_left:
            self._unheard(outcome)
        else:
            self._outcome = outcome
            self._arrived.set()

    async def take(self) -> Any:
        """Wait for the outcome. Raises what the handler raised."""
        try:
            await self._arrived.wait()
        except trio.Cancelled:
            self._was_left = True
            self._unheard(self._outcome)
            raise
        # Not kept: an error and the frames that it passed through would form a reference cycle.
        outcome, self._outcome = self._outcome, None
        if not isinstance(outcome, Failed):
            return outcome
        try:
            raise outcome.error
        finally:
            del outcome


class Asker(Handler):
    """A handler that may ask its client, and so may outlive its round.

    It has a task of its own, and is bound to one round after another. Everything that belongs to
    the current round is reached through it, since the task keeps the context variables of the first
    round.

    Args:
        round_: The first round.
        delivery: Where the outcome of that round goes.
        answers: The answers that are known already, by key.

    Attributes:
        id: Its name in sealed states.
        scope: Cancels it.
        home: The nursery of its task.
        delivery: Where the outcome of the current round goes.
        answers: The answers so far, by key.
        pending: The open questions, by key.
        is_parked: Whether it has no round and waits for the next one.
        deadline: When it stops waiting.
        resumed: Set when the next round begins.
        freeing: The peer whose slot its task still takes, if its round has ended before it.
        held: The bytes of its rounds' requests, which the budget counts until it ends.
        is_over: Whether its task has ended; tasks that it has started elsewhere may go on.
    """

    __slots__ = (
        "_asked",
        "_is_telling",
        "_told",
        "answers",
        "deadline",
        "delivery",
        "freeing",
        "held",
        "home",
        "id",
        "is_over",
        "is_parked",
        "pending",
        "resumed",
        "scope",
    )

    def __init__(self, round_: Round, delivery: Delivery, answers: Answers) -> None:
        super().__init__(round_, round_.peer.data)
        self.id = os.urandom(16).hex()
        self.scope = trio.CancelScope()
        self.home: Home = round_.peer.home
        self.delivery = delivery
        self.answers = answers
        self.pending: dict[str, Question] = {}
        self.is_parked = False
        self.is_over = False
        self.deadline = 0.0
        self.resumed = trio.Event()
        self.freeing: Peer | None = None
        self.held = 0
        self._asked: collections.Counter[str] = collections.Counter()
        self._is_telling = False
        self._told = trio.lowlevel.ParkingLot()
        self._take(round_)

    def cancel(self, reason: str) -> None:
        """Cancel the handler; its questions that wait in a shield fail."""
        self.scope.cancel(reason=reason)
        for question in self.pending.values():
            question.fail(reason)

    def bind(self, round_: Round) -> None:
        """Bind the handler to a round: from now on its exchange is answered."""
        self._leave_round()
        self.round = round_
        self.peer = round_.peer
        self.exchange = round_.exchange
        self._take(round_)

    def _take(self, round_: Round) -> None:
        round_.handler = self
        # Answers are kept until the handler ends, so the bytes of their requests stay counted.
        self.held += round_.held
        round_.held = 0

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Send something in the block that must be sent before the round ends."""
        self._is_telling = True
        try:
            yield
        finally:
            self._is_telling = False
            self._told.unpark_all()

    async def wait_told(self) -> None:
        """Wait until nothing is being sent that must be sent before the round ends."""
        while self._is_telling:
            await self._told.park()

    def _leave_round(self) -> None:
        # Middleware may have started another handler for the same round.
        if self.round.handler is self:
            self.round.handler = None

    def end(self) -> None:
        """Release what the handler held, since its task has ended."""
        self.is_over = True
        for question in self.pending.values():
            question.fail("the request has been answered")
        self.peer.budget.give(self.held)
        self._leave_round()
        if self.freeing is not None:
            self.freeing.free_slot()

    def name(self, key: str | None, digest: str) -> str:
        """The key of a question: the handler's key or the digest, and a number if repeated."""
        base = key or digest
        self._asked[base] += 1
        count = self._asked[base]
        return base if count == 1 else f"{base}-{count}"
