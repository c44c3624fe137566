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
from ._dpop import Proving, binding_for, fits, new_key, stored_key
from ._entries import decoded, encoded
from ._finding import Found
from ._grants import GrantRefused, Tokens, read_tokens
from ._scopes import scopes_to_request
from ._token_endpoint import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from ._challenges import Demand
    from ._client_key import ClientKey
    from ._discovery import ServerMetadata
    from ._dpop import DPoPUse
    from ._entries import Entries
    from ._finding import Finder
    from ._grants import Registered
    from ._proofs import ProofKey

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

    def trying(self, what: Hashable) -> AbstractContextManager[None]:
        """An attempt while the block runs, from looking for the authorization server on.

        Args:
            what: What is tried. Without a user it is not tried again at once after a failure.

        Raises:
            AuthorizationFailed: It has just failed.
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
        dpop: Whether tokens are bound to a key.

    Attributes:
        finder: The same as the argument.
    """

    def __init__(
        self,
        finder: Finder,
        storage: Entries,
        grant: Grant,
        wanted: Sequence[str],
        dpop: DPoPUse = "auto",
    ) -> None:
        self.finder = finder
        self._dpop = dpop
        self._storage = storage
        self._grant = grant
        self._wanted = tuple(wanted)
        self._endpoint = TokenEndpoint(finder, grant.key)
        self._guard = trio.CancelScope()

    @property
    def asks_user(self) -> bool:
        """See `Grant`."""
        return self._grant.asks_user

    def trying(self, scopes: Iterable[str]) -> AbstractContextManager[None]:
        """An attempt to get first tokens while the block runs; see `Grant`.

        Args:
            scopes: Those that are needed.

        Raises:
            AuthorizationFailed: It has just failed, and without a user it is not repeated yet.
        """
        return self._grant.trying((self.finder.url, frozenset(scopes)))

    async def log_in(self, found: Found, demand: Demand, requested: Sequence[str]) -> Tokens:
        """Get first tokens, and store them.

        Args:
            found: The authorization server.
            demand: What the server has answered.
            requested: Those that were asked for before.

        Raises:
            AuthorizationFailed: There are no tokens.
        """
        proving = await new_key(binding_for(self._dpop, demand, found))
        return await self._log_in(found, demand.scopes, requested, proving)

    async def _log_in(
        self,
        found: Found,
        challenged: Sequence[str] | None,
        requested: Sequence[str],
        proving: Proving,
    ) -> Tokens:
        """As `log_in`, with the scopes of the challenge and what the tokens are bound to."""

        async def first_tokens(
            server: ServerMetadata,
            client: Registered,
            fields: dict[str, str],
            resource: str,
            requested: tuple[str, ...],
        ) -> Tokens:
            asked = (server, client, fields, resource, requested, proving, None)
            async with self._storage.locked(self._entry):
                return await self._exchange(*asked)

        scopes = scopes_to_request(
            challenged,
            found.resource.scopes,
            requested=requested,
            wanted=self._wanted,
            # Refresh tokens are of no use to who needs no user.
            server=found.server.scopes if self.asks_user else (),
        )
        try:
            return await self._grant.tokens(found, scopes, first_tokens)
        except (CodeRefused, GrantRefused) as error:
            raise AuthorizationFailed(str(error)) from None

    async def log_in_again(self, tokens: Tokens) -> Tokens:
        """Get first tokens in place of others that were got without a user, and store them.

        Raises:
            AuthorizationFailed: There are no tokens, or they are not wanted any more.
        """
        if await self.kept() is None:
            raise AuthorizationFailed(_LOGGED_OUT)
        with self.trying(tokens.requested):
            server = await self.finder.known(tokens.issuer)
            found = Found(ResourceMetadata(tokens.resource, (tokens.issuer,)), server)
            return await self._log_in(found, None, tokens.requested, stored_key(tokens))

    async def refresh(self, tokens: Tokens, found: Found | None = None) -> Tokens | None:
        """Get the next access token, and store it.

        Args:
            tokens: Those at hand.
            found: The authorization server, if it has just been looked for.

        Returns:
            None if another program has stored other tokens: then these are not refreshed.

        Raises:
            GrantRefused: The refresh token is no good any more, or the user has logged out.
            AuthorizationFailed: Nothing is known about that.
        """
        assert tokens.refresh_token is not None
        server = found.server if found is not None else await self.finder.known(tokens.issuer)
        client = await self._client_of(tokens, server)
        if client is None:
            raise GrantRefused("the tokens were given to another client", "invalid_client")
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh_token,
            "resource": tokens.resource,
        }
        proving = stored_key(tokens)
        asked = (server, client, fields, tokens.resource, tokens.requested, proving, tokens)
        async with self._storage.locked(self._entry):
            kept = await self.kept()
            if kept is None:
                raise GrantRefused(_LOGGED_OUT, "invalid_grant")
            return await self._exchange(*asked) if kept == tokens else None

    async def _client_of(self, tokens: Tokens, server: ServerMetadata) -> Registered | None:
        """The client that the tokens were given to; None if it is not known any more."""
        client = await self._grant.client_at(server)
        own = tokens.client
        if client is not None and client.client_id == tokens.client_id:
            return client
        if client is not None and not client.redirect_uri:
            # The user of this library says what the client is.
            return None
        return own if own is not None and own.is_good_at(server.issuer) else None

    async def _exchange(
        self,
        server: ServerMetadata,
        client: Registered,
        fields: dict[str, str],
        resource: str,
        requested: tuple[str, ...],
        proving: Proving,
        until_now: Tokens | None,
    ) -> Tokens:
        """Ask for tokens and store them: once the request is sent, nothing breaks that off.

        The authorization server may have replaced the refresh token as soon as it has read the
        request, and only the answer tells the next one.
        """
        key = proving.key
        with trio.CancelScope(shield=True, relative_deadline=_EXCHANGE_SECONDS) as self._guard:
            now = time.time()
            body = await self._asked(server, client, fields, key)
            tokens = read_tokens(
                body,
                client,
                resource,
                requested,
                now,
                None if key is None else key.entry,
                is_demanded=proving.is_demanded,
            )
            if not self.asks_user:
                tokens = attrs.evolve(tokens, refresh_token=None)
            elif tokens.refresh_token is None:
                tokens = attrs.evolve(tokens, refresh_token=fields.get("refresh_token"))
            if until_now is None:
                await self.keep(tokens)
                await self._grant.accepted(client)
            elif not await self._replace(until_now, tokens):
                await self._give_back(server, client, tokens)
                raise GrantRefused(_LOGGED_OUT, "invalid_grant")
            return tokens
        raise AuthorizationFailed("the client was closed before the token endpoint answered")

    async def _asked(
        self,
        server: ServerMetadata,
        client: Registered,
        fields: dict[str, str],
        key: ProofKey | None,
    ) -> bytes:
        """What the token endpoint answers; a client that it does not know is forgotten."""
        try:
            return await self._endpoint.ask(server, client, fields, key)
        except GrantRefused as error:
            refusal = error
        if refusal.error in _UNKNOWN_CLIENT:
            await self._grant.forget(client)
        raise refusal

    def hurry(self, seconds: float) -> None:
        """Let an exchange that is under way end soon."""
        self._guard.deadline = min(self._guard.deadline, trio.current_time() + seconds)

    async def log_out(self) -> bool:
        """Forget the tokens, and have them revoked (RFC 7009) where that is offered.

        Raises:
            AuthorizationFailed: Whether they were revoked is not known.
        """
        async with self._storage.locked(self._entry):
            tokens = await self.kept()
            await self.keep(None)
        if tokens is None:
            return False
        server = await self.finder.known(tokens.issuer)
        try:
            client = await self._client_of(tokens, server)
        except GrantRefused as error:
            raise AuthorizationFailed(f"the tokens may not be revoked: {error}") from None
        if client is not None:
            await self._endpoint.revoke(server, client, tokens)
        return True

    async def give_back(self, tokens: Tokens) -> None:
        """Have tokens revoked that a login has replaced."""
        try:
            server = await self.finder.known(tokens.issuer)
            client = await self._client_of(tokens, server)
        except (AuthorizationFailed, GrantRefused) as error:
            logger.warning("the tokens until now may not be revoked: %s", error)
            return
        if client is not None:
            await self._give_back(server, client, tokens)

    async def _give_back(self, server: ServerMetadata, client: Registered, tokens: Tokens) -> None:
        """Have tokens revoked that are not kept, where that leaves those that are kept."""
        kept = await self.kept()
        if kept is not None and kept.is_of(client):
            # Many authorization servers revoke all that the user has granted to the client.
            return
        try:
            await self._endpoint.revoke(server, client, tokens)
        except AuthorizationFailed as error:
            logger.warning("%s", error)

    def may_refresh(self, tokens: Tokens, demand: Demand, found: Found) -> bool:
        """Whether a refresh would bring tokens of the kind that is demanded.

        Raises:
            AuthorizationFailed: There are no such tokens at all.
        """
        return fits(tokens, binding_for(self._dpop, demand, found))

    # -- what is kept -----------------------------------------------------------------------

    @property
    def _entry(self) -> str:
        return " ".join(filter(None, ("tokens", self.finder.url, self._grant.owner)))

    async def kept(self) -> Tokens | None:
        """The tokens that are stored for the server."""
        return decoded(await self._storage.load(self._entry), Tokens)

    async def usable(self) -> Tokens | None:
        """The tokens that are stored, if they are bound to a key as the user wants it."""
        tokens = await self.kept()
        if tokens is None:
            return None
        if self._dpop != "auto" and (tokens.key is not None) != (self._dpop == "required"):
            return None
        try:
            stored_key(tokens)
        except ValueError as error:
            logger.warning("stored tokens cannot be used: %s", error)
            return None
        return tokens

    async def keep(self, tokens: Tokens | None) -> None:
        """Store tokens in place of others, or forget them."""
        await self._storage.save(self._entry, None if tokens is None else encoded(tokens))

    async def retire(self, tokens: Tokens) -> Tokens:
        """Forget a refresh token that is no good any more.

        Returns:
            The tokens without it.
        """
        rest = attrs.evolve(tokens, refresh_token=None)
        await self._replace(tokens, rest)
        return rest

    async def _replace(self, until_now: Tokens, tokens: Tokens) -> bool:
        """Store tokens in place of others, unless these are not there any more.

        Then the user has logged out, and may have logged in again.

        Returns:
            Whether they are stored.
        """
        kept = await self.kept()
        if kept is None or kept.access_token != until_now.access_token:
            return False
        await self.keep(tokens)
        return True
