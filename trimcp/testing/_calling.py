"""Calling a protected server in this process, as somebody."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

from trimcp.errors import Forbidden, InvalidToken
from trimcp.runtime import HttpRequest, Principal

from ._stand_in import Served, StandIn

if TYPE_CHECKING:
    from trimcp.runtime import Authorization

__all__ = ["called_by"]


class _Guarded(Served, Protocol):
    @property
    def authorization(self) -> Authorization | None: ...


def called_by(server: _Guarded, principal: Principal) -> StandIn:
    """Let clients in this process call a server as somebody, without a token and a verifier.

    `ctx.principal` is the principal, and scopes are asked for, as over a WebSocket; the connection
    ends when the principal expires. There are no headers: `ctx.http_headers` is empty.

    Args:
        server: A `Server` with `auth=`; its verifier is not asked.
        principal: Who calls.

    Returns:
        A stand-in for the server in `open_client`, `open_memory_client`, `client_for`,
        `open_raw_peer`, `recorded`, `faulty` and the fixtures.

    Raises:
        TypeError: `principal` is not a `Principal`.
        ValueError: The server asks nobody who they are.
        InvalidToken: The principal has expired.
        Forbidden: It lacks the server's `required_scopes`.
    """
    if server.authorization is None:
        raise ValueError("called_by() needs a server with a verifier: Server(auth=...)")
    if not isinstance(principal, Principal):
        raise TypeError(
            f"called_by() needs a trimcp.Principal, as Principal('alice'), not {principal!r:.100}; "
            "for a caller whom nobody asks use the server itself"
        )
    if principal.seconds_left <= 0:
        raise InvalidToken("the access token has expired")
    required = server.authorization.required
    if not required <= principal.scopes:
        told = " ".join(sorted(required))
        raise Forbidden(f"the access token lacks scopes: needed are {told}", {"scope": told})
    return StandIn(server, nullcontext, http=HttpRequest({}, {}, principal=principal))
