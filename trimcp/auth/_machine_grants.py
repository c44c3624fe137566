"""Grants in which no user takes part.

Specification: RFC 6749, section 4.4 (client credentials); RFC 7523, section 2.1 (JWT bearer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._asking import ask
from ._grants import Registered

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextlib import AbstractContextManager

    from ._backoff import Backoff
    from ._discovery import ServerMetadata
    from ._finding import Found
    from ._flow import FirstTokens
    from ._grants import Tokens
    from ._registration import Identity

__all__ = ["CLIENT_CREDENTIALS", "JWT_BEARER", "MachineGrant", "WorkloadGrant"]

CLIENT_CREDENTIALS: Final = "client_credentials"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"

#: Seconds in which a platform gives its token.
_PLATFORM_SECONDS: Final = 30.0


class MachineGrant:
    """Gets tokens for the client itself. A `Grant`; others differ in what they bring.

    Args:
        identity: What the client is.
        backoff: Lets failures rest.
        kind: Tells its stored tokens from those of other grants.
    """

    asks_user = False

    def __init__(self, identity: Identity, backoff: Backoff, kind: str) -> None:
        self._identity = identity
        self._backoff = backoff
        self.key = identity.key
        self.owner = f"{kind} {identity.client_id or ''}"

    async def tokens(
        self, found: Found, scopes: tuple[str, ...] | None, first_tokens: FirstTokens
    ) -> Tokens:
        """See `Grant`."""
        resource = found.resource.resource
        asked = {"resource": resource, **({"scope": " ".join(scopes)} if scopes else {})}
        client = await self.client_at(found.server)
        fields = asked | await self._brought(found, asked)
        return await first_tokens(found.server, client, fields, resource, scopes or ())

    def trying(self, what: Hashable) -> AbstractContextManager[None]:
        """See `Grant`."""
        return self._backoff.trying(what)

    async def _brought(self, found: Found, asked: dict[str, str]) -> dict[str, str]:
        """What the client brings: the grant, and what else is to be asked for."""
        return {"grant_type": CLIENT_CREDENTIALS}

    async def client_at(self, server: ServerMetadata) -> Registered:
        """See `Grant`."""
        client = self._identity.at(server)
        assert client is not None
        return client

    async def accepted(self, client: Registered) -> None:
        """See `Grant`."""

    async def forget(self, client: Registered) -> None:
        """See `Grant`."""


class WorkloadGrant(MachineGrant):
    """Brings a token of the platform that the program runs on, and does not authenticate itself.

    Args:
        identity: As for `MachineGrant`.
        backoff: The same.
        token: Gives the token; may be async.
    """

    def __init__(self, identity: Identity, backoff: Backoff, token: Callable[[], object]) -> None:
        super().__init__(identity, backoff, "workload")
        self._token = token

    async def client_at(self, server: ServerMetadata) -> Registered:
        """See `Grant`. What servers say of how clients authenticate is not about this one."""
        known = self._identity
        known.check_issuer(server)
        return Registered(server.issuer, known.client_id or "")

    async def _brought(self, found: Found, asked: dict[str, str]) -> dict[str, str]:
        assertion = await ask(self._token, "token=", _PLATFORM_SECONDS)
        return {"grant_type": JWT_BEARER, "assertion": assertion}
