"""Which clients may open a WebSocket to the server. Loaded when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.transports.websocket import SUBPROTOCOL, Refusal, accept_websocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    import trio

    from trimcp.protocol import Callers
    from trimcp.runtime import Serving
    from trimcp.transports import Budget, MessageChannel
    from trimcp.transports.websocket import Upgrade

__all__ = ["websocket_opener"]


def websocket_opener(
    application: Serving, path: str, callers: Callers
) -> Callable[[trio.abc.Stream, Budget], AbstractAsyncContextManager[MessageChannel]]:
    """A function that opens a message channel over a stream, for clients that may connect."""

    def judge(upgrade: Upgrade) -> Refusal | None:
        refusal = application.refusal(callers, upgrade.host, upgrade.origins)
        if refusal is not None:
            return Refusal(403, refusal)
        if upgrade.path != path:
            return Refusal(404, f"there is nothing at {upgrade.path!r}")
        if upgrade.subprotocols and SUBPROTOCOL not in upgrade.subprotocols:
            return Refusal(400, f"the only subprotocol is {SUBPROTOCOL!r}")
        return None

    limits = application.limits

    def opener(
        stream: trio.abc.Stream, budget: Budget
    ) -> AbstractAsyncContextManager[MessageChannel]:
        return accept_websocket(stream, limits, judge, peer="websocket", budget=budget)

    return opener
