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
    from collections.abc import AsyncIterator, Mapping, Sequence

    from trimcp.limits import Limits

    from .._authorizing import Authorizing, Credentials
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
    url = address.http_url
    async with authorizing.opened(url) as authorizer, AsyncExitStack() as stack:

        def met(answered: Mapping[str, str]) -> None:
            if (nonce := answered.get("dpop-nonce")) is not None:
                authorizer.take_nonce(url, nonce)

        refusals: list[Refusal] = []
        credentials = await authorizer.authorization((), may_wait=True)
        while True:
            own = _headers(url, credentials)
            try:
                channel = await stack.enter_async_context(
                    connect_websocket(address, limits, headers=[*headers, *own], met=met, **options)
                )
                break
            except HandshakeFailed as error:
                met(error.headers)
                if error.status not in _DEMANDS:
                    raise
                refused = error
            refusals.append(_refusal(refused, url, credentials))
            credentials = await authorizer.authorization(refusals, may_wait=True)
            if credentials is None:
                raise refused
        yield channel


def _headers(url: str, credentials: Credentials | None) -> list[tuple[bytes, bytes]]:
    made = {} if credentials is None else credentials.headers("GET", url)
    return [(name.encode(), value.encode()) for name, value in made.items()]


def _refusal(error: HandshakeFailed, url: str, credentials: Credentials | None) -> Refusal:
    said = error.headers.get("www-authenticate")
    sent = None if credentials is None else credentials.header
    return Refusal(url, error.status or 0, () if said is None else (said,), sent)
