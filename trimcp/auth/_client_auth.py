"""What all objects have in common that a user of a client writes as `auth=`."""

from __future__ import annotations

import weakref
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import trio

from trimcp._groups import unwrapping
from trimcp.errors import OptionError

from ._addresses import Reach
from ._challenges import parse_scopes
from ._dpop import check_dpop
from ._entries import Entries
from ._fetch import Fetcher
from ._finding import Finder
from ._flow import Flow
from ._given import check_ssl_context, check_text
from ._login import Login, new_turn
from ._storage import MemoryTokenStorage

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from ._discovery import ServerMetadata
    from ._dpop import DPoPUse
    from ._flow import Grant
    from ._login import LoginTurn
    from ._storage import TokenStorage

__all__ = ["ClientAuth", "NewLogin"]


class ClientAuth:
    """Authorizes the requests of clients with tokens that an authorization server gives.

    What differs is how the first tokens are got.

    Args:
        storage: Keeps credentials and tokens; in memory by default.
        issuer: The authorization server that the user has configured, if there is one.
        scopes: Asked for besides those that a server names.
        ssl_context: For all requests of this object; by default one that trusts the usual
            authorities.
        dpop: Whether tokens are bound to a key (RFC 9449), so that they are no good to whoever
            steals them: `auto`, where the MCP server takes such tokens and its authorization
            server gives them; `required`, always, and others are refused; `never`.

    Raises:
        OptionError: An option has a value that it must not have.
    """

    def __init__(
        self,
        *,
        storage: TokenStorage | None,
        issuer: str | None,
        scopes: Iterable[str],
        ssl_context: ssl.SSLContext | None,
        dpop: DPoPUse = "auto",
    ) -> None:
        storage = MemoryTokenStorage() if storage is None else storage
        if isinstance(storage, type) or not (hasattr(storage, "load") and hasattr(storage, "save")):
            raise OptionError(
                f"storage= is a TokenStorage, as FileTokenStorage(directory), not {storage!r:.100}"
            )
        check_text("issuer", issuer)
        check_ssl_context(ssl_context)
        self._storage = Entries(storage)
        self._issuer = issuer
        self._scopes = _checked_scopes(scopes)
        self._ssl_context = ssl_context
        check_dpop(dpop)
        self._dpop = dpop
        self._turns: weakref.WeakValueDictionary[str, LoginTurn] = weakref.WeakValueDictionary()

    def _check(self, server: ServerMetadata) -> None:
        """Raises MetadataRefused for an authorization server that lacks what is needed."""
        raise NotImplementedError

    def _grant(self, finder: Finder) -> Grant:
        """How first tokens are got for the server that the finder is for."""
        raise NotImplementedError

    def opened(self, url: str) -> AbstractAsyncContextManager[Login]:
        """Authorize the requests of one client while the block runs; called by the client.

        Args:
            url: The server's endpoint, http or https.

        Raises:
            OptionError: The URL has a user name, which would be sent in place of a token.
        """
        return self._opened(url, is_anew=False)

    def anew(self) -> NewLogin:
        """Log in once more, for the `auth=` of one client: `open_client(url, auth=auth.anew())`.

        That client does not use the tokens that are stored. They are replaced when its login has
        succeeded, and stay if it fails or is broken off. Then they are revoked if they were given
        to another client or by another authorization server. Otherwise they are only forgotten:
        many authorization servers revoke all tokens that a user has granted to a client, the new
        ones too.
        """
        return NewLogin(self._opened)

    @asynccontextmanager
    async def _opened(self, url: str, *, is_anew: bool) -> AsyncIterator[Login]:
        if "@" in urlsplit(url).netloc:
            raise OptionError("auth= and a user name in the URL are two ways to say who calls")
        turn = self._turn(url)
        flow = await self._flow(url)
        with unwrapping():
            async with trio.open_nursery() as nursery:
                login = Login(flow, nursery, turn, is_anew=is_anew)
                try:
                    yield login
                finally:
                    login.close()
                    nursery.cancel_scope.cancel(reason="the client was closed")

    async def log_out(self, url: str) -> bool:
        """Forget the tokens for a server, and ask its authorization server to do so too.

        Waits for a login or a refresh of this object's clients for the server that is under
        way. Credentials of the client itself are kept. Clients that are open go on with the
        access token that they have, and do not refresh it; what a refresh in another program
        brings afterwards is not stored there, but revoked.

        Args:
            url: The server's endpoint.

        Returns:
            Whether there were any.

        Raises:
            OptionError: The URL is none of a server.
            AuthorizationFailed: The storage has failed; or they are forgotten here, but it is not
                known whether the authorization server has done so.
        """
        url = _as_http(url)
        turn = self._turn(url)
        async with turn.alone():
            return await (await self._flow(url)).log_out()

    async def is_logged_in(self, url: str) -> bool:
        """Whether there are tokens for a server, good ones or not.

        Raises:
            OptionError: The URL is none of a server.
            AuthorizationFailed: The storage has failed.
        """
        return await (await self._flow(_as_http(url))).kept() is not None

    def _turn(self, url: str) -> LoginTurn:
        """Whose turn it is to get or to forget tokens for a server."""
        return self._turns.setdefault(url, new_turn())

    async def _flow(self, url: str) -> Flow:
        reach = await _reach_of(url)
        finder = Finder(
            reach,
            self._issuer,
            Fetcher(ssl_context=self._ssl_context, guard=reach.allows),
            Fetcher(ssl_context=self._ssl_context),
            self._check,
        )
        return Flow(finder, self._storage, self._grant(finder), self._scopes, self._dpop)


class NewLogin:
    """The `auth=` of one client that logs in anew; see `OAuth.anew`.

    Attributes:
        has_succeeded: Whether there has been a login.
    """

    def __init__(self, opened: Callable[..., AbstractAsyncContextManager[Login]]) -> None:
        self._opened = opened
        self.has_succeeded = False

    @asynccontextmanager
    async def opened(self, url: str) -> AsyncIterator[Login]:
        """Authorize the requests of the client while the block runs; called by the client.

        Args:
            url: The server's endpoint, http or https.

        Raises:
            OptionError: The URL has a user name, which would be sent in place of a token.
        """
        async with self._opened(url, is_anew=True) as login:
            login.on_login(self._succeed)
            yield login

    def _succeed(self) -> None:
        self.has_succeeded = True


def _as_http(url: str) -> str:
    """The URL by which authorization knows a server, which may be that of a WebSocket.

    Raises:
        OptionError: It is none.
    """
    scheme, separator, rest = url.partition(":") if isinstance(url, str) else ("", "", "")
    if scheme.lower() not in ("http", "https", "ws", "wss"):
        raise OptionError("the server is named by its URL (http, https, ws or wss)")
    return {"ws": "http", "wss": "https"}.get(scheme, scheme) + separator + rest


async def _reach_of(url: str) -> Reach:
    """As far as the server's own addresses let its URLs lead."""
    parts = urlsplit(url)
    try:
        found = await trio.socket.getaddrinfo(parts.hostname, parts.port)
    except OSError:
        # It may be reached through a proxy; what it names must be public then.
        return Reach(url)
    return Reach.of(url, [ip_address(entry[4][0]) for entry in found])


def _checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    if isinstance(scopes, str):
        raise OptionError(f"scopes= is a list of texts, not the text {scopes!r:.100}")
    try:
        listed: Any = tuple(scopes)
    except TypeError:
        raise OptionError(f"scopes= is a list of texts, not {type(scopes).__name__}") from None
    for each in listed:
        if not isinstance(each, str) or parse_scopes(each) != (each,):
            raise OptionError(f"scopes=: {each!r:.100} is not a scope")
    return tuple(listed)
