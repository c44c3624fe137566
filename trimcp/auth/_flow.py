"""The tokens for one MCP server: how they are got, kept, refreshed and given back.

Specification: 2026-07-28, Authorization, Authorization Flow Steps.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Protocol

import attrs
import trio

from trimcp.errors import AuthorizationFailed

from ._codes import CodeRefused
from ._discovery import ResourceMetadata
from ._entries import decoded, encoded
from ._finding import Found
from ._grants import GrantRefused, Tokens, read_tokens
from ._scopes import scopes_to_request
from ._token_endpoint import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._client_key import ClientKey
    from ._discovery import ServerMetadata
    from ._finding import Finder
    from ._grants import Registered
    from ._storage import TokenStorage

__all__ = ["FirstTokens", "Flow", "Grant"]

logger = logging.getLogger("trimcp.auth")

#: Seconds for an exchange that gives out tokens, and for storing them: it is not broken off.
_EXCHANGE_SECONDS: Final = 30.0

_LOGGED_OUT: Final = "the user has logged out"

#: The answers of one that does not know the client (any more).
_UNKNOWN_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client"})


class FirstTokens(Protocol):
    """Exchanges what a grant has for tokens, and stores them; not broken off once it is sent."""

    async def __call__(
        self,
        server: ServerMetadata,
        client: Registered,
        fields: dict[str, str],
        resource: str,
        requested: tuple[str, ...],
    ) -> Tokens:
        """Ask for tokens.

        Args:
            server: The authorization server.
            client: Who asks.
            fields: The form of the request, without what authenticates the client.
            resource: What the tokens are for.
            requested: The scopes that are asked for.

        Raises:
            GrantRefused: The authorization server refuses.
            AuthorizationFailed: It gives no answer, or is in trouble.
        """


class Grant(Protocol):
    """How a client gets its first tokens at an authorization server.

    Attributes:
        asks_user: Whether a user takes part, who may take long or not be there at all. Without
            one the grant is made again where others use a refresh token.
        key: Signs for the client, if it authenticates with a key.
        owner: Tells tokens that are stored from those of other clients for the same server;
            empty for those of the user.
    """

    @property
    def asks_user(self) -> bool: ...

    @property
    def key(self) -> ClientKey | None: ...

    @property
    def owner(self) -> str: ...

    async def tokens(
        self, found: Found, scopes: tuple[str, ...] | None, first_tokens: FirstTokens
    ) -> Tokens:
        """Get tokens.

        Args:
            found: The authorization server, and what the tokens are for.
            scopes: Those to ask for; None to leave that to the server.
            first_tokens: Makes the exchange.

        Raises:
            GrantRefused, CodeRefused, AuthorizationFailed: There are none.
        """

    async def client_at(self, server: ServerMetadata) -> Registered | None:
        """What the client is to an authorization server; None if it is nothing.

        Raises:
            GrantRefused: It cannot be anything there.
        """

    async def accepted(self, client: Registered) -> None:
        """The authorization server has given tokens to the client, and they are stored."""

    async def forget(self, client: Registered) -> None:
        """The authorization server does not know the client (any more)."""


class Flow:
    """Gets tokens for one MCP server, and keeps them.

    Args:
        finder: Finds its authorization server.
        storage: Keeps what must not be lost.
        grant: How the first tokens are got.
        wanted: Scopes that are asked for besides those that the server names.

    Attributes:
        finder: The same as the argument.
    """

    def __init__(
        self, finder: Finder, storage: TokenStorage, grant: Grant, wanted: Sequence[str]
    ) -> None:
        self.finder = finder
        self._storage = storage
        self._grant = grant
        self._wanted = tuple(wanted)
        self._endpoint = TokenEndpoint(finder, grant.key)
        self._guard = trio.CancelScope()

    @property
    def asks_user(self) -> bool:
        """See `Grant`."""
        return self._grant.asks_user

    async def log_in(
        self, found: Found, challenged: Sequence[str] | None, requested: Sequence[str]
    ) -> Tokens:
        """Get first tokens, and store them.

        Args:
            found: The authorization server.
            challenged: The scopes that the server's challenge names.
            requested: Those that were asked for before.

        Raises:
            AuthorizationFailed: There are no tokens.
        """
        scopes = scopes_to_request(
            challenged,
            found.resource.scopes,
            requested=requested,
            wanted=self._wanted,
            # Refresh tokens are of no use to who needs no user.
            server=found.server.scopes if self.asks_user else (),
        )
        try:
            return await self._grant.tokens(found, scopes, self._first_tokens)
        except (CodeRefused, GrantRefused) as error:
            raise AuthorizationFailed(str(error)) from None

    async def log_in_again(self, tokens: Tokens) -> Tokens:
        """Get first tokens in place of others that were got without a user, and store them.

        Raises:
            AuthorizationFailed: There are no tokens, or they are not wanted any more.
        """
        if await self.kept() is None:
            raise AuthorizationFailed(_LOGGED_OUT)
        server = await self.finder.known(tokens.issuer)
        found = Found(ResourceMetadata(tokens.resource, (tokens.issuer,)), server)
        return await self.log_in(found, None, tokens.requested)

    async def _first_tokens(
        self,
        server: ServerMetadata,
        client: Registered,
        fields: dict[str, str],
        resource: str,
        requested: tuple[str, ...],
    ) -> Tokens:
        """See `FirstTokens`."""
        return await self._exchange(server, client, fields, resource, requested, is_login=True)

    async def refresh(self, tokens: Tokens, found: Found | None = None) -> Tokens:
        """Get the next access token, and store it.

        Args:
            tokens: Those at hand.
            found: The authorization server, if it has just been looked for.

        Raises:
            GrantRefused: The refresh token is no good any more, or the user has logged out.
            AuthorizationFailed: Nothing is known about that.
        """
        assert tokens.refresh_token is not None
        if await self.kept() is None:
            raise GrantRefused(_LOGGED_OUT, "invalid_grant")
        server = found.server if found is not None else await self.finder.known(tokens.issuer)
        client = await self._grant.client_at(server)
        if client is None or client.client_id != tokens.client_id:
            raise GrantRefused("the tokens were given to another client", "invalid_client")
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh_token,
            "resource": tokens.resource,
        }
        return await self._exchange(
            server, client, fields, tokens.resource, tokens.requested, is_login=False
        )

    async def _exchange(
        self,
        server: ServerMetadata,
        client: Registered,
        fields: dict[str, str],
        resource: str,
        requested: tuple[str, ...],
        *,
        is_login: bool,
    ) -> Tokens:
        """Ask for tokens and store them: once the request is sent, nothing breaks that off.

        The authorization server may have replaced the refresh token as soon as it has read the
        request, and only the answer tells the next one.
        """
        with trio.CancelScope(shield=True, relative_deadline=_EXCHANGE_SECONDS) as self._guard:
            now = time.time()
            try:
                body = await self._endpoint.ask(server, client, fields)
            except GrantRefused as refusal:
                if refusal.error in _UNKNOWN_CLIENT:
                    await self._grant.forget(client)
                raise
            tokens = read_tokens(body, client, resource, requested, now)
            if not self.asks_user:
                tokens = attrs.evolve(tokens, refresh_token=None)
            elif tokens.refresh_token is None:
                tokens = attrs.evolve(tokens, refresh_token=fields.get("refresh_token"))
            if is_login:
                await self.keep(tokens)
                await self._grant.accepted(client)
            elif not await self.replace(tokens):
                await self._give_back(server, client, tokens)
                raise GrantRefused(_LOGGED_OUT, "invalid_grant")
            return tokens
        raise AuthorizationFailed("the client was closed before the token endpoint answered")

    def hurry(self, seconds: float) -> None:
        """Let an exchange that is under way end soon."""
        self._guard.deadline = min(self._guard.deadline, trio.current_time() + seconds)

    async def log_out(self) -> bool:
        """Forget the tokens, and have them revoked (RFC 7009) where that is offered.

        Raises:
            AuthorizationFailed: Whether they were revoked is not known.
        """
        tokens = await self.kept()
        await self.keep(None)
        if tokens is None:
            return False
        server = await self.finder.known(tokens.issuer)
        try:
            client = await self._grant.client_at(server)
        except GrantRefused as error:
            raise AuthorizationFailed(f"the tokens may not be revoked: {error}") from None
        if client is not None:
            await self._endpoint.revoke(server, client, tokens)
        return True

    async def _give_back(self, server: ServerMetadata, client: Registered, tokens: Tokens) -> None:
        """Have tokens revoked that came after the user had logged out."""
        try:
            await self._endpoint.revoke(server, client, tokens)
        except AuthorizationFailed as error:
            logger.warning("after a logout: %s", error)

    # -- what is kept -----------------------------------------------------------------------

    @property
    def _entry(self) -> str:
        return " ".join(filter(None, ("tokens", self.finder.url, self._grant.owner)))

    async def kept(self) -> Tokens | None:
        """The tokens that are stored for the server."""
        return decoded(await self._storage.load(self._entry), Tokens)

    async def keep(self, tokens: Tokens | None) -> None:
        """Store tokens in place of others, or forget them."""
        await self._storage.save(self._entry, None if tokens is None else encoded(tokens))

    async def replace(self, tokens: Tokens) -> bool:
        """Store tokens in place of others, unless there are none: the user has logged out then.

        Returns:
            Whether they are stored.
        """
        if await self.kept() is None:
            return False
        await self.keep(tokens)
        return True
