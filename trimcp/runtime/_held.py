"""Counting the bytes and handlers that are held for a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trimcp.errors import LIMIT_EXCEEDED

if TYPE_CHECKING:
    from trimcp.protocol import Exchange
    from trimcp.transports import Budget

__all__ = ["NO_ROOM", "Slots", "holding"]

#: The error for a peer whose message exceeds the budget.
NO_ROOM: Final = "too much is held for clients at the moment: try again later"

#: Answers up to this size, in bytes, are always held: an error would not be much shorter, and the
#: number of answers is bounded separately.
_SHORT: Final = 4096


class holding:
    """Count an answer for as long as it is held::

        with holding(budget, data, exchange) as answer:
            ...

    The answer is an error (-31001) in its place if it is long and the budget has no room for it.

    Args:
        budget: Counts the bytes.
        data: The answer.
        exchange: The exchange that it answers.
    """

    __slots__ = ("_answer", "_budget")

    def __init__(self, budget: Budget, data: bytes, exchange: Exchange) -> None:
        if len(data) > _SHORT and budget.room < len(data):
            data = exchange.refuse(LIMIT_EXCEEDED, NO_ROOM) or data
        self._budget = budget
        self._answer = data

    def __enter__(self) -> bytes:
        self._budget.hold(len(self._answer))
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._budget.give(len(self._answer))


class Slots:
    """Counts the handlers of a connection whose tasks still run, and the bytes that it keeps.

    Args:
        budget: Counts the bytes that are kept.
    """

    __slots__ = ("_budget", "_kept", "taken")

    def __init__(self, budget: Budget) -> None:
        self.taken = 0
        self._budget = budget
        self._kept = 0

    def keep(self, held: int) -> None:
        """Keep bytes of a request for the connection; they replace those kept before."""
        self.drop()
        self._kept = held

    def drop(self) -> None:
        """Give back the bytes that are kept."""
        self._budget.give(self._kept)
        self._kept = 0
