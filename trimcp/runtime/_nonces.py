"""States that may be used only once.

Specification: 2026-07-28, Multi Round-Trip Requests, Server Requirements.
"""

from __future__ import annotations

import heapq
import logging
from typing import Protocol

import trio

__all__ = ["MemoryNonceStore", "MissingNonceStore", "NonceStore"]

logger = logging.getLogger("trimcp.server")


class NonceStore(Protocol):
    """Remembers which states were used. Processes that share `state_keys` must share a store."""

    async def use(self, nonce: str, seconds: float) -> bool:
        """Use a nonce, atomically.

        Args:
            nonce: The unique name of a state.
            seconds: How long it must be remembered; after that the state has expired.

        Returns:
            Whether this was its first use.
        """


class MemoryNonceStore:
    """A nonce store for one process.

    Args:
        limit: How many nonces are remembered at the same time. Further nonces are refused as if
            they had been used, since forgetting one would allow its second use.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._used: set[str] = set()
        self._lapsing: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._used)

    async def use(self, nonce: str, seconds: float) -> bool:
        """Use a nonce. Always a checkpoint."""
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        while self._lapsing and self._lapsing[0][0] <= now:
            self._used.discard(heapq.heappop(self._lapsing)[1])
        if nonce in self._used or len(self._used) >= self._limit:
            return False
        self._used.add(nonce)
        heapq.heappush(self._lapsing, (now + seconds, nonce))
        return True


class MissingNonceStore:
    """Replaces the nonce store where several processes need to share one and have none.

    It refuses every use, since another process may have seen the nonce.
    """

    async def use(self, nonce: str, seconds: float) -> bool:
        """Refuse a nonce. Always a checkpoint."""
        await trio.lowlevel.checkpoint()
        logger.error(
            "single_use=True with several workers needs a store that they share: Server(nonces=...)"
        )
        return False
