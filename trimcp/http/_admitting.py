"""Judging who sends a request, for as long as they wait for the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.errors import NotServing

from ._asgi import disconnect_of

if TYPE_CHECKING:
    from trimcp.runtime import Authorization, HttpRequest, Serving

__all__ = ["admitted"]


async def admitted(
    application: Serving,
    authorization: Authorization,
    http: HttpRequest,
    scopes: frozenset[str] = frozenset(),
) -> HttpRequest:
    """Judge a request or a handshake.

    The verifier is cancelled when the client goes away, and when the server shuts down, since
    nothing of the request has begun. Under an ASGI server that is not ours it is not noticed that
    a client goes away before the body is read, and `Limits.token_seconds` is the only bound.

    Args:
        application: What the request is for.
        authorization: Judges it.
        http: The request.
        scopes: See `Authorization.admit`.

    Raises:
        Denied: See `Authorization.admit`.
        NotServing: The application is closing.
        ConnectionResetError: The client went away.
    """
    at_gone = disconnect_of(http.scope)
    with application.accepting() as judging:
        if at_gone is None:
            return await authorization.admit(http, scopes)

        def leave() -> None:
            judging.cancel(reason="the client went away")

        at_gone.add(leave)
        try:
            return await authorization.admit(http, scopes)
        finally:
            at_gone.discard(leave)
    if application.is_closing:
        raise NotServing("the server is shutting down")
    raise ConnectionResetError("the client went away")
