"""Notifications of extensions, each handled in its own task."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trimcp.runtime import contained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Raw

    from trimcp.transports import Budget

__all__ = ["Hearing"]

logger = logging.getLogger("trimcp.server")


class Hearing:
    """The notifications that are handled for one session, or for all requests without a session.

    Args:
        handle: Handles one, by its method and its params.
        limit: How many may be handled at the same time; further ones are dropped and logged.
        budget: Counts their params; notifications that exceed it are dropped too.
        start_soon: Starts a task that ends at the latest with its owner; returns whether it could.

    Attributes:
        count: How many are handled now.
    """

    def __init__(
        self,
        handle: Callable[[str, Raw | None], Awaitable[None]],
        limit: int,
        budget: Budget,
        start_soon: Callable[..., bool],
    ) -> None:
        self.count = 0
        self._handle = handle
        self._limit = limit
        self._budget = budget
        self._start_soon = start_soon

    def hear(self, method: str, params: Raw | None) -> None:
        """Handle a notification that a client sent."""
        if self.count >= self._limit:
            logger.warning("%s dropped: more than %d are being handled", method, self._limit)
            return
        size = 0 if params is None else len(params)
        if not self._budget.take(size):
            logger.warning("%s dropped: there is no room for it", method)
            return
        self.count += 1
        if not self._start_soon(self._hear, method, params, size):
            logger.debug("%s dropped: its connection or the server is ending", method)
            self._end(size)

    async def _hear(self, method: str, params: Raw | None, size: int) -> None:
        try:
            await contained(f"the handler of {method}", self._handle, method, params)
        finally:
            self._end(size)

    def _end(self, size: int) -> None:
        self.count -= 1
        self._budget.give(size)
