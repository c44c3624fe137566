"""What a server asks of those who call it over HTTP, as the doors see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._http import HttpRequest

__all__ = ["WELL_KNOWN", "Authorization", "Denied"]

#: Where the metadata of a protected resource stands (RFC 9728, 3.1).
WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


class Denied(Exception):
    """A request is refused because of who sends it, or because nobody knows who does.

    Args:
        status: The HTTP status.
        message: One sentence for the client.
        headers: Headers of the answer; the challenge is among them.
        data: More about it, as JSON.
    """

    def __init__(
        self, status: int, message: str, headers: Mapping[str, str], data: Any = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.data = data


class Authorization(Protocol):
    """A protected resource: it judges tokens and says which ones it wants.

    Attributes:
        required: The scopes that every caller needs.
        resource_paths: The paths of the resource's own URLs, if it was told any.
        unshared: What must be given before several processes can serve the same resource; None if
            nothing is missing.
    """

    @property
    def required(self) -> frozenset[str]: ...
    @property
    def resource_paths(self) -> frozenset[str]: ...
    @property
    def unshared(self) -> str | None: ...

    async def admit(
        self, request: HttpRequest, scopes: frozenset[str] = frozenset()
    ) -> HttpRequest:
        """Judge who sends a request.

        Args:
            request: The request; a WebSocket's handshake too.
            scopes: What it needs beside the required scopes.

        Returns:
            The request with its principal, and without the token.

        Raises:
            Denied: There is no token (401), it is not accepted (401), not readable (400) or lacks
                scopes (403), or it cannot be judged now (503).
        """

    def insufficient(self, request: HttpRequest, needed: frozenset[str]) -> Denied:
        """What a caller is told whose token lacks scopes (403).

        Args:
            request: The request.
            needed: All scopes that it needs.
        """

    def metadata(self, request: HttpRequest, path: str) -> dict[str, Any] | None:
        """The metadata of the resource; None where it has no authorization server.

        Args:
            request: Who asks.
            path: The resource's path below the application's root.

        Specification: RFC 9728, section 2.
        """
