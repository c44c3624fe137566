"""Who may open a WebSocket to the server. Loaded with the first one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trimcp.transports.websocket import SUBPROTOCOL, Refusal, accept_websocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    import trio

    from trimcp.limits import Limits
    from trimcp.protocol import Callers
    from trimcp.transports import Budget, MessageChannel
    from trimcp.transports.websocket import Upgrade

__all__ = ["websocket_opener"]

logger = logging.getLogger("trimcp.server")


def websocket_opener(
    limits: Limits, path: str, callers: Callers
) -> Callable[[trio.abc.Stream, Budget], AbstractAsyncContextManager[MessageChannel]]:
    """Makes streams message channels, for clients that may have one."""

    def judge(upgrade: Upgrade) -> Refusal | None:
        refusal = callers.refusal(upgrade.host, upgrade.origins)
        if refusal is not None:
            logger.info(
                "a WebSocket was refused: %s", callers.explained(upgrade.host, upgrade.origins)
            )
            return Refusal(403, refusal)
        if upgrade.path != path:
            return Refusal(404, f"there is nothing at {upgrade.path!r}")
        if upgrade.subprotocols and SUBPROTOCOL not in upgrade.subprotocols:
            return Refusal(400, f"the only subprotocol is {SUBPROTOCOL!r}")
        return None

    def opener(
        stream: trio.abc.Stream, budget: Budget
    ) -> AbstractAsyncContextManager[MessageChannel]:
        return accept_websocket(stream, limits, judge, peer="websocket", budget=budget)

    return opener
