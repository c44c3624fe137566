"""What the server wants its client to log.

Specification: Logging.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ._terminal import printable

if TYPE_CHECKING:
    from trimcp.client import ClientOptions
    from trimcp.types import LoggingMessageNotificationParams

__all__ = ["log_options"]

logger = logging.getLogger("trimcp.peer")

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def log_options(verbosity: int) -> ClientOptions:
    """The options of a client that logs as much as was asked for with `-v`."""
    if not verbosity:
        return {}
    return {"logging": _log, "log_level": "info" if verbosity == 1 else "debug"}


async def _log(message: LoggingMessageNotificationParams) -> None:
    text = str(message.data) if message.logger is None else f"{message.logger}: {message.data}"
    logger.log(_LEVELS.get(message.level, logging.CRITICAL), "%s", printable(text))
