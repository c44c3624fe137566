"""The ASGI lifespan protocol: opening the server's application, and closing it again.

Specification: ASGI, Lifespan Protocol.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimcp.runtime import Served

    from ._asgi import Receive, Send

__all__ = ["run_lifespan"]

logger = logging.getLogger("trimcp.http")


async def run_lifespan(server: Served, receive: Receive, send: Send) -> None:
    """Keep the application open between the server's startup and shutdown events.

    When it ends by itself, requests get 503 until the process is gone; ASGI has no word for that.
    Signals stay with whoever runs the process.
    """
    await receive()
    state = "startup"
    try:
        async with server.application(signals=False):
            await send({"type": "lifespan.startup.complete"})
            state = "running"
            await receive()
            state = "shutdown"
    except Exception as error:
        logger.exception("the application of server %r failed", server.identity.name)
        outcome = {"type": "lifespan.shutdown.failed", "message": type(error).__name__}
    else:
        outcome = {"type": "lifespan.shutdown.complete"}
    if state == "startup":
        outcome["type"] = "lifespan.startup.failed"
    elif state == "running":
        await receive()
    await send(outcome)
