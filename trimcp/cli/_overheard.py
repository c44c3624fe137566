"""What a server's process writes to standard error while a command uses it."""

from __future__ import annotations

import collections
import logging
import sys
from typing import TYPE_CHECKING, Final

from ._traces import failure_in

if TYPE_CHECKING:
    from ._options import Connecting

__all__ = ["Overheard"]

logger = logging.getLogger("trimcp.process")

#: How many of the last lines are kept, and how many characters of each.
_MOST_LINES: Final = 500
_LONGEST: Final = 1_000


class Overheard:
    """Standard error of the process that a command starts, if it starts one.

    The server's client hears nothing of an exception that its author did not expect; who sits at
    the terminal is mostly its author.

    Args:
        options: The options of the command.
    """

    def __init__(self, options: Connecting) -> None:
        self._name = sys.executable if isinstance(options.target, str) else options.target[0]
        self._lines: collections.deque[str] = collections.deque(maxlen=_MOST_LINES)

    def take(self, line: str) -> None:
        """Keep a line, and log it."""
        self._lines.append(line[:_LONGEST])
        logger.info("%s: %s", self._name, line)

    @property
    def failure(self) -> str:
        """Why a handler has failed, for the people at a terminal; "" if that is not known.

        Everything has been heard only when the process has ended.
        """
        return failure_in(list(self._lines)) if sys.stderr.isatty() else ""
