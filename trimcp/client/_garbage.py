"""Output of a server that is not a message: it is recorded, and quoted in errors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Garbage"]

logger = logging.getLogger("trimcp.client")


class Garbage:
    """The first output of the server that was not a message.

    Attributes:
        at_first: Called when there is such output for the first time.
    """

    def __init__(self) -> None:
        self.at_first: Callable[[], None] | None = None
        self._quoted = ""
        self._is_whole = False

    def __bool__(self) -> bool:
        """Whether there was any such output."""
        return bool(self._quoted)

    def __str__(self) -> str:
        """The output, in quotes, with control characters escaped."""
        return self._quoted

    def take(self, beginning: bytes) -> None:
        """Record input that is not a message; only the first counts.

        Args:
            beginning: Its first bytes, a bounded number of them.
        """
        self._take(beginning, is_whole=True)

    def take_unfinished(self, beginning: bytes) -> None:
        """Record the beginning of input that cannot become a message; more of it may follow.

        Args:
            beginning: Its first bytes, a bounded number of them.
        """
        self._take(beginning, is_whole=False)

    def _take(self, beginning: bytes, *, is_whole: bool) -> None:
        if self._is_whole:
            return
        is_first = not self._quoted
        self._quoted = repr(beginning.decode(errors="replace"))
        self._is_whole = is_whole
        if is_first:
            logger.warning("the server wrote what is no message of the protocol: %s", self)
            if self.at_first is not None:
                self.at_first()
