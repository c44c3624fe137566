"""What a handler that asks its client has asked, and what came back."""

from __future__ import annotations

import collections
import os
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio

from ._boundary import Failed

if TYPE_CHECKING:
    from trimcp.types import InputRequest

    from ._frame import Home

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
    """The outcome of one round, on its way from the handler's task to the round's."""

    __slots__ = ("_arrived", "_outcome")

    def __init__(self) -> None:
        self._arrived = trio.Event()
        self._outcome: Any = None

    def put(self, outcome: Any) -> None:
        """The first outcome counts: a value, a `Failed`, or None for a cancelled handler."""
        if not self._arrived.is_set():
            self._outcome = outcome
            self._arrived.set()

    async def take(self) -> Any:
        """Wait for the outcome. Raises what the handler raised."""
        await self._arrived.wait()
        if isinstance(self._outcome, Failed):
            raise self._outcome.error
        return self._outcome


@attrs.define(eq=False)
class Questions:
    """What one handler has asked so far.

    Attributes:
        home: Where the handler's task lives.
        answers: The answers so far, by key.
        id: Names the handler in sealed states.
        pending: The open questions, by key.
        is_parked: Whether the handler has no round and waits for the next one.
        deadline: When the wait is over.
        resumed: Set when the next round begins.
        delivery: Where the outcome of the current round goes.
    """

    home: Home
    answers: Answers = attrs.field(factory=dict)
    id: str = attrs.field(factory=lambda: os.urandom(16).hex())
    pending: dict[str, Question] = attrs.field(factory=dict)
    is_parked: bool = False
    deadline: float = 0.0
    resumed: trio.Event = attrs.field(factory=trio.Event)
    delivery: Delivery = attrs.field(factory=Delivery)
    _asked: collections.Counter[str] = attrs.field(factory=collections.Counter)

    def name(self, key: str | None, digest: str) -> str:
        """The key of a question: the handler's own or its digest, and its occurrence."""
        base = key or digest
        self._asked[base] += 1
        count = self._asked[base]
        return base if count == 1 else f"{base}-{count}"
