"""What is held for a peer, within its bounds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from trimcp.errors import LIMIT_EXCEEDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimcp.protocol import Exchange
    from trimcp.transports import Budget

__all__ = ["NO_ROOM", "Slots", "holding"]

#: What a peer is told whose message there is no room for.
NO_ROOM: Final = "too much is held for clients at the moment: try again later"

#: Answers that are not longer than this, in bytes, are always held: an error is no shorter, and
#: the number of answers has a bound of its own.
_SHORT: Final = 4096


@contextmanager
def holding(budget: Budget, data: bytes, exchange: Exchange) -> Iterator[bytes]:
    """Count an answer for as long as it is held.

    Args:
        budget: Counts it.
        data: The answer.
        exchange: What it answers.

    Yields:
        The answer; an error (-31001) in its place, if it is long and there is no room for it.
    """
    if len(data) > _SHORT and budget.room < len(data):
        data = exchange.refuse(LIMIT_EXCEEDED, NO_ROOM) or data
    budget.hold(len(data))
    try:
        yield data
    finally:
        budget.give(len(data))


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

    def keep(self, held: int) -> None:
        """Keep these bytes of a request for the connection, in place of those kept before."""
        self.drop()
        self._kept = held

    def drop(self) -> None:
        """Give back the bytes that are kept."""
        self._budget.give(self._kept)
        self._kept = 0
