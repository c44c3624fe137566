"""Work that many ask for at the same time, and one of them does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import attrs
import trio

from trimcp.errors import MCPError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["Flights"]

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")


@attrs.define(eq=False)
class _Flight(Generic[T]):
    """One piece of work.

    Attributes:
        turn: Held by the task that does it.
        waiting: Tasks that do it or wait for it.
        outcome: What came out of it.
    """

    turn: trio.Lock = attrs.field(factory=trio.Lock)
    waiting: int = 0
    outcome: Callable[[], T] | None = None


class Flights(Generic[K, T]):
    """Pieces of work that are being done, each under its key.

    Nothing outlives the tasks that asked. If the one that does the work is cancelled, the next one
    of those who wait begins it again.
    """

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[T]] = {}

    async def share(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """Do a piece of work, or wait for the one who does it.

        Raises:
            MCPError: As the work did, for all who waited.
        """
        flight = self._flights.setdefault(key, _Flight())
        flight.waiting += 1
        try:
            async with flight.turn:
                if flight.outcome is None:
                    flight.outcome = await _outcome(work)
        finally:
            flight.waiting -= 1
            is_over = flight.outcome is not None or not flight.waiting
            if is_over and self._flights.get(key) is flight:
                del self._flights[key]
        return flight.outcome()


async def _outcome(work: Callable[[], Awaitable[T]]) -> Callable[[], T]:
    """What gives back what the work gave, or raises what it raised, anew for each."""
    try:
        value = await work()
    except MCPError as error:
        cls, args = type(error), error.args

        def fail() -> T:
            raise cls(*args)

        return fail
    return lambda: value
