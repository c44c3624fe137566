"""What a server writes that is no message: noticed, and quoted where it explains something."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Garbage"]

logger = logging.getLogger("trimcp.client")


class Garbage:
    """The first thing that came and was no message.

    Attributes:
        at_first: Called when it comes.
    """

    def __init__(self) -> None:
        self.at_first: Callable[[], None] | None = None
        self._quoted = ""
        self._is_whole = False

    def __bool__(self) -> bool:
        """Whether anything came that was no message."""
        return bool(self._quoted)

    def __str__(self) -> str:
        """What came, in quotes, with control characters escaped."""
        return self._quoted

    def take(self, beginning: bytes) -> None:
        """Remember what came and is no message; only the first time counts.

        Args:
            beginning: Its first bytes, a bounded number of them.
        """
        self._take(beginning, is_whole=True)

    def take_unfinished(self, beginning: bytes) -> None:
        """Remember what has come so far of what can become no message; more of it may come.

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
