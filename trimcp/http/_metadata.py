"""What is told of a protected resource: who issues tokens for it, and for which scopes.

Loaded where somebody asks.

Specification: RFC 9728, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.functions import to_json

from ._visits import Refused

if TYPE_CHECKING:
    from trimcp.runtime import Authorization

    from ._visits import Visit

__all__ = ["MetadataEndpoint"]


class MetadataEndpoint:
    """Answers with the metadata.

    Args:
        authorization: The server's.
        path: The resource's path below the application's root.
    """

    methods = ("GET", "HEAD")
    scopes: frozenset[str] | None = None

    def __init__(self, authorization: Authorization, path: str) -> None:
        self._authorization = authorization
        self._path = path

    async def serve(self, visit: Visit) -> None:
        """Answer one HTTP request. Raises Refused."""
        document = self._authorization.metadata(visit.http, self._path)
        if document is None:
            raise Refused(404, "there is no authorization server")
        await visit.response.json(200, to_json(document))
