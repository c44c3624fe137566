"""The bytes that peers make one side hold, counted for all of them together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimcp.limits import Limits

__all__ = ["Budget"]


class Budget:
    """Counts what is held for peers: parts of messages, requests in flight, unread answers.

    Whoever takes bytes gives them back, whatever happens in between.

    Args:
        limit: Bytes that may be taken in all.

    Attributes:
        used: Bytes that are taken now. More than the limit only by what was held without asking.
    """

    __slots__ = ("_limit", "used")

    def __init__(self, limit: float = math.inf) -> None:
        self._limit = limit
        self.used = 0

    @classmethod
    def of(cls, limits: Limits) -> Budget:
        """A budget of `buffered_bytes`, in which the largest message has room in any case."""
        return cls(max(limits.buffered_bytes, limits.message_bytes))

    @property
    def room(self) -> float:
        """How many bytes may still be taken."""
        return self._limit - self.used

    def take(self, size: int) -> bool:
        """Take so many bytes; False, and none are taken, if there is no room for them."""
        if self.used + size > self._limit:
            return False
        self.used += size
        return True

    def hold(self, size: int) -> None:
        """Count bytes that another bound limits; never refused."""
        self.used += size

    def give(self, size: int) -> None:
        """Give bytes back."""
        self.used -= size
