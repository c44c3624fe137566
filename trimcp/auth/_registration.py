"""What a client is to an authorization server: known beforehand, by a document, or registered.

Specification: 2026-07-28, Authorization, Client Registration; RFC 7591.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import msgspec

from ._addresses import is_loopback_host
from ._grants import BASIC, NO_SECRET, POST, GrantRefused, Registered, method_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._client_key import ClientKey
    from ._discovery import ServerMetadata

__all__ = ["Identity", "read_registration", "registration_request"]

#: What is known to us, what we like best first: a program on a user's device keeps no secret.
_METHODS: Final = (NO_SECRET, BASIC, POST)

#: Schemes of redirect URIs of web applications; others belong to native ones.
_WEB: Final = ("http", "https")


@attrs.frozen
class Identity:
    """What the user of this library says about the client.

    Attributes:
        name: For people.
        client_id: The id that an authorization server has given, if it has.
        client_secret: The secret that belongs to it, if there is one.
        issuer: The authorization server that has given both; None for any.
        document: The URL of the client's metadata document, if it has one.
        key: What it proves with who it is, if it has a key.
    """

    name: str
    client_id: str | None = None
    client_secret: str | None = attrs.field(default=None, repr=False)
    issuer: str | None = None
    document: str | None = None
    key: ClientKey | None = attrs.field(default=None, repr=False)

    def at(self, server: ServerMetadata) -> Registered | None:
        """What it is to an authorization server without registering; None if it is nothing.

        Raises:
            GrantRefused: It is known to another authorization server, or cannot authenticate.
        """
        if self.client_id is not None:
            self.check_issuer(server)
            method = method_for(
                server.auth_methods,
                has_secret=self.client_secret is not None,
                has_key=self.key is not None,
            )
            if method is None:
                raise GrantRefused(
                    "the authorization server does not let clients authenticate as this one would: "
                    f"it names {', '.join(server.auth_methods or ())[:100]!a}"
                )
            return Registered(server.issuer, self.client_id, self.client_secret, method)
        if self.document is not None and server.takes_documents:
            return Registered(server.issuer, self.document)
        return None

    def check_issuer(self, server: ServerMetadata) -> None:
        """Raises GrantRefused if the client is known to another authorization server."""
        if self.issuer not in (server.issuer, None):
            raise GrantRefused(
                f"the client's id is one of {self.issuer!r}, but the server names the "
                f"authorization server {server.issuer[:200]!r}"
            )


def registration_request(
    server: ServerMetadata, name: str, redirect_uri: str, scopes: Sequence[str]
) -> dict[str, Any]:
    """What a client says of itself when it registers.

    Args:
        server: The authorization server.
        name: The client's name, for people.
        redirect_uri: Where answers go.
        scopes: Those that the client may ask for; none to leave that open.

    Raises:
        GrantRefused: The server takes no way to authenticate that we know.
    """
    offered = server.auth_methods
    method = NO_SECRET if offered is None else next((m for m in _METHODS if m in offered), None)
    if method is None:
        raise GrantRefused("the authorization server takes no way to authenticate that is known")
    request = {
        "client_name": name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": _application_type(redirect_uri),
    }
    return request | ({"scope": " ".join(scopes)} if scopes else {})


def _application_type(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    is_web = parts.scheme in _WEB and not is_loopback_host(parts.hostname)
    return "web" if is_web else "native"


class _Answer(msgspec.Struct):
    client_id: str
    client_secret: str | None = None
    client_secret_expires_at: float | None = None
    token_endpoint_auth_method: str | None = None


def read_registration(
    body: bytes, issuer: str, request: dict[str, Any], scopes: Sequence[str]
) -> Registered:
    """What a client has become by registering.

    Args:
        body: The answer.
        issuer: The authorization server.
        request: What was sent.
        scopes: Those registered for.

    Raises:
        GrantRefused: The answer is malformed, or demands what we cannot do.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise GrantRefused("the answer to the registration cannot be read") from None
    method = answer.token_endpoint_auth_method or request["token_endpoint_auth_method"]
    if answer.token_endpoint_auth_method is None and answer.client_secret and method == NO_SECRET:
        # A server that gives a secret unasked wants it (RFC 7591, section 2: the default).
        method = BASIC
    if method not in _METHODS or (method != NO_SECRET and not answer.client_secret):
        raise GrantRefused(f"the client cannot authenticate as it is registered: {method[:50]!a}")
    return Registered(
        issuer,
        answer.client_id,
        answer.client_secret if method != NO_SECRET else None,
        method,
        request["redirect_uris"][0],
        tuple(scopes),
        answer.client_secret_expires_at or None,
    )
