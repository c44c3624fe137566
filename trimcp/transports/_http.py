"""Requests to one HTTP endpoint, and their answers, message by message.

The callers decide what a message contains and which headers it needs. An answer is read only as
fast as it is used, and not beyond `Limits.message_bytes` of one message.

Specification: Streamable HTTP (2025-03-26 and later); HTTP with SSE (2024-11-05).
"""

from __future__ import annotations

import math
import re
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urljoin, urlsplit

import trio

from trimcp.errors import ConnectionLost, ProtocolViolation
from trimcp.protocol.http import ACCEPT_BOTH, EVENT_STREAM, JSON, SSEDecoder, media_type

from ._budget import Budget
from ._partial import PartialMessage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    import httpx2

    from trimcp.limits import Limits
    from trimcp.protocol.http import Headers, ServerSentEvent

    from ._authorizing import Credentials
    from ._channel import Incoming

__all__ = ["HTTPAnswer", "HTTPClient", "HTTPLink", "Unreachable", "check_url", "open_http_link"]

#: The HTTP client that makes the connections.
HTTPClient: TypeAlias = "httpx2.AsyncClient"

#: Connections kept for the next request.
_IDLE_CONNECTIONS: Final = 20

#: Seconds for which they are kept: fewer than the five after which common servers close them, since
#: a request could be sent just then.
_IDLE_SECONDS: Final = 3.0

#: How many redirects of one request are followed.
_MOST_REDIRECTS: Final = 5

#: The redirects that keep the method and the body.
_REDIRECTS: Final = frozenset({307, 308})

#: Seconds for closing the connection of an answer that was not read to its end.
_CLOSING_SECONDS: Final = 1.0

#: The longest URL to which a server may redirect.
_LONGEST_URL: Final = 8192

#: How many errors of a chain are examined.
_MOST_CAUSES: Final = 20

#: The name of a header (RFC 9110, section 5.1), and a value that every server reads the same way.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")

#: Headers that define where a message ends; only the HTTP client can set them.
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})

#: TCP keepalive of a stream of events: seconds of silence, seconds between probes, probes.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class Unreachable(ConnectionLost):
    """No connection could be made, so nothing was sent."""


def check_url(url: str) -> str:
    """Check the URL of an HTTP server. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"not the URL of an HTTP server: {url!r}")
    return url


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Check a user's headers for every request.

    Raises:
        ValueError: One cannot be sent, or has to differ for each message.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"not the name of an HTTP header: {name!r}")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the HTTP header {name} has a value that is not printable ASCII")
        if name.lower() in _FRAMING:
            raise ValueError(f"the HTTP header {name} is different for each message: leave it out")
    return {name: value.strip() for name, value in headers.items()}


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """The origin of a URL, which must stay the same when a server redirects."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class HTTPLink:
    """One HTTP endpoint, and the connections to it.

    Args:
        client: Makes the connections.
        url: The endpoint.
        headers: Sent with every request. They replace ours, except those that the protocol
            requires.
        limits: `message_bytes` is used.

    Attributes:
        url: The endpoint.
        heard: When the server last sent anything at all, in Trio's time.
        while_waiting: Makes the context in which a request waits for the user.
    """

    def __init__(
        self, client: HTTPClient, url: str, headers: Mapping[str, str], limits: Limits
    ) -> None:
        self.url = url
        self.heard = -math.inf
        self.while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext
        self._client = client
        self._headers = dict(headers)
        self._limits = limits

    def on_login(self, callback: Callable[[], object]) -> None:
        """Call a function whenever requests begin to be those of another login."""

    async def authorization(self) -> str | None:
        """The header `Authorization` of the next request, where it is not a fixed one."""
        return None

    def turn_to(self, url: str, base: str) -> None:
        """Use another endpoint from now on.

        Args:
            url: The endpoint.
            base: The base of a relative URL.

        Raises:
            ProtocolViolation: It has another origin, to which our messages must not be sent.
        """
        self.url = _followed(base, url)

    @asynccontextmanager
    async def post(self, data: bytes, headers: Headers) -> AsyncIterator[HTTPAnswer]:
        """Send one message. Raises ConnectionLost."""
        more = {"accept": ACCEPT_BOTH, "content-type": JSON, **headers}
        async with self._ask("POST", more, data, may_wait=True) as answer:
            yield answer

    @asynccontextmanager
    async def get(self, headers: Headers, *, may_wait: bool = False) -> AsyncIterator[HTTPAnswer]:
        """Ask for a stream of events; `may_wait` as for `_ask`. Raises ConnectionLost."""
        more = {"accept": EVENT_STREAM, **headers}
        async with self._ask("GET", more, may_wait=may_wait) as answer:
            yield answer

    async def delete(self, headers: Headers) -> int:
        """Send a DELETE request; returns the HTTP status. Raises ConnectionLost."""
        async with self._ask("DELETE", dict(headers)) as answer:
            return answer.status

    def _ask(
        self,
        method: str,
        headers: dict[str, str],
        data: bytes | None = None,
        *,
        may_wait: bool = False,
    ) -> AbstractAsyncContextManager[HTTPAnswer]:
        """Make a request; `may_wait` says whether it may wait for the user to log in."""
        return self._follow(method, headers, data, None)

    @asynccontextmanager
    async def _follow(
        self,
        method: str,
        headers: dict[str, str],
        data: bytes | None,
        credentials: Credentials | None,
    ) -> AsyncIterator[HTTPAnswer]:
        """Make a request wherever it is sent to within the origin."""
        url = self.url
        for _ in range(1 + _MOST_REDIRECTS):
            own = headers if credentials is None else headers | credentials.headers(method, url)
            async with self._ask_once(method, url, own, data) as answer:
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
                headers=self._merged(method, headers),
                timeout=None,  # the caller sets deadlines
            )
            response = await self._client.send(request, stream=True, follow_redirects=False)
        pieces = response.aiter_bytes()
        answer = HTTPAnswer(response, pieces, self._limits.message_bytes, url, self.note_life)
        self._met(answer)
        if answer.is_stream:
            _keep_alive(response.extensions.get("network_stream"))
        try:
            yield answer
        finally:
            with trio.CancelScope(shield=True, relative_deadline=_CLOSING_SECONDS):
                await _leave(pieces)
                await response.aclose()

    def _merged(self, method: str, demanded: dict[str, str]) -> list[tuple[bytes, bytes]]:
        """All headers of a request, each once, regardless of the case of its name."""
        # A compressed answer could be much longer than its bytes.
        ours = {"accept-encoding": "identity"}
        if method == "GET":
            ours["cache-control"] = "no-store"
        merged: dict[str, tuple[str, str]] = {}
        for source in (ours, self._headers, demanded):
            merged |= {name.lower(): (name, value) for name, value in source.items()}
        return [(name.encode(), value.encode()) for name, value in merged.values()]

    def _met(self, answer: HTTPAnswer) -> None:
        """Note what the head of an answer says; each is seen, also one that redirects."""

    def note_life(self) -> None:
        """Note that the server has sent something."""
        self.heard = trio.current_time()


class HTTPAnswer:
    """An answer whose body has not been read yet.

    Attributes:
        status: Its status.
        headers: Its headers, by their names in lower case.
        media_type: The type of its body; empty if it has none.
        events: Decodes its events.
        url: The URL that sent it, which differs from the requested one after a redirect.
    """

    def __init__(
        self,
        response: httpx2.Response,
        pieces: AsyncGenerator[bytes, None],
        limit: int,
        url: str,
        on_life: Callable[[], None],
    ) -> None:
        self.url = url
        self.status = response.status_code
        self._response = response
        self.headers: dict[str, str] = dict(response.headers)
        self.media_type = media_type(self.headers.get("content-type", ""))
        self.events = SSEDecoder(limit)
        self._pieces = pieces
        self._limit = limit
        self._on_life = on_life
        on_life()

    @property
    def challenges(self) -> tuple[str, ...]:
        """The values of its header `WWW-Authenticate`."""
        return tuple(self._response.headers.get_list("www-authenticate"))

    @property
    def is_success(self) -> bool:
        """Whether the status says success (2xx)."""
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
        body = PartialMessage(self._limit, Budget())
        while body.size <= self._limit and (piece := await self._next()):
            body.add(piece)
        return body.finish()

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
            raise ProtocolViolation("the server compressed its answer, which is not supported")
        with _translated():
            piece = await anext(self._pieces, b"")
        self._on_life()
        return piece


def _followed(url: str, reference: str) -> str:
    """The URL of a redirect. Raises ProtocolViolation if it has another origin."""
    if len(reference) > _LONGEST_URL:
        # The standard library caches URLs that it has parsed, of any length.
        raise ProtocolViolation(f"the server named a URL of more than {_LONGEST_URL} characters")
    try:
        target = urljoin(url, reference)
        if origin_of(target) == origin_of(url):
            return target
    except ValueError as error:
        raise ProtocolViolation(f"the server named an unusable URL: {error}") from error
    raise ProtocolViolation(f"the server sends its client to another origin: {target!r}")


async def _leave(pieces: AsyncGenerator[bytes, None]) -> None:
    """Close the reader of a body, by cancelling it.

    If a body is not read to its end, the HTTP client leaves its own generators unfinished, and the
    garbage collector warns about them.
    """
    import httpx2

    with trio.CancelScope() as scope, suppress(httpx2.HTTPError):
        scope.cancel(reason="the answer was left")
        while await anext(pieces, b""):
            pass


def _keep_alive(stream: Any) -> None:
    """Turn on TCP keepalive, to notice that the other host is gone while a stream is silent."""
    with suppress(OSError, AssertionError, AttributeError):
        connection = stream.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def reason_of(error: BaseException) -> str:
    """The text for an error: that of a TLS error in its chain, else the first in the chain."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and len(chain) < _MOST_CAUSES:
        chain.append(cause)
    by_tls = [each for each in chain if isinstance(each, ssl.SSLError)]
    said = (str(each) for each in (*by_tls, *chain))
    return next(filter(None, said), type(error).__name__)


@contextmanager
def _translated() -> Iterator[None]:
    """Raise errors of the HTTP client as our own."""
    import httpx2

    try:
        yield
    except httpx2.InvalidURL as error:
        raise ProtocolViolation(f"the server named an unusable URL: {error}") from error
    except httpx2.HTTPError as error:
        said = reason_of(error)
        is_unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        lost = Unreachable if is_unsent else ConnectionLost
        raise lost(f"the HTTP request failed: {said}") from error


@asynccontextmanager
async def open_http_link(
    url: str,
    limits: Limits,
    *,
    headers: Mapping[str, str] | None = None,
    client: HTTPClient | None = None,
    link: Callable[..., HTTPLink] = HTTPLink,
) -> AsyncIterator[HTTPLink]:
    """Open a link to an endpoint; its connections are closed at the end.

    Args:
        url: The endpoint.
        limits: `message_bytes` is used.
        headers: Sent with every request.
        client: Makes the connections, and is left open; by default one of HTTP/1.1, where
            leaving a stream closes it (of HTTP/2 the server would not be told).
        link: Makes the link; takes the arguments of `HTTPLink`.

    Raises:
        ValueError: The URL is invalid, or a header cannot be sent.
    """
    import httpx2

    fixed = check_headers(headers or {})

    try:
        httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"not the URL of an HTTP server: {url!r} ({error})") from None
    if client is not None:
        yield link(client, url, fixed, limits)
        return
    pool = httpx2.Limits(
        # The callers bound the requests. A limit of the pool could block the answer to a server's
        # question while a call waits for it.
        max_connections=None,
        max_keepalive_connections=_IDLE_CONNECTIONS,
        keepalive_expiry=_IDLE_SECONDS,
    )
    async with httpx2.AsyncClient(limits=pool, timeout=None) as own:
        yield link(own, url, fixed, limits)
