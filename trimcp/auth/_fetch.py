"""One HTTP exchange with an authorization server, within bounds.

Each exchange has a connection of its own, which is closed at its end: whoever asks for something
here has no place where idle connections could live.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote_plus, urlencode, urljoin, urlsplit

import attrs
import msgspec
import trio

from trimcp.protocol import is_deeper
from trimcp.transports import check_url, origin_of, reason_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator, Sequence

    import httpx2

__all__ = [
    "AddressGuard",
    "AddressRefused",
    "FetchFailed",
    "Fetched",
    "Fetcher",
    "Unreachable",
    "basic_credentials",
    "read_json",
]

#: Says whether a connection to an address may be made. It is asked about every address of a name.
AddressGuard: TypeAlias = Callable[[IPv4Address | IPv6Address], bool]

#: The fields of a form; a sequence where a name stands more than once.
Form: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

#: The deepest nesting of a JSON document. Metadata and key sets need four levels.
_NESTING: Final = 32

#: Seconds for closing the connection of an answer that was left.
_CLOSING_SECONDS: Final = 1.0

#: The longest URL that a redirect may name.
_LONGEST_URL: Final = 8192

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

_FORM_TYPE: Final = "application/x-www-form-urlencoded"


class FetchFailed(Exception):
    """There was no answer that can be used. The message is one sentence, without secrets."""


class Unreachable(FetchFailed):
    """No connection could be made, so nothing was sent."""


class AddressRefused(Unreachable):
    """An address of the host is not allowed."""


@attrs.frozen
class Fetched:
    """An answer, read to its end.

    Attributes:
        url: Where it came from, which differs from what was asked after a redirect.
        status: Its HTTP status.
        headers: Its headers, by their names in lower case.
        body: Its body.
    """

    url: str
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    def document(self) -> dict[str, Any]:
        """The JSON object in its body, whatever its status and media type.

        Raises:
            FetchFailed: There is none.
        """
        try:
            value = read_json(self.body)
        except ValueError as error:
            raise FetchFailed(f"{_shown(self.url)} answered with unusable JSON: {error}") from None
        if not isinstance(value, dict):
            raise FetchFailed(f"{_shown(self.url)} answered with JSON that is no object")
        return value


@attrs.frozen(kw_only=True)
class Fetcher:
    """How HTTP exchanges are made.

    Environment variables for proxies are not looked at, nothing is decompressed, and no cookie or
    connection is kept.

    Attributes:
        ssl_context: For https; by default one that trusts the usual authorities.
        guard: Judges the addresses that are connected to; by default all are allowed.
        seconds: How long one exchange may take, redirects included.
        most_bytes: The largest body that is read, in bytes.
        client: Makes the connections instead, and is left open. `ssl_context` and `guard` are
            not used then.
    """

    ssl_context: ssl.SSLContext | None = None
    guard: AddressGuard | None = None
    seconds: float = 10.0
    most_bytes: int = 256 * 1024
    client: httpx2.AsyncClient | None = None

    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, redirects: int = 0
    ) -> Fetched:
        """Ask for a document.

        Args:
            url: Where it is.
            headers: More headers of the request.
            redirects: How many redirects within the same origin are followed. With none, the
                answer that redirects is given back.

        Raises:
            FetchFailed: There is no answer, or it is too large, or came too late.
        """
        with self._in_time(url):
            for _ in range(redirects):
                answer = await self._exchange("GET", url, headers or {}, b"")
                target = answer.headers.get("location")
                if answer.status not in _REDIRECTS or target is None:
                    return answer
                url = _followed(url, target)
            return await self._exchange("GET", url, headers or {}, b"")

    async def post_form(
        self, url: str, form: Form, *, headers: Mapping[str, str] | None = None
    ) -> Fetched:
        """Send a form. Redirects are not followed.

        Raises:
            FetchFailed: As for `get`.
        """
        fields = form.items() if isinstance(form, Mapping) else form
        content = urlencode(list(fields)).encode()
        with self._in_time(url):
            return await self._exchange(
                "POST", url, {"content-type": _FORM_TYPE, **(headers or {})}, content
            )

    async def post_json(
        self, url: str, value: Any, *, headers: Mapping[str, str] | None = None
    ) -> Fetched:
        """Send a JSON document. Redirects are not followed.

        Raises:
            FetchFailed: As for `get`.
        """
        content = msgspec.json.encode(value)
        with self._in_time(url):
            return await self._exchange(
                "POST", url, {"content-type": "application/json", **(headers or {})}, content
            )

    @contextmanager
    def _in_time(self, url: str) -> Iterator[None]:
        with trio.move_on_after(self.seconds) as scope:
            yield
        if scope.cancelled_caught:
            raise FetchFailed(f"{_shown(url)} took longer than {self.seconds:g} seconds")

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes
    ) -> Fetched:
        _check(url)
        ours = {"accept": "application/json", "accept-encoding": "identity"}
        with _translated(url):
            async with self._carrier() as client:
                request = client.build_request(
                    method,
                    url,
                    content=content or None,
                    headers={**ours, **headers},
                    timeout=None,  # one deadline holds for all
                )
                response = await client.send(request, stream=True, follow_redirects=False)
                try:
                    body = await self._body(response)
                finally:
                    with trio.CancelScope(shield=True, relative_deadline=_CLOSING_SECONDS):
                        await response.aclose()
        return Fetched(url, response.status_code, dict(response.headers), body)

    @asynccontextmanager
    async def _carrier(self) -> AsyncIterator[httpx2.AsyncClient]:
        if self.client is not None:
            yield self.client
            return
        import httpx2

        context = self.ssl_context or _usual_context()
        transport = None
        if self.guard is not None:
            from ._network import guarded_transport

            transport = guarded_transport(context, functools.partial(_judge, self.guard))
        async with httpx2.AsyncClient(
            verify=context, transport=transport, trust_env=False
        ) as client:
            yield client

    async def _body(self, response: httpx2.Response) -> bytes:
        """The body as it came."""
        url = _shown(str(response.url))
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise FetchFailed(f"{url} compressed its answer, which was not asked for")
        # What a mock transport answers has been read before.
        body = response.content if response.is_stream_consumed else await self._received(response)
        if len(body) > self.most_bytes:
            raise FetchFailed(f"{url} sent more than {self.most_bytes} bytes")
        return body

    async def _received(self, response: httpx2.Response) -> bytes:
        """The body, or its beginning if it is too large.

        The rest is cancelled and not left: the HTTP client would leave generators of its own
        unfinished, for the garbage collector to find and complain about.
        """
        body = bytearray()
        with trio.CancelScope() as reading:
            async for piece in response.aiter_raw():
                if len(body) <= self.most_bytes:
                    body += piece
                else:
                    reading.cancel(reason="the body is too large")
        return bytes(body)


def _judge(guard: AddressGuard, host: str, addresses: Sequence[str]) -> None:
    """Raises AddressRefused if one of the addresses is not allowed."""
    for address in addresses:
        if not guard(ip_address(address)):
            raise AddressRefused(f"{host!r} has the address {address}, which is not allowed")


def _check(url: str) -> None:
    """Raises FetchFailed for what is no URL to ask, or holds credentials."""
    try:
        parts = urlsplit(check_url(url))
    except ValueError:
        raise FetchFailed(f"not the URL of an HTTP server: {_shown(url)}") from None
    if "@" in parts.netloc:
        raise FetchFailed("a URL with credentials in it is not used")


def _followed(url: str, reference: str) -> str:
    """The URL of a redirect within the same origin."""
    if len(reference) > _LONGEST_URL:
        raise FetchFailed(f"{_shown(url)} redirects to a URL that is too long")
    try:
        target = urljoin(url, reference)
        if origin_of(target) == origin_of(url):
            return target
    except ValueError:
        raise FetchFailed(f"{_shown(url)} redirects to an unusable URL") from None
    raise FetchFailed(f"{_shown(url)} redirects to another origin")


def _shown(url: str) -> str:
    """A URL for a message: without its query, which may hold a secret, and not long."""
    return repr(url.partition("?")[0][:200])


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Raise errors of the HTTP client as our own."""
    import httpx2

    try:
        yield
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise FetchFailed(f"{_shown(url)} cannot be asked for: {error}") from None
    except httpx2.HTTPError as error:
        is_unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        failed = Unreachable if is_unsent else FetchFailed
        raise failed(f"{_shown(url)} gave no answer: {reason_of(error)}") from error


@functools.cache
def _usual_context() -> ssl.SSLContext:
    import httpx2

    return httpx2.create_ssl_context()


def read_json(data: bytes) -> Any:
    """Read a JSON text: strict UTF-8, bounded nesting, nothing that JSON does not have.

    Raises:
        ValueError: It is none.
    """
    if is_deeper(data, _NESTING):
        raise ValueError(f"it is nested deeper than {_NESTING} levels")
    try:
        return msgspec.json.decode(data)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def basic_credentials(client_id: str, client_secret: str) -> str:
    """The value of `Authorization` with which an OAuth client authenticates itself.

    Both parts are form-encoded first (RFC 6749, section 2.3.1), unlike those of other uses.
    """
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
