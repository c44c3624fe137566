"""What a handler that asks its client has asked, and what came back."""

from __future__ import annotations

import collections
import os
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio

from ._boundary import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimcp.types import InputRequest

    from ._home import Home

__all__ = ["Answers", "Delivery", "Question", "Questions"]

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


class Delivery:
    """The outcome of one round, on its way from the handler's task to the round's.

    Args:
        unheard: Called with an outcome that its round does not wait for any more.
    """

    __slots__ = ("_arrived", "_outcome", "_unheard", "_was_left")

    def __init__(self, unheard: Callable[[Any], None]) -> None:
        self._arrived = trio.Event()
        self._outcome: Any = None
        self._unheard = unheard
        self._was_left = False

    def put(self, outcome: Any) -> None:
        """The first outcome counts: a value, a `Failed`, or None for a cancelled handler."""
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
        # Kept nowhere: an error and the frames that it came through would keep each other.
        outcome, self._outcome = self._outcome, None
        if not isinstance(outcome, Failed):
            return outcome
        try:
            raise outcome.error
        finally:
            del outcome


@attrs.define(eq=False)
class Questions:
    """What one handler has asked so far.

    Attributes:
        home: Where the handler's task lives.
        delivery: Where the outcome of the current round goes.
        answers: The answers so far, by key.
        id: Names the handler in sealed states.
        pending: The open questions, by key.
        is_parked: Whether the handler has no round and waits for the next one.
        deadline: When the wait is over.
        resumed: Set when the next round begins.
    """

    home: Home
    delivery: Delivery
    answers: Answers = attrs.field(factory=dict)
    id: str = attrs.field(factory=lambda: os.urandom(16).hex())
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
