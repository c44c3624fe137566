"""A WebSocket whose handshake carries an access token.

A token is judged with the handshake alone: what happens when it expires is the server's choice.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import HandshakeFailed

from .._authorizing import Refusal
from ._connecting import connect_websocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trimcp.limits import Limits

    from .._authorizing import Authorizer, Authorizing
    from .._channel import MessageChannel
    from ._address import WebSocketAddress

__all__ = ["connect_authorized"]

#: Statuses with which a server demands authorization, or more of it.
_DEMANDS: Final = frozenset({401, 403})


@asynccontextmanager
async def connect_authorized(
    address: WebSocketAddress,
    limits: Limits,
    authorizing: Authorizing,
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    **options: Any,
) -> AsyncIterator[MessageChannel]:
    """As `connect_websocket`, with a handshake that is authorized.

    Args:
        address: Where the server is.
        limits: See `connect_websocket`.
        authorizing: Authorizes the handshake.
        headers: Sent with it, too.
        options: See `connect_websocket`.

    Raises:
        AuthorizationFailed: The server demands a login, and that has failed.
    """
    async with authorizing.opened(address.http_url) as authorizer, AsyncExitStack() as stack:
        refusals: list[Refusal] = []
        sent = await authorizer.authorization((), may_wait=True)
        while True:
            own = [] if sent is None else [(b"Authorization", sent.encode())]
            try:
                channel = await stack.enter_async_context(
                    connect_websocket(address, limits, headers=[*headers, *own], **options)
                )
                break
            except HandshakeFailed as error:
                refusal, sent = await _better(authorizer, address.http_url, refusals, error, sent)
                if sent is None:
                    raise
                refusals.append(refusal)
        yield channel


async def _better(
    authorizer: Authorizer,
    url: str,
    refusals: list[Refusal],
    error: HandshakeFailed,
    sent: str | None,
) -> tuple[Refusal, str | None]:
    """A refusal, and the header to try next, if there is one."""
    said = error.headers.get("www-authenticate")
    refusal = Refusal(url, error.status or 0, () if said is None else (said,), sent)
    if refusal.status not in _DEMANDS:
        return refusal, None
    return refusal, await authorizer.authorization([*refusals, refusal], may_wait=True)
