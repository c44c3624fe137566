"""Looking for the authorization server of an MCP server.

Specification: 2026-07-28, Authorization, Authorization Server Discovery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs

from trimcp.errors import AuthorizationFailed

from ._discovery import (
    MetadataRefused,
    ResourceMetadata,
    ServerMetadata,
    default_endpoints,
    origin_text,
    read_resource_metadata,
    read_server_metadata,
    resource_metadata_urls,
    server_metadata_urls,
)
from ._fetch import FetchFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._addresses import Reach
    from ._fetch import Fetched, Fetcher

__all__ = ["Finder", "Found"]

#: Redirects of a document, within its origin.
_REDIRECTS: Final = 3


@attrs.frozen
class Found:
    """What discovery has found.

    Attributes:
        resource: The MCP server.
        server: Its authorization server.
    """

    resource: ResourceMetadata
    server: ServerMetadata

    @property
    def names(self) -> tuple[str, str]:
        """The issuer, and what tokens are for."""
        return self.server.issuer, self.resource.resource


class Finder:
    """Finds the authorization server of one MCP server.

    Args:
        reach: Where the server's URLs may lead to.
        issuer: The authorization server that the user has configured, if there is one.
        fetcher: Makes exchanges with what the server has named.
        trusted: Makes them with the configured authorization server.
        check: Raises MetadataRefused for an authorization server that cannot be used.
    """

    def __init__(
        self,
        reach: Reach,
        issuer: str | None,
        fetcher: Fetcher,
        trusted: Fetcher,
        check: Callable[[ServerMetadata], None],
    ) -> None:
        self._reach = reach
        self._configured = issuer
        self._fetcher = fetcher
        self._trusted = trusted
        self._check = check
        self._servers: dict[str, ServerMetadata] = {}

    @property
    def url(self) -> str:
        """The MCP server's endpoint."""
        return self._reach.url

    def fetcher_for(self, issuer: str) -> Fetcher:
        """What makes exchanges with an authorization server."""
        return self._trusted if issuer == self._configured else self._fetcher

    async def discover(self, hint: str | None) -> Found:
        """Find the authorization server.

        Args:
            hint: Where the server says that its metadata are; None if it does not say.

        Raises:
            AuthorizationFailed: There is none that may be used.
        """
        resource = await self._resource(hint)
        if resource is None:
            return await self._without_metadata()
        issuers = resource.issuers
        configured = self._configured
        is_offered = configured is not None and configured in issuers
        issuer = configured if configured is not None and is_offered else issuers[0]
        return Found(resource, await self.metadata_of(issuer))

    async def _resource(self, hint: str | None) -> ResourceMetadata | None:
        """The server's metadata; None if it has none."""
        for url in (hint,) if hint is not None else resource_metadata_urls(self._reach.url):
            answer = await self._get(url, "the server's metadata", self._fetcher)
            if answer.status == 200:
                try:
                    return read_resource_metadata(answer.body, self._reach.url)
                except MetadataRefused as error:
                    raise AuthorizationFailed(str(error)) from None
            if hint is not None or not 400 <= answer.status < 500:
                raise AuthorizationFailed(
                    f"the server's metadata at {url[:200]!r} cannot be had: HTTP status "
                    f"{answer.status}"
                )
        return None

    async def _without_metadata(self) -> Found:
        """A server of 2025-03-26, whose authorization server is at its own origin."""
        origin = origin_text(self._reach.url)
        resource = ResourceMetadata(self._reach.url.partition("#")[0], (origin,))
        url = server_metadata_urls(origin)[0]
        answer = await self._get(url, "the authorization server's metadata", self._fetcher)
        if answer.status != 200:
            self._servers[origin] = default_endpoints(origin)
            return Found(resource, self._servers[origin])
        return Found(resource, self._checked(answer, origin))

    async def known(self, issuer: str) -> ServerMetadata:
        """The metadata of an authorization server as they were last, or as they are.

        Raises:
            AuthorizationFailed: It has none that may be used.
        """
        return self._servers.get(issuer) or await self.metadata_of(issuer)

    async def metadata_of(self, issuer: str) -> ServerMetadata:
        """The metadata of an authorization server.

        Raises:
            AuthorizationFailed: It has none that may be used.
        """
        if self._flaw(issuer) or "?" in issuer:
            raise AuthorizationFailed(
                f"the server names an authorization server that is not used: {issuer[:200]!r} "
                f"{self._flaw(issuer) or 'has a query'}"
            )
        failure = AuthorizationFailed(f"the authorization server {issuer!r} has no metadata")
        for url in server_metadata_urls(issuer):
            answer = await self._get(
                url, "the authorization server's metadata", self.fetcher_for(issuer)
            )
            if answer.status != 200:
                continue
            try:
                return self._checked(answer, issuer)
            except AuthorizationFailed as error:
                # Another of the places may have the right ones.
                failure = error
        raise failure

    def _checked(self, answer: Fetched, issuer: str) -> ServerMetadata:
        try:
            found = read_server_metadata(answer.body, issuer)
            self._check(found)
        except MetadataRefused as error:
            raise AuthorizationFailed(str(error)) from None
        endpoints = (found.authorization_endpoint, found.token_endpoint)
        for url in (*endpoints, found.registration_endpoint, found.revocation_endpoint):
            if url and (flaw := self._flaw(url, issuer)):
                raise AuthorizationFailed(
                    f"the authorization server {issuer!r} has an endpoint that is not used: "
                    f"{url[:200]!r} {flaw}"
                )
        self._servers[issuer] = found
        return found

    def _flaw(self, url: str, issuer: str | None = None) -> str | None:
        """Why a URL must not be used; the user's own authorization server is the user's choice."""
        if (issuer or url) == self._configured:
            # An issuer of http, which is a user's choice too, may have endpoints of http.
            schemes = {"https", urlsplit(self._configured or "").scheme} & {"http", "https"}
            return None if urlsplit(url).scheme in schemes else "is not one of https"
        return self._reach.flaw(url)

    async def _get(self, url: str, what: str, fetcher: Fetcher) -> Fetched:
        if fetcher is self._fetcher and (flaw := self._reach.flaw(url)):
            raise AuthorizationFailed(f"{what} cannot be had: {url[:200]!r} {flaw}")
        try:
            return await fetcher.get(url, redirects=_REDIRECTS)
        except FetchFailed as error:
            raise AuthorizationFailed(f"{what} cannot be had: {error}") from error
