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

    from .._authorizing import Authorizing
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
                if error.status not in _DEMANDS:
                    raise
                refused = error
            refusals.append(_refusal(refused, address.http_url, sent))
            sent = await authorizer.authorization(refusals, may_wait=True)
            if sent is None:
                raise refused
        yield channel


def _refusal(error: HandshakeFailed, url: str, sent: str | None) -> Refusal:
    said = error.headers.get("www-authenticate")
    return Refusal(url, error.status or 0, () if said is None else (said,), sent)
