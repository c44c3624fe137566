"""Handlers that wait for the client's answer between two requests (stateless era).

A question ends the exchange with `input_required`; the handler stays where it is, in its own
task, under a deadline. The client's retry is a new exchange; it brings the answers and a
sealed state that says which handler they are for, and *that same handler* goes on. When it is
gone, a handler that was registered for it runs again from the top and is given the recorded
answers back.

Answers are matched by the question, never by order: by the handler's own key or by a digest of
the question, and how often it was asked before.

Specification: 2026-07-28, Multi Round-Trip Requests.
"""

from __future__ import annotations

import collections
import functools
import math
import time
from typing import TYPE_CHECKING, Any

import trio

from trimcp.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    SHUTTING_DOWN,
    RequestError,
)
from trimcp.protocol import InvalidShape, read_retry, subject_of
from trimcp.types import InputRequest, InputRequiredResult

from ._boundary import Failed, ProtocolError, captured, log_unheard
from ._handler import Answers, Asker, Delivery, Question, Retried
from ._seal import InvalidState, State, digest_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trimcp.limits import Limits

    from ._handler import Handler
    from ._nonces import NonceStore
    from ._round import Round
    from ._seal import Seal

__all__ = ["Parking"]


class Parking:
    """The handlers of one application that may ask.

    Args:
        seal: Seals the states.
        limits: `parked` and `parked_seconds` are used.
        nonces: Remembers the states that may be used only once.
    """

    def __init__(self, seal: Seal, limits: Limits, nonces: NonceStore) -> None:
        self._seal = seal
        self._limits = limits
        self._nonces = nonces
        self._askers: dict[str, Asker] = {}
        self._waiting: dict[str, Asker] = {}

    @property
    def waiting(self) -> int:
        """How many handlers wait for an answer."""
        return len(self._waiting)

    # -- rounds ---------------------------------------------------------------------------

    async def run(
        self,
        round_: Round,
        work: Callable[[Asker], Awaitable[Any]],
        *,
        replay: bool,
        single_use: bool,
    ) -> Any:
        """Answer a request: start its handler, or let the one go on that waits for it.

        Args:
            round_: The request.
            work: Runs the handler, in its own task.
            replay: Whether it may run again from the top with recorded answers.
            single_use: Whether each state that it gave out is accepted only once.

        Returns:
            What the handler returned, or an `InputRequiredResult` if it asks.

        Raises:
            RequestError: The request brings a state that cannot be used.
            BaseException: What the handler raised.
        """
        retry = await self._read_retry(round_, single_use=single_use)
        state = retry.state
        waiting = None if state is None or state.frame is None else self._askers.get(state.frame)
        if waiting is not None and not waiting.scope.cancel_called:
            asker, delivery = waiting, self._resume(waiting, round_, retry.responses or {})
        elif state is not None and state.frame is not None and not replay:
            raise RequestError(
                INVALID_PARAMS,
                "state lost: the handler that asked is gone; ask again from the start",
            )
        else:
            asker = self._start(round_, work, retry)
            delivery = asker.delivery
        try:
            return await delivery.take()
        except trio.Cancelled:
            # Perhaps middleware has given it up, while the round goes on.
            if asker.delivery is delivery:
                asker.cancel("its request was cancelled")
            raise

    def _start(
        self, round_: Round, work: Callable[[Asker], Awaitable[Any]], retry: Retried
    ) -> Asker:
        asker = Asker(round_, _delivery(round_), _recorded(retry))
        asker.retry = retry
        if not asker.home.try_start(self._live, asker, work):
            asker.end()
            raise ProtocolError(SHUTTING_DOWN, "the server is shutting down")
        self._askers[asker.id] = asker
        return asker

    async def _live(self, asker: Asker, work: Callable[[Asker], Awaitable[Any]]) -> None:
        """The handler's task: from its first round to its last."""
        outcome, passing = None, None
        try:
            outcome, passing = await captured(asker.scope, work, asker)
            if passing is not None:
                raise passing
            if asker.is_parked:
                await _wait_round(asker)
        finally:
            asker.home.parked.discard(asker)
            self._askers.pop(asker.id, None)
            self._waiting.pop(asker.id, None)
            asker.delivery.put(outcome)
            asker.end()
            # An error and its frames would form a reference cycle.
            outcome = passing = None

    # -- asking ---------------------------------------------------------------------------

    async def ask(self, handler: Handler, request: InputRequest, key: str | None) -> dict[str, Any]:
        """Ask the client and wait for the answer.

        Args:
            handler: Who asks.
            request: What the client is asked.
            key: The handler's own name for the question, or None.

        Returns:
            The client's result in wire form.

        Raises:
            RequestError: The question is not the one that the recorded answer answers.
            ConnectionLost: The answer cannot arrive any more, and who asks cannot be cancelled: it
                waits in a shield, or outlives its handler.
            RequestTimeout: The same for an answer that did not come in time.
        """
        if not isinstance(handler, Asker):
            raise RequestError(
                INVALID_REQUEST, "only a handler with a Context parameter may ask the client"
            )
        asker = handler
        digest = digest_of(asker.exchange.encode(request))
        name = asker.name(key, digest)
        recorded = asker.answers.get(name)
        if recorded is not None:
            await trio.lowlevel.checkpoint()
            if recorded[0] not in (None, digest):
                raise RequestError(INVALID_PARAMS, f"the question {name!r} changed between rounds")
            return recorded[1]
        question = asker.pending[name] = Question(request, digest)
        asker.pause()
        try:
            # Sibling tasks that will ask at once share this round.
            await trio.lowlevel.checkpoint()
            await asker.wait_told()
            if asker.is_over or asker.scope.cancel_called:
                question.fail("the request has been answered or cancelled")
            if asker.is_parked:
                question.scope.deadline = asker.deadline
            elif not question.answered.is_set():
                self._park(asker)
            return await question.wait()
        finally:
            del asker.pending[name]
            asker.resume()

    def _park(self, asker: Asker) -> None:
        """End the round with every open question, and let the handler wait."""
        asked = {
            name: question
            for name, question in asker.pending.items()
            if not question.answered.is_set()
        }
        digests = {name: question.digest for name, question in asked.items()}
        answers = {name: (digest or "", answer) for name, (digest, answer) in asker.answers.items()}
        result = InputRequiredResult(
            input_requests={name: question.request for name, question in asked.items()},
            request_state=self._sealed(asker.round, asker.id, digests, answers),
        )
        asker.is_parked = True
        if asker.resumed.is_set():
            asker.resumed = trio.Event()
        asker.deadline = trio.current_time() + self._limits.parked_seconds
        asker.scope.deadline = asker.deadline
        for question in asked.values():
            question.scope.deadline = asker.deadline
        asker.home.parked.add(asker)
        self._waiting[asker.id] = asker
        asker.delivery.put(result)
        if asker.home.is_ending:
            asker.cancel("no further round can arrive")
        elif len(self._waiting) > self._limits.parked:
            self._evict()

    def _evict(self) -> None:
        """End the handler that has waited longest for a caller for whom most wait."""
        held = collections.Counter(_identity_of(each) for each in self._waiting.values())
        most = max(held.values())
        leaving = next(each for each in self._waiting.values() if held[_identity_of(each)] == most)
        del self._waiting[leaving.id]
        leaving.cancel("too many handlers wait for answers")

    def keep(
        self, round_: Round, requests: dict[str, InputRequest], kept: Any
    ) -> InputRequiredResult:
        """The questions of a handler that does not wait: its retry runs it from the top.

        Args:
            round_: The current round.
            requests: The questions, by key.
            kept: What it wants back with the answers: anything that is JSON, or None.
        """
        return InputRequiredResult(
            input_requests=requests or None,
            request_state=self._sealed(round_, None, {}, {}, kept),
        )

    def _sealed(
        self,
        round_: Round,
        handler: str | None,
        questions: dict[str, str],
        answers: dict[str, tuple[str, dict[str, Any]]],
        kept: Any = None,
    ) -> str:
        exchange = round_.exchange
        return self._seal.seal(
            State(
                frame=handler,
                method=exchange.method,
                subject=digest_of(subject_of(exchange.params)),
                principal=_owner_of(round_),
                expires=time.time() + self._limits.parked_seconds,
                questions=questions,
                answers=answers,
                kept=kept,
            )
        )

    # -- retries --------------------------------------------------------------------------

    async def _read_retry(self, round_: Round, *, single_use: bool) -> Retried:
        """Look at what a request brings from an earlier round.

        Raises:
            RequestError: The state is forged, expired, used up, or for another request or caller.
        """
        try:
            retry = read_retry(round_.exchange.params)
        except InvalidShape as error:
            raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None
        responses = retry.responses if isinstance(retry.responses, dict) else None
        if not isinstance(retry.request_state, str):
            return Retried(responses)
        state = self._open(retry.request_state, round_)
        left = state.expires - time.time()
        if single_use and not await self._nonces.use(state.nonce, left):
            raise RequestError(INVALID_PARAMS, "requestState has already been used")
        return Retried(responses, state, state.kept)

    def _open(self, text: str, round_: Round) -> State:
        """Unseal a state and check that it belongs to this request, and to whoever makes it.

        A stranger is told the same as a forger.
        """
        exchange = round_.exchange
        try:
            state = self._seal.open(text)
            if state.principal != _owner_of(round_):
                raise InvalidState
        except InvalidState:
            raise RequestError(
                INVALID_PARAMS, "requestState was not issued by this server, or was changed"
            ) from None
        if state.expires < time.time():
            raise RequestError(INVALID_PARAMS, "requestState has expired")
        subject = digest_of(subject_of(exchange.params))
        if (state.method, state.subject) != (exchange.method, subject):
            raise RequestError(INVALID_PARAMS, "requestState belongs to another request")
        return state

    def _resume(
        self, asker: Asker, round_: Round, responses: Mapping[str, dict[str, Any]]
    ) -> Delivery:
        """The next round: the handler takes over its exchange and gets its answers."""
        superseded = RequestError(INVALID_REQUEST, "superseded by a later retry")
        asker.delivery.put(Failed(superseded))
        asker.delivery = delivery = _delivery(round_)
        asker.bind(round_)
        if not asker.is_parked:
            # The client sent its retry again, believing the first one lost.
            return delivery
        self._unpark(asker)
        for name, question in asker.pending.items():
            if name in responses and not question.answered.is_set():
                question.answer = responses[name]
                asker.answers[name] = (question.digest, responses[name])
                question.answered.set()
        if any(not question.answered.is_set() for question in asker.pending.values()):
            self._park(asker)
        else:
            asker.resumed.set()
        return delivery

    def _unpark(self, asker: Asker) -> None:
        asker.is_parked = False
        asker.scope.deadline = math.inf
        asker.home.parked.discard(asker)
        self._waiting.pop(asker.id, None)


def _owner_of(round_: Round) -> str | None:
    """Whom a round's state is given to: a digest, so that every state is short."""
    principal = round_.principal
    return None if principal is None else digest_of(*principal.identity)


def _identity_of(asker: Asker) -> object:
    """For whom a handler waits; None where nobody is asked for a token."""
    principal = asker.round.principal
    return None if principal is None else principal.identity


def _recorded(retry: Retried) -> Answers:
    """The answers that a new handler starts with."""
    responses = retry.responses or {}
    if retry.state is None:
        return {name: (None, response) for name, response in responses.items()}
    answers: Answers = {
        name: (digest or None, answer) for name, (digest, answer) in retry.state.answers.items()
    }
    for name, digest in retry.state.questions.items():
        if name in responses:
            answers[name] = (digest, responses[name])
    return answers


def _delivery(round_: Round) -> Delivery:
    return Delivery(functools.partial(log_unheard, round_.exchange))


async def _wait_round(asker: Asker) -> None:
    """The handler has ended between two rounds: keep its outcome for the next round, for a time."""
    if asker.scope.cancel_called:
        return
    asker.scope = trio.CancelScope(deadline=asker.deadline)
    with asker.scope:
        await asker.resumed.wait()
