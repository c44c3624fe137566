"""The bytes that are held in memory for peers, counted for all peers together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimcp.limits import Limits

__all__ = ["Budget"]


class Budget:
    """Counts the bytes held for peers: parts of messages, requests in flight, unread answers.

    The code that takes bytes always gives them back, even after an error.

    Args:
        limit: The maximum number of bytes that may be taken.

    Attributes:
        used: Bytes that are taken now. `hold` can raise it above the limit.
    """

    __slots__ = ("_limit", "used")

    def __init__(self, limit: float = math.inf) -> None:
        self._limit = limit
        self.used = 0

    @classmethod
    def of(cls, limits: Limits) -> Budget:
        """A budget of `buffered_bytes`, but at least of `message_bytes`."""
        return cls(max(limits.buffered_bytes, limits.message_bytes))

    @property
    def room(self) -> float:
        """How many bytes may still be taken."""
        return self._limit - self.used

    def take(self, size: int) -> bool:
        """Take bytes. Returns False, and takes none, if there is no room for all of them."""
        if self.used + size > self._limit:
            return False
        self.used += size
        return True

    def hold(self, size: int) -> None:
        """Count bytes that another limit bounds; never refuses."""
        self.used += size

    def give(self, size: int) -> None:
        """Give bytes back."""
        self.used -= size
