"""Handlers that wait for the client's answer between two requests (stateless era).

A question ends the exchange with `input_required`; the handler's frame stays where it is, in its
own task, under a deadline. The client's retry is a new exchange; it brings the answers and a
sealed state that says which frame they are for, and the *same frame* goes on. When the frame is
gone, a handler that was registered for it runs again from the top and is given the recorded
answers back.

Answers are matched by the question, never by order: by the handler's own key or by a digest of
the question, and how often it was asked before.

Specification: 2026-07-28, Multi Round-Trip Requests.
"""

from __future__ import annotations

import collections
import os
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio

from trimcp.errors import INVALID_PARAMS, INVALID_REQUEST, RequestError
from trimcp.protocol import InvalidShape, read_retry, subject_of
from trimcp.types import InputRequest, InputRequiredResult

from ._seal import InvalidState, State, digest_of

if TYPE_CHECKING:
    from trimcp.limits import Limits

    from ._frame import Frame
    from ._seal import Seal

__all__ = ["Answers", "Parking", "Questions"]

#: Digest of the question (None if the client volunteered the answer) and the answer, by key.
Answers: TypeAlias = dict[str, tuple[str | None, dict[str, Any]]]


@attrs.define(eq=False)
class Question:
    """One open question.

    Attributes:
        request: What the client is asked.
        digest: What the answer is matched by.
        answered: Set once the answer is there.
        answer: The client's result in wire form.
    """

    request: InputRequest
    digest: str
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: dict[str, Any] | None = None


@attrs.define(eq=False)
class Questions:
    """What one frame has asked so far.

    Attributes:
        id: Names the frame in sealed states.
        answers: The answers so far, by key.
        pending: The open questions, by key.
        is_parked: Whether the frame has no exchange and waits for the next round.
        deadline: When the wait is over.
        resumed: Set when the next round begins.
    """

    id: str = attrs.field(factory=lambda: os.urandom(16).hex())
    answers: Answers = attrs.field(factory=dict)
    pending: dict[str, Question] = attrs.field(factory=dict)
    is_parked: bool = False
    deadline: float = 0.0
    resumed: trio.Event = attrs.field(factory=trio.Event)
    _asked: collections.Counter[str] = attrs.field(factory=collections.Counter)

    def name(self, key: str | None, digest: str) -> str:
        """The key of a question: the handler's own or its digest, and its occurrence."""
        base = key or digest
        self._asked[base] += 1
        count = self._asked[base]
        return base if count == 1 else f"{base}-{count}"


class Parking:
    """The frames of one application that have asked something.

    Args:
        seal: Seals the states.
        limits: `parked` and `parked_seconds` are used.
    """

    def __init__(self, seal: Seal, limits: Limits) -> None:
        self._seal = seal
        self._limits = limits
        self._frames: dict[str, Frame] = {}
        self._waiting: dict[str, Frame] = {}

    @property
    def waiting(self) -> int:
        """How many frames wait for an answer."""
        return len(self._waiting)

    async def ask(self, frame: Frame, request: InputRequest, key: str | None) -> dict[str, Any]:
        """Ask the client and wait for the answer.

        Args:
            frame: Who asks.
            request: What the client is asked.
            key: The handler's own name for the question, or None.

        Returns:
            The client's result in wire form.

        Raises:
            RequestError: The question is not the one that the recorded answer answers.
        """
        questions = self._questions_of(frame)
        digest = digest_of(frame.exchange.encode(request))
        name = questions.name(key, digest)
        recorded = questions.answers.get(name)
        if recorded is not None:
            await trio.lowlevel.checkpoint()
            if recorded[0] not in (None, digest):
                raise RequestError(INVALID_PARAMS, f"the question {name!r} changed between rounds")
            return recorded[1]
        question = questions.pending[name] = Question(request, digest)
        frame.pause()
        try:
            # Sibling tasks that are about to ask too share this round.
            await trio.lowlevel.checkpoint()
            if not questions.is_parked and not question.answered.is_set():
                self._park(frame, questions)
            await question.answered.wait()
        finally:
            del questions.pending[name]
            frame.resume()
        assert question.answer is not None
        return question.answer

    def _questions_of(self, frame: Frame) -> Questions:
        if frame.questions is None:
            frame.questions = Questions()
        self._frames[frame.questions.id] = frame
        return frame.questions

    def _park(self, frame: Frame, questions: Questions) -> None:
        """End the exchange with every open question, and let the frame wait."""
        open_questions = {
            name: question
            for name, question in questions.pending.items()
            if not question.answered.is_set()
        }
        exchange = frame.exchange
        data = exchange.answer(
            InputRequiredResult(
                input_requests={
                    name: question.request for name, question in open_questions.items()
                },
                request_state=self._seal.seal(self._state(frame, questions, open_questions)),
            )
        )
        questions.is_parked = True
        questions.resumed = trio.Event()
        questions.deadline = trio.current_time() + self._limits.parked_seconds
        frame.scope.deadline = questions.deadline
        frame.home.parked.add(frame)
        self._waiting[questions.id] = frame
        frame.peer.send_nowait(data)
        frame.peer.settle()
        if len(self._waiting) > self._limits.parked:
            self._evict()

    def _evict(self) -> None:
        """Too many wait: the one that has waited longest must go."""
        oldest = next(iter(self._waiting))
        self._waiting.pop(oldest).cancel("too many handlers wait for answers")

    def _state(
        self, frame: Frame, questions: Questions, open_questions: dict[str, Question]
    ) -> State:
        exchange = frame.exchange
        return State(
            frame=questions.id,
            method=exchange.method,
            subject=digest_of(subject_of(exchange.params)),
            principal=None,
            expires=time.time() + self._limits.parked_seconds,
            questions={name: question.digest for name, question in open_questions.items()},
            answers={
                name: (digest or "", answer) for name, (digest, answer) in questions.answers.items()
            },
        )

    def take_retry(self, frame: Frame) -> Answers | None:
        """Look at what a new request brings from an earlier round.

        Args:
            frame: The frame of the new request.

        Returns:
            None if a waiting frame has taken over the exchange; otherwise the answers that the
            new frame starts with, mostly none.

        Raises:
            RequestError: The state is forged, expired, or for another request.
        """
        try:
            retry = read_retry(frame.exchange.params)
        except InvalidShape as error:
            raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None
        responses = retry.responses if isinstance(retry.responses, dict) else {}
        if not isinstance(retry.request_state, str):
            return {name: (None, response) for name, response in responses.items()}
        state = self._open(retry.request_state, frame)
        waiting = self._frames.get(state.frame)
        if waiting is not None and not waiting.scope.cancel_called:
            self._resume(waiting, frame, responses)
            return None
        answers: Answers = {
            name: (digest or None, answer) for name, (digest, answer) in state.answers.items()
        }
        for name, digest in state.questions.items():
            if name in responses:
                answers[name] = (digest, responses[name])
        frame.lost_state = True
        return answers

    def _open(self, text: str, frame: Frame) -> State:
        """Unseal a state and check that it belongs to this request."""
        exchange = frame.exchange
        try:
            state = self._seal.open(text)
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

    def _resume(self, frame: Frame, newcomer: Frame, responses: dict[str, dict[str, Any]]) -> None:
        """The next round: the waiting frame takes over the new exchange and gets its answers."""
        questions = frame.questions
        assert questions is not None
        if not questions.is_parked:
            # The client sent its retry again, believing the first one lost.
            frame.peer.send_nowait(
                frame.exchange.fail(INVALID_REQUEST, "superseded by a later retry")
            )
            frame.rebind(newcomer.peer, newcomer.exchange)
            return
        frame.rebind(newcomer.peer, newcomer.exchange)
        self._unpark(frame, questions)
        for name, question in questions.pending.items():
            if name in responses and not question.answered.is_set():
                question.answer = responses[name]
                questions.answers[name] = (question.digest, responses[name])
                question.answered.set()
        if any(not question.answered.is_set() for question in questions.pending.values()):
            self._park(frame, questions)
        else:
            questions.resumed.set()

    def _unpark(self, frame: Frame, questions: Questions) -> None:
        questions.is_parked = False
        frame.scope.deadline = float("inf")
        frame.home.parked.discard(frame)
        self._waiting.pop(questions.id, None)

    def forget(self, frame: Frame) -> None:
        """The frame has ended."""
        if frame.questions is not None:
            frame.home.parked.discard(frame)
            self._frames.pop(frame.questions.id, None)
            self._waiting.pop(frame.questions.id, None)
