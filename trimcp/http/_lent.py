"""Answering a request in a cancel scope that its task is in already.

To make a scope, to enter and to leave it costs more than a small tool. So our own hosting lends the
application the scope in which it runs; see `Disconnect.lent`. A request that is cancelled ends its
connection, which is over then anyway: its client is gone, or the server's time is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.runtime import Failed, attempted, is_innermost

if TYPE_CHECKING:
    from trimcp.runtime import Responder, Round

    from ._visits import Visit

__all__ = ["answer_within", "lent_scope"]

#: Seconds for sending the answer to a request that was cancelled.
_END_SECONDS: Final = 1.0


def lent_scope(visit: Visit) -> trio.CancelScope | None:
    """The scope that is lent to a request, if its task is in no other scope inside it."""
    scope = visit.lent
    return scope if scope is not None and is_innermost(scope) else None


async def answer_within(
    scope: trio.CancelScope, visit: Visit, round_: Round, responder: Responder
) -> None:
    """Like `Round.answer`.

    Args:
        scope: From `lent_scope`.
        visit: The HTTP request.
        round_: Its exchange; both have the scope as theirs.
        responder: The role.
    """
    outcome: Any = None
    passing: BaseException | None = None
    try:
        if not round_.is_over:
            outcome, passing = await attempted(responder.handle, round_)
            if not is_innermost(scope):
                outcome = Failed(RuntimeError("the handler has left a cancel scope open"))
                scope.cancel(reason="its task cannot be used again")
        # From now on nobody can cancel the task on account of this request.
        visit.scope = round_.scope = None
        if not scope.cancel_called:
            if scope.deadline != math.inf:
                scope.deadline = math.inf
            await round_.conclude(outcome, passing)
        elif not isinstance(passing, KeyboardInterrupt):
            await _conclude_cancelled(round_, outcome)
        if passing is not None:
            raise passing
    finally:
        round_.end()
        outcome = passing = None


async def _conclude_cancelled(round_: Round, outcome: Any) -> None:
    """Send the outcome of a handler that was cancelled, as if the scope were left already."""
    try:
        if isinstance(outcome, Failed) and isinstance(outcome.error, BaseExceptionGroup):
            _, rest = outcome.error.split(trio.Cancelled)
            outcome = outcome if rest is None else Failed(rest)
        with trio.CancelScope(shield=True, relative_deadline=_END_SECONDS):
            await round_.conclude(outcome, None)
    finally:
        if round_.handler is not None:
            # What answered it was not the handler, which can no longer be reached.
            round_.handler.cancel("its request was cancelled")
        outcome = None
