"""What an authorization server says of itself, as far as a resource server asks.

Specification: RFC 8414; OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._discovery import server_metadata_urls
from ._fetch import FetchFailed

if TYPE_CHECKING:
    from ._fetch import Fetcher

__all__ = ["fetch_key_set", "fetch_metadata"]

#: Redirects within the origin of a document that are followed.
_REDIRECTS: Final = 3


async def fetch_metadata(fetcher: Fetcher, issuer: str) -> dict[str, Any]:
    """The metadata of an issuer.

    Raises:
        FetchFailed: There are none, or they are those of another issuer.
    """
    urls = server_metadata_urls(issuer)
    for url in urls:
        answer = await fetcher.get(url, redirects=_REDIRECTS)
        if 400 <= answer.status < 500:
            continue
        if answer.status != 200:
            raise FetchFailed(f"{url!r} answered with HTTP status {answer.status}")
        metadata = answer.document()
        if metadata.get("issuer") != issuer:
            said = str(metadata.get("issuer"))[:200]
            raise FetchFailed(f"{url!r} has the metadata of the issuer {said!r}, not {issuer!r}")
        return metadata
    raise FetchFailed(f"the issuer {issuer!r} has no metadata at {', '.join(urls)}")


async def fetch_key_set(fetcher: Fetcher, url: str) -> dict[str, Any]:
    """A JWK set.

    Raises:
        FetchFailed: There is none.
    """
    answer = await fetcher.get(url, redirects=_REDIRECTS)
    if answer.status != 200:
        raise FetchFailed(f"{url!r} answered with HTTP status {answer.status}")
    return answer.document()
