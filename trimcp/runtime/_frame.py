"""One run of a handler: what it is answering right now, and how to stop it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from trimcp.protocol import Exchange

    from ._parking import Questions
    from ._peer import Peer

__all__ = ["Frame"]


class Frame:
    """A handler's task and the exchange it is answering.

    In the stateless era a handler that asks the client outlives its exchange: the question
    ends the exchange, and the answers come with another one. The frame is the holder through
    which everything that belongs to the *current* round is reached, since the task and its
    context variables stay those of the first.

    Attributes:
        home: The connection in whose nursery the task lives.
        peer: The connection of the current round.
        exchange: The current round.
        scope: Cancels the handler.
        questions: What the handler has asked so far, once it has asked anything.
        lost_state: The client brought a state whose frame is gone.
        timer: Bounds the handler's running time, where it is bounded; see `pause`.
        data: Room for the role that runs the handler.
    """

    __slots__ = (
        "_pauses",
        "_remaining",
        "data",
        "exchange",
        "home",
        "lost_state",
        "peer",
        "questions",
        "scope",
        "timer",
    )

    def __init__(self, peer: Peer, exchange: Exchange) -> None:
        self.home = peer
        self.peer = peer
        self.exchange = exchange
        self.lost_state = False
        self.scope = trio.CancelScope()
        self.questions: Questions | None = None
        self.timer: trio.CancelScope | None = None
        self._pauses = 0
        self._remaining = 0.0
        self.data: Any = None
        exchange.owner = self

    def cancel(self, reason: str) -> None:
        """Stop the handler."""
        self.scope.cancel(reason=reason)

    def rebind(self, peer: Peer, exchange: Exchange) -> None:
        """Another round begins: from now on this is what the handler answers."""
        self.peer = peer
        self.exchange = exchange
        exchange.owner = self

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

    @property
    def is_parked(self) -> bool:
        """Whether the handler waits for the client's next round."""
        return self.questions is not None and self.questions.is_parked

    async def wait_round(self) -> bool:
        """The handler has ended between two rounds: keep its outcome for the next one.

        Returns:
            Whether the next round came; otherwise nobody wants the outcome any more.
        """
        assert self.questions is not None
        if self.scope.cancel_called:
            return False
        self.scope = trio.CancelScope(deadline=self.questions.deadline)
        with self.scope:
            await self.questions.resumed.wait()
            return True
        return False
