"""Something that is fetched, kept for a while, and fetched anew by one task at a time.

There is no task of its own that does this: whoever asks first fetches, and the others wait. If
that task is cancelled, the next one of those who wait takes its place.
"""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

from trimcp.errors import VerifierUnavailable

from ._fetch import FetchFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Kept"]

T = TypeVar("T")


class Kept(Generic[T]):
    """A value with an age.

    The clock is that of the system and not Trio's, since a verifier may be used by one run of Trio
    after the other.

    Args:
        fetch: Fetches the value; raises FetchFailed.
        fresh_seconds: How old it may be before it is fetched anew.
        stale_seconds: How old it may be if that fails.
        retry_seconds: The time between two fetches, at least.
        fetch_seconds: How long a fetch may take.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T]],
        *,
        fresh_seconds: float,
        stale_seconds: float,
        retry_seconds: float,
        fetch_seconds: float,
    ) -> None:
        self._fetch = fetch
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._retry_seconds = retry_seconds
        self._fetch_seconds = fetch_seconds
        self._value: T | None = None
        self._fetched = -math.inf
        self._failed = -math.inf
        self._failure = ""
        self._turn = trio.Lock()

    async def get(self) -> T:
        """The value.

        Raises:
            VerifierUnavailable: It could not be fetched, and there is none that may be used.
        """
        value = self._value
        if value is not None and self._age() < self._fresh_seconds:
            return value
        if value is not None and self._turn.locked() and self._age() < self._stale_seconds:
            return value  # one task is enough
        async with self._turn:
            if self._value is None or self._age() >= self._fresh_seconds:
                await self._renew()
            if self._value is None or self._age() >= self._stale_seconds:
                raise VerifierUnavailable(self._failure)
            return self._value

    async def newer(self, than: T) -> T:
        """A value that was fetched later than this one; this one, if that was a moment ago.

        Raises:
            VerifierUnavailable: It could not be fetched.
        """
        async with self._turn:
            if self._value is than and monotonic() - self._fetched >= self._retry_seconds:
                await self._renew()
                if self._value is than:
                    raise VerifierUnavailable(self._failure)
            return than if self._value is None else self._value

    def _age(self) -> float:
        return monotonic() - self._fetched

    async def _renew(self) -> None:
        """Fetch it, unless that has failed a moment ago."""
        begun = monotonic()
        if begun - self._failed < self._retry_seconds:
            return
        failure = f"it took longer than {self._fetch_seconds:g} seconds"
        with trio.move_on_after(self._fetch_seconds):
            try:
                self._value = await self._fetch()
            except FetchFailed as error:
                failure = str(error)
            else:
                self._fetched, self._failed = monotonic(), -math.inf
                return
        self._failed, self._failure = monotonic(), failure
