"""What a handler is answering right now, and how to stop it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from ._boundary import answer_to, captured

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from msgspec import Raw

    from trimcp.protocol import Exchange

    from ._peer import Peer
    from ._questions import Questions
    from ._seal import State

__all__ = ["Frame", "Handlers", "Retried"]


class Handlers(Protocol):
    """What a role does with what arrives."""

    def handle(self, frame: Frame) -> Awaitable[Any]:
        """Handle one request; return a payload or raise."""

    def notified(self, peer: Peer, method: str, params: Raw | None) -> None:
        """A notification that concerns no single exchange. Must not block or raise."""


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


class Frame:
    """A running handler and the exchange it answers.

    Every request has one: its *round*, which is over when the exchange is. In the stateless era
    a handler that may ask the client outlives its round, since a question ends the exchange and
    the answers come with another one; it has a frame of its own, which is bound to each round in
    turn. All that belongs to the current round is reached through the frame, since the task and
    its context variables stay those of the first.

    Attributes:
        peer: The connection of the current round.
        data: What the connection's role had stored there when the handler began.
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
        "data",
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
        self.data: Any = peer.data
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

    def begin(self) -> None:
        """A request begins to be handled; `answer` follows."""
        self.exchange.owner = self
        self.held = self.exchange.size
        self.peer.budget.hold(self.held)

    async def answer(self, handlers: Handlers) -> None:
        """Run the handler and send its outcome. Nothing but Cancelled leaves here.

        Args:
            handlers: The role.
        """
        peer, exchange = self.peer, self.exchange
        outcome: Any = None
        passing: BaseException | None = None
        try:
            if not exchange.is_open and not exchange.is_retry:
                # Given up before it began. A retry is still to end the handler that it is for.
                return
            outcome, passing = await captured(self.scope, handlers.handle, self)
            if passing is not None:
                if outcome is not None:
                    peer.finish_nowait(answer_to(exchange, outcome))
                raise passing
            if exchange.has_reported:
                # Some clients forget a call as soon as its answer is in what they have read.
                await peer.part()
            await peer.finish(answer_to(exchange, outcome), exchange)
            if self.afterword is not None:
                await peer.send(self.afterword)
        finally:
            self.end_round(peer.free_slot)
            if exchange.method == "initialize":
                self.held = peer.keep(self.held)
            self.release()
            peer.let_go(exchange)
            # Nobody asks for it any more; the cycle would leave both to the garbage collector.
            exchange.owner = outcome = passing = None

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
