"""What a handler is answering right now, and how to stop it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trimcp.protocol import Exchange
    from trimcp.transports import Budget

    from ._peer import Peer
    from ._questions import Questions
    from ._seal import State

__all__ = ["Frame", "Home", "Retried", "Slots"]


class Home(Protocol):
    """Where a handler that may ask lives: a nursery that outlasts its request.

    Attributes:
        parked: The handlers here that wait for their client's next round.
    """

    parked: set[Frame]

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start a task there. Raises NotServing where that is not possible any more."""


@attrs.frozen
class Retried:
    """What a request brings from an earlier round.

    Attributes:
        responses: The answers, by key; None if it brings none.
        state: The state that they are for, if it came with them.
        kept: What the handler wanted back.
    """

    responses: Mapping[str, Any] | None = None
    state: State | None = None
    kept: Any = None


_NOTHING: Final = Retried()


class Slots:
    """Counts the handlers of one connection whose tasks have not ended, and what it keeps.

    Args:
        budget: Counts the bytes of what is kept.
    """

    __slots__ = ("_budget", "_kept", "taken")

    def __init__(self, budget: Budget) -> None:
        self.taken = 0
        self._budget = budget
        self._kept = 0

    def free(self) -> None:
        """One has ended."""
        self.taken -= 1

    def keep(self, frame: Frame) -> None:
        """What this request has brought is kept for the connection, in the place of another's."""
        self.drop()
        self._kept, frame.held = frame.held, 0

    def drop(self) -> None:
        """Nothing is kept any more."""
        self._budget.give(self._kept)
        self._kept = 0


class Frame:
    """A running handler and the exchange it answers.

    Every request has one: its *round*, which is over when the exchange is. In the stateless era
    a handler that may ask the client outlives its round, since a question ends the exchange and
    the answers come with another one; it has a frame of its own, which is bound to each round in
    turn. All that belongs to the current round is reached through the frame, since the task and
    its context variables stay those of the first.

    Attributes:
        peer: The connection of the current round.
        exchange: The current round's.
        scope: Cancels the handler.
        handler: The frame that this round belongs to, where it is not this one.
        questions: What the handler has asked so far, where it may ask.
        retry: What its first round brought.
        timer: Bounds the handler's running time, where it is bounded; see `pause`.
        afterword: What is sent after the answer, on transports where a connection is shared.
        at_end: Called once the handler's task has ended, where its round has ended before.
        held: Bytes that its rounds have brought, which the budget counts until it ends.
    """

    __slots__ = (
        "_pauses",
        "_remaining",
        "_round",
        "afterword",
        "at_end",
        "exchange",
        "handler",
        "held",
        "peer",
        "questions",
        "retry",
        "scope",
        "timer",
    )

    def __init__(self, peer: Peer, exchange: Exchange) -> None:
        self.peer = peer
        self.exchange = exchange
        self.held = 0
        self.scope = trio.CancelScope()
        self.handler: Frame | None = None
        self.questions: Questions | None = None
        self.retry = _NOTHING
        self.timer: trio.CancelScope | None = None
        self.afterword: bytes | None = None
        self.at_end: Callable[[], None] | None = None
        self._round: Frame | None = None
        self._pauses = 0
        self._remaining = 0.0

    def cancel(self, reason: str) -> None:
        """Stop the handler."""
        self.scope.cancel(reason=reason)

    def bind(self, round_: Frame) -> None:
        """A round begins: from now on its exchange is what the handler answers."""
        if self._round is not None:
            self._round.handler = None
        self._round = round_
        round_.handler = self
        self.peer = round_.peer
        self.exchange = round_.exchange
        # Answers are kept until the handler ends, and with them what they came in.
        self.held += round_.held
        round_.held = 0

    def end_round(self, at_end: Callable[[], None]) -> None:
        """The round is over. If its client was not told how to go on, nobody will.

        Args:
            at_end: Called once nothing of the round runs any more.
        """
        if self.handler is None or self.exchange.is_answered:
            at_end()
        else:
            self.handler.cancel("its request was cancelled")
            self.handler.at_end = at_end

    def release(self) -> None:
        """What it has brought is not held any more."""
        self.peer.budget.give(self.held)
        self.held = 0

    def end(self) -> None:
        """The handler's own task has ended."""
        self.release()
        if self._round is not None:
            self._round.handler = None
            self._round = None
        if self.at_end is not None:
            self.at_end()

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
