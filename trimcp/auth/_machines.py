"""Clients without a user: what they write as `auth=`.

Specification: Extensions, OAuth Client Credentials; RFC 6749, section 4.4; RFC 7523.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from trimcp.errors import OptionError

from ._addresses import is_loopback_host
from ._backoff import Backoff
from ._client_auth import ClientAuth
from ._client_key import checked_key
from ._discovery import check_grant
from ._given import check_function, check_text
from ._machine_grants import CLIENT_CREDENTIALS, JWT_BEARER, MachineGrant, WorkloadGrant
from ._registration import Identity

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from ._client_key import PrivateKey
    from ._discovery import ServerMetadata
    from ._dpop import DPoPUse
    from ._finding import Finder
    from ._storage import TokenStorage

__all__ = ["ClientCredentials", "MachineAuth", "WorkloadIdentity", "check_endpoint", "check_issuer"]


class MachineAuth(ClientAuth):
    """What all `auth=` objects without a user have in common.

    Args:
        identity: What the client is.
        storage: Keeps tokens; in memory by default.
        scopes: Asked for besides those that the server names.
        ssl_context: For all requests of this object.
        dpop: As for `OAuth`.

    Raises:
        OptionError: An option has a value that it must not have.
    """

    _grant_type: ClassVar[str]

    def __init__(
        self,
        identity: Identity,
        *,
        storage: TokenStorage | None,
        scopes: Iterable[str],
        ssl_context: ssl.SSLContext | None,
        dpop: DPoPUse,
    ) -> None:
        check_text("client_id", identity.client_id)
        super().__init__(
            storage=storage,
            issuer=identity.issuer,
            scopes=scopes,
            ssl_context=ssl_context,
            dpop=dpop,
        )
        self._identity = identity
        self._backoff = Backoff()

    def __repr__(self) -> str:
        return f"<trimcp.auth.{type(self).__name__} for {self._identity.client_id!r}>"

    def _check(self, server: ServerMetadata) -> None:
        check_grant(server, self._grant_type)


class ClientCredentials(MachineAuth):
    """Authorizes a program by what it has itself: a secret or a key, for `open_client(auth=…)`.

    Nothing happens until a server demands it: then its authorization server is looked for, the
    client asks there for an access token, and the request is made once more. The token is
    replaced before it expires, and when the server demands more scopes. Refresh tokens are not
    used. After a failure nothing is asked again for the same scopes until a second later, then two,
    up to a minute; requests until then fail for the same reason.

    One object may serve many clients. Those for the same server share their tokens.

    Args:
        client_id: The id that an authorization server has given this client.
        client_secret: The secret that belongs to it.
        private_key: In place of a secret: a PEM text or a JWK, whose public part the authorization
            server knows; or a function, which may be async, that gets the issuer and gives back a
            signed assertion (RFC 7523, section 2.2).
        algorithm: Signs with this one; by default with the first that fits the key and that the
            authorization server takes.
        issuer: The authorization server that has given the id; nothing is sent to another one.
            Needed with `client_secret`. With a key it may be left out: then the MCP server says
            which it is, and an assertion that goes to a false one is of no use elsewhere.
        scopes: Asked for besides those that the server names.
        storage: Keeps tokens; in memory by default. Neither `client_secret` nor `private_key` is
            stored.
        ssl_context: For the requests to the server's metadata and to the authorization server;
            by default one that trusts the usual authorities.
        dpop: As for `OAuth`: whether tokens are bound to a key, which is another one than
            `private_key`.

    Raises:
        OptionError: An option has a value that it must not have, or lacks another one.
        ModuleNotFoundError: joserfc, which signs, is not installed.

    Specification: Extensions, OAuth Client Credentials.
    """

    _grant_type = CLIENT_CREDENTIALS
    extension = "io.modelcontextprotocol/oauth-client-credentials"

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str | None = None,
        private_key: PrivateKey | None = None,
        algorithm: str | None = None,
        issuer: str | None = None,
        scopes: Iterable[str] = (),
        storage: TokenStorage | None = None,
        ssl_context: ssl.SSLContext | None = None,
        dpop: DPoPUse = "auto",
    ) -> None:
        key = checked_key(client_secret, private_key, algorithm)
        if not client_id:
            raise OptionError("client_id= is empty")
        if key is None and not client_secret:
            raise OptionError(
                "give client_secret= or private_key=: without a user a client needs one"
            )
        if key is None and issuer is None:
            raise OptionError(
                "client_secret= needs issuer=, the authorization server that gave it: otherwise "
                "any MCP server could name one that gets the secret"
            )
        if issuer is not None:
            check_issuer("issuer", issuer)
        super().__init__(
            Identity("", client_id, client_secret, issuer, key=key),
            storage=storage,
            scopes=scopes,
            ssl_context=ssl_context,
            dpop=dpop,
        )

    def _grant(self, finder: Finder) -> MachineGrant:
        return MachineGrant(self._identity, self._backoff, CLIENT_CREDENTIALS)


class WorkloadIdentity(MachineAuth):
    """Authorizes a program by a token of the platform that it runs on, for `open_client(auth=…)`.

    As `ClientCredentials`, but the client has nothing of its own: the platform says who it is, and
    the authorization server believes the platform. A token that is refused is not tried again
    with another grant.

    Args:
        token: Gives the platform's token, a JWT whose audience is the authorization server; may be
            async. It is asked each time, and what it gives is not kept. See `token_from_file`
            and `token_from_environment`.
        issuer: The authorization server. The token is sent nowhere else: whoever has it could use
            it there.
        client_id: The id of the client at the authorization server, if it has one.
        scopes: Asked for besides those that the server names.
        storage: Keeps access tokens; in memory by default.
        ssl_context: As for `ClientCredentials`.
        dpop: As for `OAuth`.

    Raises:
        OptionError: An option has a value that it must not have.

    Specification: RFC 7523, section 2.1.
    """

    _grant_type = JWT_BEARER

    def __init__(
        self,
        *,
        token: Callable[[], object],
        issuer: str,
        client_id: str | None = None,
        scopes: Iterable[str] = (),
        storage: TokenStorage | None = None,
        ssl_context: ssl.SSLContext | None = None,
        dpop: DPoPUse = "auto",
    ) -> None:
        check_function(
            "token",
            token,
            "a function without arguments that gives a token, as token_from_file(path), since a "
            "text would expire",
        )
        check_issuer("issuer", issuer)
        self._token = token
        super().__init__(
            Identity("", client_id or "", issuer=issuer),
            storage=storage,
            scopes=scopes,
            ssl_context=ssl_context,
            dpop=dpop,
        )

    def _grant(self, finder: Finder) -> WorkloadGrant:
        return WorkloadGrant(self._identity, self._backoff, self._token)


def check_issuer(name: str, issuer: str) -> None:
    """Raises OptionError for what is no issuer to which something secret may be sent."""
    check_endpoint(name, issuer)
    if "?" in issuer:
        raise OptionError(f"{name}= is a URL without a query")


def check_endpoint(name: str, url: str) -> None:
    """Raises OptionError for what is no URL to which something secret may be sent."""
    if not isinstance(url, str):
        raise OptionError(f"{name}= is a URL, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if "@" in url or "#" in url:
        # There may be a password in it, so it is not shown.
        raise OptionError(f"{name}= is a URL without a user name and a fragment")
    is_local = host and parts.scheme == "http" and is_loopback_host(host)
    if not host or not (is_local or parts.scheme == "https"):
        raise OptionError(f"{name}= is an https URL (http on the loopback only), not {url!r:.200}")
