"""What HTTP adds: the HTTP request of a message, and events that can be requested again."""

from __future__ import annotations

import urllib.parse
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ._principal import Principal

__all__ = [
    "CustomRoute",
    "EventStore",
    "HttpRequest",
    "HttpResponse",
    "path_in",
    "quoted_path",
    "root_of",
]

_NONE: Final = MappingProxyType[str, str]({})

#: Characters that stay unchanged in the path of a URL, with the `%` of what is already encoded.
_KEPT_IN_PATHS: Final = "/:@!$&'()*+,;=~-._%"


def root_of(scope: Mapping[str, Any]) -> str:
    """The path under which clients see the application; empty where that is the root."""
    root: str = scope.get("root_path", "")
    return root.rstrip("/")


def path_in(scope: Mapping[str, Any]) -> str:
    """The path of a request below the place where the application is.

    ASGI has the whole path in the scope, but behind a proxy that strips the prefix it is the rest
    already.
    """
    path: str = scope["path"]
    rest = path.removeprefix(root_of(scope))
    return rest if rest.startswith("/") else path


def quoted_path(path: str) -> str:
    """A path as it is written in a URL."""
    return urllib.parse.quote(path, safe=_KEPT_IN_PATHS)


@attrs.frozen(eq=False)
class HttpRequest:
    """An HTTP request, as a handler of a custom route gets it.

    Attributes:
        headers: Its headers, by their names in lower case; the values of a repeated header are
            joined with a comma.
        scope: Its ASGI scope, to which middleware before us may have added.
        body: Its body, for custom routes; empty for requests of the protocol.
        is_mirror: Whether its headers repeat what stands in its body.
        principal: Who sends it, where the server asks that (`Server(auth=…)`); the headers and the
            scope are then without the token.
        resource_path: The path, below the application's root, of the protected resource that it
            belongs to; None if that is its own path, empty where no metadata are served.
        response_headers: Headers that its answer gets beside its own, whatever it is.
    """

    headers: Mapping[str, str]
    scope: Mapping[str, Any]
    body: bytes = b""
    is_mirror: bool = False
    principal: Principal | None = None
    resource_path: str | None = None
    response_headers: Mapping[str, str] = _NONE

    @property
    def method(self) -> str:
        """Its method, such as `GET`."""
        method: str = self.scope["method"]
        return method

    @property
    def path(self) -> str:
        """Its path, decoded, including the path at which this application is mounted."""
        path: str = self.scope["path"]
        return path

    @property
    def query(self) -> dict[str, list[str]]:
        """The parameters after the question mark, each with all of its values."""
        query: bytes = self.scope.get("query_string", b"")
        return urllib.parse.parse_qs(query.decode("latin-1"), keep_blank_values=True)


@attrs.frozen
class HttpResponse:
    """An answer that a handler of a custom route may return.

    Attributes:
        body: The body.
        status: The HTTP status.
        headers: Headers; without a `content-type` here it is `application/octet-stream`.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class CustomRoute:
    """A user's own endpoint.

    Attributes:
        methods: The HTTP methods it is for.
        function: What answers them.
        scopes: What a caller needs beside the server's own required scopes; None where it needs
            no token at all.
    """

    methods: tuple[str, ...]
    function: Callable[[HttpRequest], Awaitable[Any]]
    scopes: frozenset[str] | None = None


class EventStore(Protocol):
    """Keeps the events of one session of the handshake era. Its methods must not block.

    It may have a method `end(stream)`, which is called when no event will follow on a stream. For a
    stream that has not ended, even the last event must stay known, or a client that missed nothing
    could not resume it.

    Specification: 2025-11-25, Streamable HTTP, Resumability and Redelivery.
    """

    def append(self, stream: str, data: bytes) -> str:
        """Keep an event.

        Args:
            stream: The name of its stream.
            data: Its data; empty for an event that only marks a position.

        Returns:
            An id for it, unique in the session, of visible ASCII characters.
        """

    def after(self, id: str) -> tuple[str, list[tuple[str, bytes]]] | None:
        """The events that followed an event on its stream.

        Args:
            id: The event's id, as sent by the client.

        Returns:
            The stream's name, and each later event that has data, with its id. None if the event is
            unknown, or not all events that followed it are kept.
        """
