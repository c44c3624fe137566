"""Where a client finds who gives out tokens for a server, and what may be believed of it.

The texts of `resource` and `issuer` are compared and sent as they came, never normalised.

Specification: 2026-07-28, Authorization, Authorization Server Discovery; RFC 9728, RFC 8414.
"""

from __future__ import annotations

from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import attrs
import msgspec

from ._challenges import parse_scopes

__all__ = [
    "MetadataRefused",
    "ResourceMetadata",
    "ServerMetadata",
    "check_codes",
    "check_grant",
    "covers",
    "default_endpoints",
    "origin_text",
    "read_resource_metadata",
    "read_server_metadata",
    "resource_metadata_urls",
    "server_metadata_urls",
]

T = TypeVar("T")

_RESOURCE: Final = "/.well-known/oauth-protected-resource"
_OAUTH: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"

#: The method of PKCE that is demanded (2026-07-28, Authorization Code Protection).
_S256: Final = "S256"

#: Characters of a document's value that an error quotes.
_SHOWN: Final = 100

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class MetadataRefused(Exception):
    """A document must not be used; the text says why, in one sentence."""


class _ResourceDocument(msgspec.Struct):
    resource: str
    authorization_servers: list[str] | None = None
    scopes_supported: list[str] | None = None
    dpop_signing_alg_values_supported: list[str] | None = None
    dpop_bound_access_tokens_required: bool | None = None


class _ServerDocument(msgspec.Struct):
    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    scopes_supported: list[str] | None = None
    grant_types_supported: list[str] | None = None
    code_challenge_methods_supported: list[str] | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    token_endpoint_auth_signing_alg_values_supported: list[str] | None = None
    client_id_metadata_document_supported: bool | None = None
    authorization_response_iss_parameter_supported: bool | None = None
    dpop_signing_alg_values_supported: list[str] | None = None


@attrs.frozen
class ResourceMetadata:
    """What a server says of itself.

    Attributes:
        resource: Its identifier, exactly as it wrote it.
        issuers: Its authorization servers, in its order.
        scopes: Those that are needed for its basic functions; None if it does not say.
        dpop_algorithms: Those of proofs that it takes; None if it does not say.
        requires_dpop: Whether it takes only tokens that are bound to a key.
    """

    resource: str
    issuers: tuple[str, ...]
    scopes: tuple[str, ...] | None = None
    dpop_algorithms: tuple[str, ...] | None = None
    requires_dpop: bool = False


@attrs.frozen
class ServerMetadata:
    """What an authorization server says of itself.

    Attributes:
        issuer: Its identifier, exactly as it wrote it.
        authorization_endpoint: Where the user is sent; empty if there is no such place.
        token_endpoint: Where tokens are given out.
        registration_endpoint: Where clients register themselves, if they can.
        revocation_endpoint: Where tokens are revoked, if they can be.
        scopes: Those that it knows, as far as it says so.
        auth_methods: How clients may authenticate at the token endpoint; None if it does not say.
        takes_documents: Whether a client's id may be the URL of its metadata.
        names_itself: Whether it says in each authorization response who it is (RFC 9207).
        grant_types: The grants that it knows; None if it does not say.
        challenge_methods: Its methods of PKCE.
        auth_algorithms: The signatures of clients that it takes; None if it does not say.
        dpop_algorithms: Those of proofs that it takes; None if it does not say.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    scopes: tuple[str, ...] = ()
    auth_methods: tuple[str, ...] | None = None
    takes_documents: bool = False
    names_itself: bool = False
    grant_types: tuple[str, ...] | None = None
    challenge_methods: tuple[str, ...] = ()
    auth_algorithms: tuple[str, ...] | None = None
    dpop_algorithms: tuple[str, ...] | None = None


# -- where documents are ------------------------------------------------------------------------


def _split(url: str) -> tuple[SplitResult, str]:
    """The parts of a URL, and its origin as it is written."""
    parts = urlsplit(url)
    return parts, f"{parts.scheme}://{parts.netloc}"


def origin_text(url: str) -> str:
    """The origin of a URL, as it is written there."""
    return _split(url)[1]


def resource_metadata_urls(url: str) -> tuple[str, ...]:
    """Where a server may have its metadata: at its path, then at the root.

    Args:
        url: The MCP server's endpoint.
    """
    parts, origin = _split(url)
    # Only a slash right after the host goes (RFC 9728, section 3.1): `/mcp/` keeps its own.
    path = "" if parts.path == "/" else parts.path
    query = f"?{parts.query}" if parts.query else ""
    return tuple(dict.fromkeys((f"{origin}{_RESOURCE}{path}{query}", origin + _RESOURCE)))


def server_metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an authorization server may have its metadata, in the order of the specification."""
    parts, origin = _split(issuer)
    path = parts.path.rstrip("/")
    if not path:
        return origin + _OAUTH, origin + _OPENID
    return origin + _OAUTH + path, origin + _OPENID + path, origin + path + _OPENID


# -- what may be believed -----------------------------------------------------------------------


def covers(resource: str, url: str) -> bool:
    """Whether a server at this URL may call itself by this identifier.

    It may by its own URL, and by one of the same origin whose path is the beginning of its own,
    whole segments only.
    """
    try:
        ours, theirs = urlsplit(url), urlsplit(resource)
        same_origin = _origin(ours) == _origin(theirs)
    except ValueError:
        return False
    if not same_origin or "#" in resource or theirs.username is not None:
        return False
    if theirs.query:
        return (theirs.path or "/", theirs.query) == (ours.path or "/", ours.query)
    parent = theirs.path.rstrip("/")
    return ours.path.rstrip("/") == parent or ours.path.startswith(parent + "/")


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def read_resource_metadata(body: bytes, url: str) -> ResourceMetadata:
    """The metadata of the MCP server at a URL (RFC 9728, section 3.3).

    Raises:
        MetadataRefused: They are malformed, or those of another server.
    """
    document = _decoded(body, _ResourceDocument, "the server's metadata")
    if not covers(document.resource, url):
        raise MetadataRefused(
            f"the metadata found for {url!r} are those of {document.resource[:_SHOWN]!r}"
        )
    issuers = tuple(dict.fromkeys(document.authorization_servers or ()))
    if not issuers:
        raise MetadataRefused("the server's metadata name no authorization server")
    scopes = document.scopes_supported
    return ResourceMetadata(
        document.resource,
        issuers,
        None if scopes is None else parse_scopes(" ".join(scopes)),
        _texts(document.dpop_signing_alg_values_supported),
        bool(document.dpop_bound_access_tokens_required),
    )


def read_server_metadata(body: bytes, issuer: str) -> ServerMetadata:
    """The metadata of an authorization server (RFC 8414, section 3.3).

    Raises:
        MetadataRefused: They are malformed, or those of another server.
    """
    document = _decoded(body, _ServerDocument, "the authorization server's metadata")
    if document.issuer != issuer:
        raise MetadataRefused(
            f"the metadata found for the authorization server {issuer[:_SHOWN]!r} are those of "
            f"{document.issuer[:_SHOWN]!r}"
        )
    return ServerMetadata(
        issuer,
        document.authorization_endpoint or "",
        document.token_endpoint,
        document.registration_endpoint,
        document.revocation_endpoint,
        tuple(document.scopes_supported or ()),
        _texts(document.token_endpoint_auth_methods_supported),
        bool(document.client_id_metadata_document_supported),
        bool(document.authorization_response_iss_parameter_supported),
        _texts(document.grant_types_supported),
        tuple(document.code_challenge_methods_supported or ()),
        _texts(document.token_endpoint_auth_signing_alg_values_supported),
        _texts(document.dpop_signing_alg_values_supported),
    )


def _texts(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def check_codes(server: ServerMetadata) -> None:
    """Raises MetadataRefused for a server at which codes are not given, or not protected."""
    if not server.authorization_endpoint:
        raise MetadataRefused(
            f"the authorization server {server.issuer[:_SHOWN]!r} has no authorization endpoint, "
            "so nobody can log in there"
        )
    if _S256 not in server.challenge_methods:
        raise MetadataRefused(
            f"the authorization server {server.issuer[:_SHOWN]!r} does not say that it supports "
            "PKCE with S256"
        )


def check_grant(server: ServerMetadata, grant_type: str) -> None:
    """Raises MetadataRefused for a server that says which grants it knows, but not this one."""
    if server.grant_types is not None and grant_type not in server.grant_types:
        raise MetadataRefused(
            f"the authorization server {server.issuer[:_SHOWN]!r} does not know the grant "
            f"{grant_type}: it names {', '.join(server.grant_types)[:_SHOWN]!a}"
        )


def default_endpoints(origin: str) -> ServerMetadata:
    """What stands for an authorization server without metadata (2025-03-26 only)."""
    return ServerMetadata(origin, f"{origin}/authorize", f"{origin}/token", f"{origin}/register")


def _decoded(body: bytes, cls: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=cls)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MetadataRefused(f"{what} cannot be read: {str(error)[:_SHOWN]}") from None
