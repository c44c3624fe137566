"""One exchange on one peer: how it is answered and how it is cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import trio

from ._boundary import answer_to, captured

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from msgspec import Raw

    from trimcp.protocol import Exchange

    from ._peer import Peer
    from ._principal import Principal

__all__ = ["Lasting", "Responder", "Round"]


class Responder(Protocol):
    """A role: answers the requests of a peer, and takes its notifications."""

    def handle(self, round_: Round) -> Awaitable[Any]:
        """Handle one request; return a payload or raise."""

    def notified(self, peer: Peer, method: str, params: Raw | None) -> None:
        """Take a notification that belongs to no exchange. Must not block or raise."""


class Lasting(Protocol):
    """A handler that may outlive its rounds.

    Attributes:
        freeing: The peer whose slot the handler's task still takes, if its round has ended before
            it.
    """

    freeing: Peer | None

    def cancel(self, reason: str) -> None:
        """Stop it."""


class Round:
    """One exchange on one peer, whose bytes the budget counts until the round ends.

    It ends with the exchange. A handler that may ask its client can outlive it: in the stateless
    era a question ends the exchange, and the answers come with another exchange.

    Args:
        peer: The peer that sent the request.
        exchange: The request.

    Attributes:
        principal: Who sent the request, where the server asks that. On HTTP+SSE each message has a
            token of its own; what comes later changes nothing for a request that is answered.
        data: What the role kept for the peer when the round began.
        is_cancelled: Whether what runs in the round was cancelled on account of it.
        scope: Cancels what runs in the round; None before that begins and after it has ended.
        handler: A handler that may outlive the round, while this is its current round.
        afterword: A message that is sent after the answer, on transports where requests share a
            connection.
        held: The bytes of its request, which the budget counts until the round ends.
    """

    __slots__ = (
        "afterword",
        "data",
        "exchange",
        "handler",
        "held",
        "is_cancelled",
        "peer",
        "principal",
        "scope",
    )

    def __init__(self, peer: Peer, exchange: Exchange) -> None:
        self.peer = peer
        self.exchange = exchange
        self.principal: Principal | None = peer.principal
        self.data: Any = peer.data
        self.is_cancelled = False
        self.scope: trio.CancelScope | None = None
        self.handler: Lasting | None = None
        self.afterword: bytes | None = None
        self.held = exchange.size
        peer.budget.hold(self.held)
        exchange.owner = self

    @property
    def is_over(self) -> bool:
        """Whether it was cancelled before it began. A retry still has to end its handler."""
        return not self.exchange.is_open and not self.exchange.is_retry

    async def answer(self, responder: Responder) -> None:
        """Run the handler and send its outcome. Raises nothing but Cancelled and KeyboardInterrupt.

        Args:
            responder: The role.
        """
        outcome: Any = None
        passing: BaseException | None = None
        if self.scope is None:
            self.scope = trio.CancelScope()
        try:
            if not self.is_over:
                outcome, passing = await captured(self.scope, responder.handle, self)
                await self.conclude(outcome, passing)
        finally:
            self.end()
            outcome = passing = None

    async def conclude(self, outcome: Any, passing: BaseException | None) -> None:
        """Send the outcome.

        Args:
            outcome: What the handler returned; see `captured`.
            passing: What must be raised further, without waiting for anything.
        """
        peer, exchange = self.peer, self.exchange
        try:
            if passing is not None:
                if outcome is not None:
                    peer.finish_nowait(answer_to(exchange, outcome))
                raise passing
            if exchange.has_reported:
                # Some clients ignore progress that they read together with the answer.
                await peer.part()
            await peer.finish(answer_to(exchange, outcome), exchange)
            if self.afterword is not None:
                await peer.send(self.afterword)
        finally:
            # An error and its frames would form a reference cycle.
            outcome = passing = None

    @property
    def _has_outcome(self) -> bool:
        """Whether the answer is what the handler has returned or raised."""
        # If the server cancels a round, its answer is an error, and its handler goes on nowhere.
        was_cancelled = self.scope is not None and self.scope.cancelled_caught
        return self.exchange.is_answered and not was_cancelled

    def cancel(self, reason: str) -> None:
        """Cancel what runs in the round, or will run."""
        if self.scope is None:
            self.scope = trio.CancelScope()
        self.is_cancelled = True
        self.scope.cancel(reason=reason)

    def end(self) -> None:
        """Release what the round held; cancel a handler that its client cannot reach any more."""
        peer, exchange = self.peer, self.exchange
        if self.handler is None or self._has_outcome:
            peer.free_slot()
        else:
            self.handler.cancel("its request was cancelled")
            self.handler.freeing = peer
        if exchange.method == "initialize":
            self.held = peer.keep(self.held)
        peer.budget.give(self.held)
        peer.let_go(exchange)
        # Not needed any more; breaks a cycle that only the garbage collector would free.
        exchange.owner = None
