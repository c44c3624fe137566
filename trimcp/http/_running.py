"""Running an ASGI application for one request; its failure only affects this request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from trimcp._groups import logged

from ._asgi import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["ClientGone", "contained"]

logger = logging.getLogger("trimcp.http")


class ClientGone(OSError):
    """The client is gone, so nothing can be sent to it."""


async def contained(app: Callable[..., Awaitable[Any]], *given: Any) -> None:
    """Call an ASGI application and await it. Raises nothing but `ENDINGS`."""
    try:
        await app(*given)
    except* ENDINGS:
        raise
    except* ClientGone:
        logger.debug("the client disconnected before its answer was sent")
    except* BaseException as failure:
        # Also exceptions that are not an `Exception`: SystemExit would end the process.
        logger.error("the ASGI application failed", exc_info=logged(failure))
