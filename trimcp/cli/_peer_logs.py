"""Log messages that the server sends to its client.

Specification: Logging.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from trimcp.errors import NotOffered, RequestError, RequestTimeout

from ._screen import printable

if TYPE_CHECKING:
    from trimcp.client import Client, ClientOptions
    from trimcp.types import LoggingMessageNotificationParams

__all__ = ["ask_for_logs", "log_options"]

logger = logging.getLogger("trimcp.peer")

#: Seconds that a server gets to answer `logging/setLevel`.
_PATIENCE: Final = 5.0

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def log_options(verbosity: int) -> ClientOptions:
    """The options of a client that logs as much as `-v` requests."""
    if not verbosity:
        return {}
    return {"logging": _log}


async def ask_for_logs(client: Client, verbosity: int) -> None:
    """Set the server's log level by `-v`; if the server refuses, the command goes on."""
    if not verbosity:
        return
    try:
        await client.set_log_level("info" if verbosity == 1 else "debug", timeout=_PATIENCE)
    except NotOffered:
        logger.debug("the server has no log for its client")
    except (RequestError, RequestTimeout) as error:
        logger.warning("the server does not accept a log level: %s", error)


async def _log(message: LoggingMessageNotificationParams) -> None:
    text = str(message.data) if message.logger is None else f"{message.logger}: {message.data}"
    logger.log(_LEVELS.get(message.level, logging.CRITICAL), "%s", printable(text))
