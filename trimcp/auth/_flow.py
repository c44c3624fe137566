"""The steps of a login, each one exchange or a few.

Specification: 2026-07-28, Authorization, Authorization Flow Steps.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import msgspec
import trio

from trimcp.errors import AuthorizationFailed

from ._codes import Authorization, CodeRefused
from ._fetch import FetchFailed
from ._grants import GrantRefused, Registered, Tokens, read_error, read_tokens, token_form
from ._registration import Identity, read_registration, registration_request
from ._scopes import scopes_to_register, scopes_to_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._discovery import ServerMetadata
    from ._fetch import Fetched
    from ._finding import Finder, Found
    from ._storage import TokenStorage
    from ._visiting import Visitor

__all__ = ["Flow"]

logger = logging.getLogger("trimcp.auth")

T = TypeVar("T")

#: Seconds for an exchange that gives out tokens, and for storing them: it is not broken off.
_EXCHANGE_SECONDS: Final = 30.0

#: The answer of an authorization server that does not know a scope, or not for this client.
_INVALID_SCOPE: Final = "invalid_scope"

_LOGGED_OUT: Final = "the user has logged out"

#: The answers of one that does not know the client (any more).
_UNKNOWN_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client"})


class Flow:
    """Gets tokens for one MCP server.

    Args:
        finder: Finds its authorization server.
        storage: Keeps what must not be lost.
        identity: What the user says about the client.
        visitor: Sends the user to the authorization server.
        wanted: Scopes that are asked for besides those that the server names.

    Attributes:
        finder: The same as the argument.
    """

    def __init__(
        self,
        finder: Finder,
        storage: TokenStorage,
        identity: Identity,
        visitor: Visitor,
        wanted: Sequence[str],
    ) -> None:
        self.finder = finder
        self._storage = storage
        self._identity = identity
        self._visitor = visitor
        self._wanted = tuple(wanted)
        self._guard = trio.CancelScope()

    # -- login ------------------------------------------------------------------------------

    async def log_in(
        self, found: Found, challenged: Sequence[str] | None, requested: Sequence[str]
    ) -> Tokens:
        """Have the user log in, and store what that brings.

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
            server=found.server.scopes,
        )
        try:
            return await self._log_in(found, scopes, is_first=True)
        except (CodeRefused, GrantRefused) as error:
            raise AuthorizationFailed(str(error)) from None

    async def _log_in(
        self, found: Found, scopes: tuple[str, ...] | None, *, is_first: bool
    ) -> Tokens:
        """As `log_in`; a client that is not registered for the scopes registers once more."""
        server = found.server
        known = self._identity.at(server)
        stored = None if known else await self._registered_at(server)
        # Where nobody can log in this raises, so that no client is registered for nothing.
        async with self._visitor.expecting(stored.redirect_uri if stored else "") as visit:
            uri = visit.redirect_uri
            client = known or (stored if stored and stored.redirect_uri == uri else None)
            if client is None or (client is stored and not is_first):
                client = await self._register(found, uri, scopes)
                if stored is None:
                    await self._keep_client(client)
            request = Authorization(server, client.client_id, uri, found.resource.resource, scopes)
            try:
                code = await visit.code_for(request)
            except CodeRefused as error:
                if error.error != _INVALID_SCOPE or not is_first or known is not None:
                    raise
                logger.debug("the client is registered for other scopes: registering it again")
                code = ""
        if not code:
            return await self._log_in(found, scopes, is_first=False)
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": request.redirect_uri,
            "code_verifier": request.verifier,
            "resource": request.resource,
        }
        return await self._exchange(
            server, client, fields, request.resource, scopes or (), is_login=True
        )

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
        client = self._identity.at(server) or await self._registered_at(server)
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
            form, headers = token_form(client, fields)
            now = time.time()
            try:
                fetcher = self.finder.fetcher_for(server.issuer)
                answer = await fetcher.post_form(server.token_endpoint, form, headers=headers)
            except FetchFailed as error:
                raise AuthorizationFailed(f"the token endpoint: {error}") from error
            if answer.status != 200:
                refusal = _refusal(answer, "the token endpoint")
                if isinstance(refusal, GrantRefused) and refusal.error in _UNKNOWN_CLIENT:
                    await self._forget(client)
                raise refusal
            tokens = read_tokens(answer.body, client, resource, requested, now)
            if tokens.refresh_token is None:
                tokens = attrs.evolve(tokens, refresh_token=fields.get("refresh_token"))
            if is_login:
                await self._keep_login(client, tokens)
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
        client = self._identity.at(server) or await self._registered_at(server)
        if client is not None:
            await self._revoke(server, client, tokens)
        return True

    async def _revoke(self, server: ServerMetadata, client: Registered, tokens: Tokens) -> None:
        """Have tokens revoked where that is offered.

        Raises:
            AuthorizationFailed: Whether they were is not known.
        """
        if server.revocation_endpoint is None:
            return
        # With a refresh token go the access tokens that it has brought.
        token = tokens.refresh_token or tokens.access_token
        form, headers = token_form(client, {"token": token})
        try:
            fetcher = self.finder.fetcher_for(server.issuer)
            answer = await fetcher.post_form(server.revocation_endpoint, form, headers=headers)
        except FetchFailed as error:
            raise AuthorizationFailed(f"the tokens may not be revoked: {error}") from error
        if answer.status != 200:
            refusal = read_error(answer.status, answer.body, "the revocation")
            raise AuthorizationFailed(f"the tokens may not be revoked: {refusal}")

    async def _give_back(self, server: ServerMetadata, client: Registered, tokens: Tokens) -> None:
        """Have tokens revoked that came after the user had logged out."""
        try:
            await self._revoke(server, client, tokens)
        except AuthorizationFailed as error:
            logger.warning("after a logout: %s", error)

    # -- registration -----------------------------------------------------------------------

    async def _registered_at(self, server: ServerMetadata) -> Registered | None:
        """What the client has registered as, if that is still good."""
        entry = await self._storage.load(f"client {server.issuer}")
        client = _decoded(entry, Registered)
        if client is None or client.issuer != server.issuer:
            return None
        expires = math.inf if client.expires is None else client.expires
        return client if expires > time.time() else None

    async def _register(
        self, found: Found, redirect_uri: str, scopes: Sequence[str] | None
    ) -> Registered:
        server = found.server
        if server.registration_endpoint is None:
            raise AuthorizationFailed(
                f"the authorization server {server.issuer!r} does not let clients register "
                "themselves: give the client_id= that it knows"
            )
        for names in dict.fromkeys((scopes_to_register(scopes, found.resource.scopes), ())):
            request = registration_request(server, self._identity.name, redirect_uri, names)
            try:
                answer = await self.finder.fetcher_for(server.issuer).post_json(
                    server.registration_endpoint, request
                )
            except FetchFailed as error:
                raise AuthorizationFailed(f"the client cannot register: {error}") from error
            if answer.status in (200, 201):
                return read_registration(answer.body, server.issuer, request, names)
            # Some refuse to register for scopes that they do not know.
            refusal = _refusal(answer, "the registration")
        raise AuthorizationFailed(str(refusal))

    async def _keep_client(self, client: Registered) -> None:
        await self._storage.save(f"client {client.issuer}", _encoded(client))

    async def _forget(self, client: Registered) -> None:
        """Forget what the client has registered as, unless that is something else by now."""
        entry = f"client {client.issuer}"
        stored = _decoded(await self._storage.load(entry), Registered)
        if stored is not None and stored.client_id == client.client_id:
            await self._storage.save(entry, None)

    # -- what is kept -----------------------------------------------------------------------

    @property
    def _entry(self) -> str:
        return f"tokens {self.finder.url}"

    async def kept(self) -> Tokens | None:
        """The tokens that are stored for the server."""
        return _decoded(await self._storage.load(self._entry), Tokens)

    async def keep(self, tokens: Tokens | None) -> None:
        """Store tokens in place of others, or forget them."""
        await self._storage.save(self._entry, None if tokens is None else _encoded(tokens))

    async def replace(self, tokens: Tokens) -> bool:
        """Store tokens in place of others, unless there are none: the user has logged out then.

        Returns:
            Whether they are stored.
        """
        if await self.kept() is None:
            return False
        await self.keep(tokens)
        return True

    async def _keep_login(self, client: Registered, tokens: Tokens) -> None:
        await self.keep(tokens)
        if client.redirect_uri:
            # Only now: the tokens until here may be refreshed only as the client until here.
            await self._keep_client(client)


def _refusal(answer: Fetched, who: str) -> GrantRefused | AuthorizationFailed:
    """The error for an answer that is no success; of a failing server nothing is known."""
    refusal = read_error(answer.status, answer.body, who)
    if answer.status >= 500 or answer.status in (408, 425, 429):
        return AuthorizationFailed(str(refusal))
    return refusal


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _decoded(entry: str | None, cls: type[T]) -> T | None:
    """What was stored; None if it cannot be read, for example since it is of another version."""
    try:
        return None if entry is None else msgspec.json.decode(entry, type=cls)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
