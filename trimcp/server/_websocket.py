"""Which clients may open a WebSocket to the server. Loaded when it is first needed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from trimcp.protocol.http import fold_headers
from trimcp.runtime import Denied, HttpRequest
from trimcp.transports.websocket import SUBPROTOCOL, Refusal, accept_websocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio

    from trimcp.protocol import Callers
    from trimcp.runtime import Serving
    from trimcp.transports import Budget
    from trimcp.transports.websocket import Upgrade

    from ._accepting import Opened, Opener

__all__ = ["websocket_opener"]


def websocket_opener(
    application: Serving, path: str, callers: Callers, *, is_secure: bool = False
) -> Opener:
    """Makes streams message channels, for clients that may have one."""

    def refusal_of(upgrade: Upgrade) -> Refusal | None:
        refusal = application.refusal(callers, upgrade.host, upgrade.origins)
        if refusal is not None:
            return Refusal(403, refusal)
        if upgrade.path != path:
            return Refusal(404, f"there is nothing at {upgrade.path!r}")
        if upgrade.subprotocols and SUBPROTOCOL not in upgrade.subprotocols:
            return Refusal(400, f"the only subprotocol is {SUBPROTOCOL!r}")
        return None

    limits = application.limits

    @asynccontextmanager
    async def opener(stream: trio.abc.Stream, budget: Budget) -> AsyncIterator[Opened]:
        admitted: HttpRequest | None = None

        async def judge(upgrade: Upgrade) -> Refusal | None:
            nonlocal admitted
            refusal = refusal_of(upgrade)
            if refusal is not None or application.authorization is None:
                return refusal
            request = _as_request(upgrade, is_secure=is_secure)
            try:
                # Nothing has begun, so a shutdown does not wait for the verifier.
                with application.accepting():
                    admitted = await application.authorization.admit(request)
                    return None
            except Denied as denied:
                return Refusal(denied.status, denied.message, denied.headers)
            return Refusal(503, "the server is shutting down")

        opening = accept_websocket(stream, limits, judge, peer="websocket", budget=budget)
        async with opening as channel:
            yield channel, admitted

    return opener


def _as_request(upgrade: Upgrade, *, is_secure: bool) -> HttpRequest:
    """A handshake, as an ASGI server would tell of it."""
    host = (b"host", upgrade.host.encode("latin-1", "replace"))
    headers = [host, *upgrade.headers]
    scope: dict[str, Any] = {
        "type": "websocket",
        "scheme": "wss" if is_secure else "ws",
        "path": upgrade.path,
        "query_string": upgrade.query.encode("latin-1", "replace"),
        "headers": headers,
        "subprotocols": list(upgrade.subprotocols),
    }
    # This door answers handshakes only: metadata must come from another.
    return HttpRequest(fold_headers(headers), scope, resource_path="")
