"""One attempt at a time, and a failure that is shared by all who waited for it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs
import trio

from trimcp.errors import AuthorizationFailed

from ._backoff import reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["Turn"]

N = TypeVar("N")


@attrs.frozen
class _Failure(Generic[N]):
    """How an attempt ended.

    Attributes:
        number: How many have failed with it.
        need: What it was for.
        reason: Why it failed. The error itself is not kept, since it leads to whoever waits.
    """

    number: int
    need: N
    reason: str


class Turn(Generic[N]):
    """Whose turn it is to get tokens; shared by clients.

    Whoever has waited while an attempt failed takes its failure, if that was for the same. Whoever
    comes later tries anew.

    Args:
        covers: Whether the failure for the first need is the answer to the second as well.
    """

    def __init__(self, covers: Callable[[N, N], bool]) -> None:
        self._covers = covers
        self._lock = trio.Lock()
        self._number = 0
        self._last: _Failure[N] | None = None

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Nobody makes an attempt while the block runs."""
        async with self._lock:
            yield

    @asynccontextmanager
    async def trying(self, need: N) -> AsyncIterator[None]:
        """Make an attempt while the block runs.

        Args:
            need: What it is for.

        Raises:
            AuthorizationFailed: That of another client has failed since this one began to wait.
        """
        number = self._number
        async with self._lock:
            try:
                last = self._last
                if last is not None and last.number > number and self._covers(last.need, need):
                    raise AuthorizationFailed(last.reason)
                try:
                    yield
                except Exception as error:
                    self._number += 1
                    self._last = _Failure(self._number, need, reason_of(error))
                    raise
            finally:
                if not self._lock.statistics().tasks_waiting:
                    self._last = None
