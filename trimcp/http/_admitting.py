"""Judging who sends a request, for as long as they wait for the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ._asgi import GONE

if TYPE_CHECKING:
    from trimcp.runtime import Authorization, HttpRequest

__all__ = ["admitted"]


async def admitted(
    authorization: Authorization, http: HttpRequest, scopes: frozenset[str] = frozenset()
) -> HttpRequest:
    """Judge a request or a handshake; when its client goes away, the verifier is cancelled.

    Under an ASGI server that is not ours this is not noticed before the body is read, and
    `Limits.token_seconds` is the only bound.

    Args:
        authorization: Judges it.
        http: The request.
        scopes: See `Authorization.admit`.

    Raises:
        Denied: See `Authorization.admit`.
        ConnectionResetError: The client went away.
    """
    at_gone = (http.scope.get("extensions") or {}).get(GONE)
    if at_gone is None:
        return await authorization.admit(http, scopes)
    with trio.CancelScope() as judging:

        def leave() -> None:
            judging.cancel(reason="the client went away")

        at_gone.add(leave)
        try:
            return await authorization.admit(http, scopes)
        finally:
            at_gone.discard(leave)
    raise ConnectionResetError("the client went away")
