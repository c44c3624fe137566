"""Users whom their organization lets in, as a client writes it as `auth=`.

Specification: Extensions, Enterprise-Managed Authorization.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.errors import OptionError

from ._addresses import Reach
from ._client_key import checked_key
from ._discovery import check_grant
from ._enterprise_grant import TOKEN_EXCHANGE, EnterpriseGrant, IdentityProvider
from ._fetch import Fetcher
from ._finding import Finder
from ._given import check_function, check_text
from ._machine_grants import JWT_BEARER
from ._machines import MachineAuth, check_endpoint, check_issuer
from ._registration import Identity

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from ._client_key import PrivateKey
    from ._discovery import ServerMetadata
    from ._dpop import DPoPUse
    from ._storage import TokenStorage

__all__ = ["EnterpriseManaged"]


class EnterpriseManaged(MachineAuth):
    """Lets a user in whom their organization's identity provider knows, for `open_client(auth=…)`.

    The program has the user's ID token from its own login at the identity provider. When a server
    demands it, the identity provider exchanges the ID token for a grant for that server, if the
    organization allows it, and the server's authorization server gives an access token for the
    grant. No page is opened. Tokens are replaced before they expire, which asks the identity
    provider again; refresh tokens are not used.

    One object is for one user. For several users, give each one an object and a storage.

    Args:
        id_token: Gives the user's ID token, which is good for a while yet; may be async, and may
            have the user log in (five minutes). It is called once for each exchange, not again
            if the identity provider refuses what it gave, and what it gives is not kept.
        idp_issuer: The identity provider, which is the only one that gets the ID token.
        idp_client_id: The id of the client there, for which the ID token was made.
        idp_client_secret: The secret that belongs to it, if there is one.
        idp_private_key: In place of a secret: as `private_key` of `ClientCredentials`.
        idp_algorithm: As `algorithm` of `ClientCredentials`.
        idp_token_endpoint: Where tokens are exchanged; by default the identity provider's metadata
            say it.
        client_id: The id of the client at the MCP server's authorization server.
        client_secret: The secret that belongs to it, if there is one.
        private_key: In place of a secret: see `ClientCredentials`.
        algorithm: See `ClientCredentials`.
        issuer: The authorization server. Nothing is sent to another one.
        scopes: Asked for besides those that the server names.
        storage: Keeps access tokens; in memory by default. ID tokens and grants are not stored.
        ssl_context: For all requests of this object; by default one that trusts the usual
            authorities.
        dpop: As for `OAuth`, at the authorization server; the identity provider gets no proofs.

    Raises:
        OptionError: An option has a value that it must not have.
        ModuleNotFoundError: joserfc, which signs with keys, is not installed.

    Specification: Extensions, Enterprise-Managed Authorization.
    """

    _grant_type = JWT_BEARER
    extension = "io.modelcontextprotocol/enterprise-managed-authorization"

    def __init__(
        self,
        *,
        id_token: Callable[[], object],
        idp_issuer: str,
        idp_client_id: str,
        idp_client_secret: str | None = None,
        idp_private_key: PrivateKey | None = None,
        idp_algorithm: str | None = None,
        idp_token_endpoint: str | None = None,
        client_id: str,
        client_secret: str | None = None,
        private_key: PrivateKey | None = None,
        algorithm: str | None = None,
        issuer: str,
        scopes: Iterable[str] = (),
        storage: TokenStorage | None = None,
        ssl_context: ssl.SSLContext | None = None,
        dpop: DPoPUse = "auto",
    ) -> None:
        check_function(
            "id_token",
            id_token,
            "a function without arguments that gives an ID token, since a text would expire",
        )
        check_issuer("idp_issuer", idp_issuer)
        check_issuer("issuer", issuer)
        if idp_token_endpoint is not None:
            check_endpoint("idp_token_endpoint", idp_token_endpoint)
        for name, value in (("client_id", client_id), ("idp_client_id", idp_client_id)):
            check_text(name, value)
            if not value:
                raise OptionError(f"{name}= is empty")
        idp_key = checked_key(idp_client_secret, idp_private_key, idp_algorithm, "idp_")
        key = checked_key(client_secret, private_key, algorithm)
        self._id_token = id_token
        self._idp_issuer = idp_issuer
        self._idp_token_endpoint = idp_token_endpoint
        self._idp_identity = Identity("", idp_client_id, idp_client_secret, idp_issuer, key=idp_key)
        super().__init__(
            Identity("", client_id, client_secret, issuer, key=key),
            storage=storage,
            scopes=scopes,
            ssl_context=ssl_context,
            dpop=dpop,
        )

    def _grant(self, finder: Finder) -> EnterpriseGrant:
        # The user has named the identity provider, so where it is is not judged.
        fetcher = Fetcher(ssl_context=self._ssl_context)
        issuer = self._idp_issuer
        provider = IdentityProvider(
            Finder(Reach(issuer), issuer, fetcher, fetcher, _check_provider),
            self._idp_identity,
            issuer,
            self._idp_token_endpoint,
        )
        return EnterpriseGrant(self._identity, self._backoff, self._id_token, provider)


def _check_provider(server: ServerMetadata) -> None:
    check_grant(server, TOKEN_EXCHANGE)
