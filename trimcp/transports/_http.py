"""Requests to one HTTP endpoint, and their answers, message by message.

What a message is about, and which headers it needs, is decided above. An answer is read no
faster than it is taken, and never further than `Limits.message_bytes` into one message.

Specification: Streamable HTTP (2025-03-26 and later); HTTP with SSE (2024-11-05).
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urljoin, urlsplit

import trio

from trimcp.errors import ConnectionLost, ProtocolViolation
from trimcp.protocol.http import ACCEPT_BOTH, EVENT_STREAM, JSON, SSEDecoder, media_type

from ._channel import Oversized

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

    import httpx2

    from trimcp.limits import Limits
    from trimcp.protocol.http import Headers, ServerSentEvent

    from ._channel import Incoming

__all__ = ["HTTPAnswer", "HTTPClient", "HTTPLink", "check_url", "open_http_link"]

#: What makes connections.
HTTPClient: TypeAlias = "httpx2.AsyncClient"

#: Connections kept for the next request.
_IDLE_CONNECTIONS: Final = 20

#: Seconds for which they are kept: fewer than the five after which common servers close them, or a
#: request could just be on its way when they do.
_IDLE_SECONDS: Final = 3.0

#: Redirects of one request that are followed.
_MOST_REDIRECTS: Final = 3

#: Those that keep the method and the body.
_REDIRECTS: Final = frozenset({307, 308})

#: Seconds for closing the connection of an answer that was left.
_CLOSING_SECONDS: Final = 1.0

#: Bytes kept of a body that is too long.
_HEAD: Final = 256


def check_url(url: str) -> str:
    """Raises ValueError for what is no URL of an HTTP server."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"not the URL of an HTTP server: {url!r}")
    return url


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """What must stay the same when a server sends its client elsewhere."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class HTTPLink:
    """The way to one endpoint.

    Args:
        client: Makes the connections.
        url: The endpoint.
        headers: Sent with every request.
        limits: `message_bytes` is used.

    Attributes:
        url: The endpoint.
    """

    def __init__(
        self, client: HTTPClient, url: str, headers: Mapping[str, str], limits: Limits
    ) -> None:
        self.url = url
        self._client = client
        self._headers = dict(headers)
        self._limits = limits

    def turn_to(self, url: str) -> None:
        """Take another endpoint, which may be relative to this one.

        Raises:
            ProtocolViolation: It is of another origin, which must not learn what we send.
        """
        self.url = _followed(self.url, url)

    @asynccontextmanager
    async def post(self, data: bytes, headers: Headers) -> AsyncIterator[HTTPAnswer]:
        """Send one message. Raises ConnectionLost."""
        more = {"accept": ACCEPT_BOTH, "content-type": JSON, **headers}
        async with self._ask("POST", more, data) as answer:
            yield answer

    @asynccontextmanager
    async def get(self, headers: Headers) -> AsyncIterator[HTTPAnswer]:
        """Ask for a stream of events. Raises ConnectionLost."""
        more = {"accept": EVENT_STREAM, "cache-control": "no-store", **headers}
        async with self._ask("GET", more) as answer:
            yield answer

    async def delete(self, headers: Headers) -> int:
        """Ask the server to forget; returns the status. Raises ConnectionLost."""
        async with self._ask("DELETE", dict(headers)) as answer:
            return answer.status

    @asynccontextmanager
    async def _ask(
        self, method: str, headers: dict[str, str], data: bytes | None = None
    ) -> AsyncIterator[HTTPAnswer]:
        url = self.url
        for _ in range(_MOST_REDIRECTS):
            async with self._ask_once(method, url, headers, data) as answer:
                target = answer.headers.get("location")
                if answer.status not in _REDIRECTS or target is None:
                    yield answer
                    return
            url = _followed(url, target)
        raise ProtocolViolation(f"the server redirects more than {_MOST_REDIRECTS} times")

    @asynccontextmanager
    async def _ask_once(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None
    ) -> AsyncIterator[HTTPAnswer]:
        with _translated():
            request = self._client.build_request(
                method,
                url,
                content=data,
                # What is compressed may be much longer than it looks.
                headers={**self._headers, "accept-encoding": "identity", **headers},
                timeout=None,  # deadlines are those of the caller
            )
            response = await self._client.send(request, stream=True, follow_redirects=False)
        pieces = response.aiter_bytes()
        try:
            yield HTTPAnswer(response, pieces, self._limits.message_bytes)
        finally:
            with trio.CancelScope(shield=True, relative_deadline=_CLOSING_SECONDS):
                await _leave(pieces)
                await response.aclose()


class HTTPAnswer:
    """An answer whose body has not been read yet.

    Attributes:
        status: Its status.
        headers: Its headers, by their names in lower case.
        media_type: The type of its body; empty if it says none.
        events: Reads its events.
    """

    def __init__(
        self, response: httpx2.Response, pieces: AsyncGenerator[bytes, None], limit: int
    ) -> None:
        self.status = response.status_code
        self.headers: dict[str, str] = dict(response.headers)
        self.media_type = media_type(self.headers.get("content-type", ""))
        self.events = SSEDecoder(limit)
        self._pieces = pieces
        self._limit = limit

    @property
    def is_success(self) -> bool:
        """Whether the server took the request."""
        return 200 <= self.status < 300

    @property
    def is_stream(self) -> bool:
        """Whether a stream of events follows."""
        return self.status == 200 and self.media_type == EVENT_STREAM

    async def read(self) -> Incoming:
        """The whole body.

        Raises:
            ConnectionLost: It broke off.
        """
        kept: list[bytes] = []
        size = 0
        while piece := await self._next():
            size += len(piece)
            kept.append(piece)
            if size > self._limit:
                return Oversized(size, b"".join(kept)[:_HEAD])
        return b"".join(kept)

    async def take(self) -> list[ServerSentEvent]:
        """The next events; none when the stream has ended.

        Raises:
            ConnectionLost: It broke off.
        """
        while piece := await self._next():
            if events := self.events.feed(piece):
                return events
        return []

    async def _next(self) -> bytes:
        if self.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise ProtocolViolation("the server compressed its answer though it was told not to")
        with _translated():
            return await anext(self._pieces, b"")


def _followed(url: str, reference: str) -> str:
    """Where a server sends its client. Raises ProtocolViolation if that is another origin."""
    try:
        target = urljoin(url, reference)
        if origin_of(target) == origin_of(url):
            return target
    except ValueError as error:
        raise ProtocolViolation(f"the server named an unusable URL: {error}") from error
    raise ProtocolViolation(f"the server sends its client to another origin: {target!r}")


async def _leave(pieces: AsyncGenerator[bytes, None]) -> None:
    """Run the reader of a body to its end, which cancelling it is.

    The HTTP client leaves generators of its own unfinished when a body is not read to its end,
    for the garbage collector to find and complain about.
    """
    import httpx2

    with trio.CancelScope() as scope, suppress(httpx2.HTTPError):
        scope.cancel(reason="the answer was left")
        while await anext(pieces, b""):
            pass


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the HTTP client as ours."""
    import httpx2

    try:
        yield
    except httpx2.InvalidURL as error:
        raise ProtocolViolation(f"the server named an unusable URL: {error}") from error
    except httpx2.HTTPError as error:
        said = str(error) or type(error).__name__
        raise ConnectionLost(f"the HTTP request failed: {said}") from error


@asynccontextmanager
async def open_http_link(
    url: str,
    limits: Limits,
    *,
    headers: Mapping[str, str] | None = None,
    client: HTTPClient | None = None,
) -> AsyncIterator[HTTPLink]:
    """The way to an endpoint; its connections are closed at the end.

    Args:
        url: The endpoint.
        limits: `message_bytes` and `in_flight` are used.
        headers: Sent with every request.
        client: Makes the connections, and is left open; by default one of HTTP/1.1, where
            leaving a stream closes it (of HTTP/2 the server would not be told).

    Raises:
        ValueError: That is no URL.
    """
    import httpx2

    try:
        httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"not the URL of an HTTP server: {url!r} ({error})") from None
    if client is not None:
        yield HTTPLink(client, url, headers or {}, limits)
        return
    pool = httpx2.Limits(
        max_connections=limits.in_flight,
        max_keepalive_connections=_IDLE_CONNECTIONS,
        keepalive_expiry=_IDLE_SECONDS,
    )
    async with httpx2.AsyncClient(limits=pool, timeout=None) as own:
        yield HTTPLink(own, url, headers or {}, limits)
