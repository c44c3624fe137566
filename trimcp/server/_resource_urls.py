"""The URLs of a protected resource, and which one of them is told of an endpoint.

A client takes only metadata whose resource is the URL that it calls, or a parent of it.

Specification: RFC 9728, section 3.3; 2026-07-28, Authorization, Canonical Server URI.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from trimcp.errors import RegistrationError
from trimcp.runtime import path_in, quoted_path, root_of

from ._bearer import origin_of, url_of

if TYPE_CHECKING:
    from trimcp.runtime import HttpRequest

__all__ = ["ResourceUrls", "checked_url", "urls_in"]

logger = logging.getLogger("trimcp.server")


class ResourceUrls:
    """The URLs that a server was told; without any, that of each request is told.

    Args:
        chosen: What the user has written.
        audiences: What the verifier says of itself.

    Attributes:
        paths: Their paths, decoded, none of which ends in a slash.
    """

    def __init__(self, chosen: str | None, audiences: list[str]) -> None:
        first = [] if chosen is None else [chosen]
        self._chosen = chosen
        self._urls = {url: urlsplit(url) for url in [*first, *audiences]}
        self.paths = frozenset(map(_path, self._urls.values()))
        self._warned: set[str] = set()

    def url(self, request: HttpRequest, path: str) -> str:
        """The URL of the resource at a path below the application's root.

        It is the one that fits best, or the first if none fits: behind a proxy, clients may see
        other paths. The log says so once for each path.
        """
        if not self._urls:
            return url_of(request.scope, request.headers, path)
        path = path.rstrip("/")
        full = root_of(request.scope) + path
        host = request.headers.get("host", "").lower()

        def rank(url: str) -> tuple[bool, bool, bool, bool, int]:
            parts = self._urls[url]
            covers = _covers(parts, full)
            is_behind = not covers and bool(path) and _path(parts).endswith(path)
            is_here = parts.netloc.lower() == host
            return covers, is_behind, url == self._chosen, is_here, len(parts.path)

        best = max(self._urls, key=rank)
        if not any(rank(best)[:2]):
            self._warn(path, self._urls[best])
        return best

    def request_url(self, request: HttpRequest) -> str:
        """The URL, without its query, by which a client sends a request.

        Its origin is that of the resource. So is the beginning of its path, if a proxy has stripped
        that; what follows is the path of the request.
        """
        scope = request.scope
        path = path_in(scope)
        full = root_of(scope) + path
        if not self._urls:
            return f"{origin_of(scope, request.headers)}{quoted_path(full)}"
        endpoint = (request.resource_path or path).rstrip("/")
        parts = self._urls[self.url(request, endpoint)]
        told = _path(parts)
        if endpoint and not _covers(parts, root_of(scope) + endpoint) and told.endswith(endpoint):
            full = told.removesuffix(endpoint) + path
        return f"{parts.scheme}://{parts.netloc}{quoted_path(full)}"

    def _warn(self, path: str, parts: SplitResult) -> None:
        if path in self._warned:
            return
        self._warned.add(path)
        origin = f"{parts.scheme}://{parts.netloc}"
        logger.warning(
            "clients of %r cannot log in: it is not below the resource %r; write "
            "resource_url=%r for all endpoints (the verifier's audience must contain it too), or "
            "root_path= if a proxy strips a prefix from the path",
            path or "/",
            parts.geturl(),
            origin,
        )


def _path(parts: SplitResult) -> str:
    return unquote(parts.path).rstrip("/")


def _covers(parts: SplitResult, path: str) -> bool:
    """Whether a path is that of a URL or, in whole segments, below it."""
    parent = _path(parts)
    return path == parent or (not parts.query and path.startswith(f"{parent}/"))


def urls_in(told: Any) -> list[str]:
    """The http(s) URLs in what a verifier says of itself: nothing, a text, or several."""
    several = [told] if isinstance(told, str) else told or ()
    return [each for each in several if isinstance(each, str) and _is_url(each)]


def checked_url(text: Any) -> str:
    """Raises RegistrationError if it is no URL that can be told; it may hold a password."""
    if isinstance(text, str) and _is_url(text):
        return text
    shown = "a URL with a user name" if "@" in str(text) else repr(text)
    raise RegistrationError(f"{shown} is no URL such as 'https://mcp.example.com/mcp'")


def _is_url(text: str) -> bool:
    """Whether it is an http(s) URL that can be told in a header."""
    if not text.isascii() or not text.isprintable() or any(each in text for each in ' "\\#'):
        return False
    try:
        parts = urlsplit(text)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return has_place and parts.scheme in ("http", "https") and "@" not in parts.netloc
