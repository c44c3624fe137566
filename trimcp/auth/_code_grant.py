"""The authorization code grant: a user logs in, and lets the client act for them.

Specification: 2026-07-28, Authorization, Authorization Flow Steps; RFC 6749, section 4.1.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from trimcp.errors import AuthorizationFailed

from ._codes import Authorization, CodeRefused
from ._entries import decoded, encoded
from ._fetch import FetchFailed
from ._grants import Registered
from ._registration import Identity, read_registration, registration_request
from ._scopes import scopes_to_register
from ._token_endpoint import refusal_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from contextlib import AbstractContextManager

    from ._discovery import ServerMetadata
    from ._finding import Finder, Found
    from ._flow import FirstTokens
    from ._grants import Tokens
    from ._storage import TokenStorage
    from ._visiting import Visitor

__all__ = ["CodeGrant"]

logger = logging.getLogger("trimcp.auth")

#: The answer of an authorization server that does not know a scope, or not for this client.
_INVALID_SCOPE: Final = "invalid_scope"


class CodeGrant:
    """Has a user log in. A `Grant`.

    Args:
        finder: Reaches the authorization server.
        storage: Keeps what the client has registered as.
        identity: What the user of this library says about the client.
        visitor: Sends the user to the authorization server.
    """

    asks_user = True
    owner = ""

    def __init__(
        self, finder: Finder, storage: TokenStorage, identity: Identity, visitor: Visitor
    ) -> None:
        self._finder = finder
        self._storage = storage
        self._identity = identity
        self.key = identity.key
        self._visitor = visitor

    async def tokens(
        self, found: Found, scopes: tuple[str, ...] | None, first_tokens: FirstTokens
    ) -> Tokens:
        """See `Grant`."""
        return await self._log_in(found, scopes, first_tokens, is_first=True)

    async def _log_in(
        self,
        found: Found,
        scopes: tuple[str, ...] | None,
        first_tokens: FirstTokens,
        *,
        is_first: bool,
    ) -> Tokens:
        """As `tokens`; a client that is not registered for the scopes registers once more."""
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
                    await self._keep(client)
            request = Authorization(server, client.client_id, uri, found.resource.resource, scopes)
            try:
                code = await visit.code_for(request)
            except CodeRefused as error:
                if error.error != _INVALID_SCOPE or not is_first or known is not None:
                    raise
                logger.debug("the client is registered for other scopes: registering it again")
                code = ""
        if not code:
            return await self._log_in(found, scopes, first_tokens, is_first=False)
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": request.redirect_uri,
            "code_verifier": request.verifier,
            "resource": request.resource,
        }
        return await first_tokens(server, client, fields, request.resource, scopes or ())

    def trying(self, what: Hashable) -> AbstractContextManager[None]:
        """See `Grant`. The user decides how often."""
        return nullcontext()

    # -- registration -----------------------------------------------------------------------

    async def client_at(self, server: ServerMetadata) -> Registered | None:
        """See `Grant`."""
        return self._identity.at(server) or await self._registered_at(server)

    async def accepted(self, client: Registered) -> None:
        """See `Grant`."""
        if client.redirect_uri:
            # Only now: the tokens until here may be refreshed only as the client until here.
            await self._keep(client)

    async def forget(self, client: Registered) -> None:
        """See `Grant`."""
        entry = f"client {client.issuer}"
        stored = decoded(await self._storage.load(entry), Registered)
        if stored is not None and stored.client_id == client.client_id:
            await self._storage.save(entry, None)

    async def _keep(self, client: Registered) -> None:
        await self._storage.save(f"client {client.issuer}", encoded(client))

    async def _registered_at(self, server: ServerMetadata) -> Registered | None:
        """What the client has registered as, if that is still good."""
        entry = await self._storage.load(f"client {server.issuer}")
        client = decoded(entry, Registered)
        return client if client is not None and client.is_good_at(server.issuer) else None

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
                answer = await self._finder.fetcher_for(server.issuer).post_json(
                    server.registration_endpoint, request
                )
            except FetchFailed as error:
                raise AuthorizationFailed(f"the client cannot register: {error}") from error
            if answer.status in (200, 201):
                return read_registration(answer.body, server.issuer, request, names)
            # Some refuse to register for scopes that they do not know.
            refusal = refusal_of(answer, "the registration")
        raise AuthorizationFailed(str(refusal))
