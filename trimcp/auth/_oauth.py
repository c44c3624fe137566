"""Logging in: what a user of a client writes as `auth=`."""

from __future__ import annotations

import math
import weakref
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import trio

from trimcp._groups import unwrapping
from trimcp.errors import OptionError

from ._addresses import Reach, is_loopback_host
from ._challenges import parse_scopes
from ._fetch import Fetcher
from ._finding import Finder
from ._flow import Flow
from ._login import Login
from ._registration import Identity
from ._storage import MemoryTokenStorage
from ._visiting import ByBrowser, ByHook, Nobody, open_browser

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable

    from ._storage import TokenStorage
    from ._visiting import Redirect, Visitor

__all__ = ["OAuth"]

#: Seconds that a user may take to log in.
_LOGIN_SECONDS: Final = 300.0


class OAuth:
    """Logs a client in at the authorization server of an MCP server, for `open_client(auth=…)`.

    Nothing happens until a server demands it: then its authorization server is looked for, the
    client makes itself known there, the user's browser is opened, and the request is made once
    more. Tokens are refreshed before they expire, and a server that demands more scopes has the
    user asked again. The time that this takes does not count for a call's timeout.

    One object may serve many clients. Those for the same server share a login.

    Args:
        storage: Keeps credentials and tokens; in memory by default.
        client_id: The id that an authorization server has given this client, if it has.
        client_secret: The secret that belongs to it, if there is one.
        issuer: The authorization server that gave them; needed with `client_id`. They are never
            sent to another one.
        client_metadata_url: Where this client's metadata document is (https), which serves as
            its id at authorization servers that can read it. Without this and `client_id` the
            client registers itself.
        client_name: What users are told who is asking.
        scopes: Asked for besides those that the server names.
        redirect: Logs in without a browser of ours: gets the authorization server's URL and
            gives back the URL at which the login ended, with the answer in its query. May be
            async.
        redirect_uri: Where the answer goes; by default a free port of the loopback. One without
            a port gets a free one, too.
        browser: Opens a URL in the user's browser; by default as Python's `webbrowser` does. May
            be async.
        login_timeout: Seconds that the user may take.
        no_login: Where there is no user to log in: the text of the error that says so. Tokens
            that are stored are used and refreshed, and no client is registered.
        ssl_context: For the requests to the server's metadata and to the authorization server;
            by default one that trusts the usual authorities.

    Raises:
        OptionError: An option has a value that it must not have, or lacks another one.

    Specification: 2026-07-28, Authorization.
    """

    def __init__(
        self,
        *,
        storage: TokenStorage | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        issuer: str | None = None,
        client_metadata_url: str | None = None,
        client_name: str = "trimcp",
        scopes: Iterable[str] = (),
        redirect: Redirect | None = None,
        redirect_uri: str | None = None,
        browser: Callable[[str], object] | None = None,
        login_timeout: float = _LOGIN_SECONDS,
        no_login: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if client_id is not None and issuer is None:
            raise OptionError("client_id= needs issuer=, the authorization server that gave it")
        if client_secret is not None and client_id is None:
            raise OptionError("client_secret= needs client_id=")
        if redirect is not None and browser is not None:
            raise OptionError("redirect= takes the place of a browser: give only one of them")
        if no_login is not None and (redirect is not None or browser is not None):
            raise OptionError("no_login= means that nobody logs in: give no redirect= or browser=")
        if not 0 < login_timeout < math.inf:
            raise OptionError(f"login_timeout= is a number of seconds, not {login_timeout!r}")
        for name, hook in (("redirect", redirect), ("browser", browser)):
            if hook is not None and not callable(hook):
                raise OptionError(f"{name}= is a function of a URL, not {hook!r:.100}")
        if storage is not None and not (hasattr(storage, "load") and hasattr(storage, "save")):
            raise OptionError(
                f"storage= is a TokenStorage, as FileTokenStorage(directory), not {storage!r:.100}"
            )
        _check_document(client_metadata_url)
        _check_redirect_uri(redirect_uri, is_caught=redirect is None)
        self._identity = Identity(
            client_name, client_id, client_secret, issuer, client_metadata_url
        )
        self._storage: TokenStorage = MemoryTokenStorage() if storage is None else storage
        self._scopes = _checked_scopes(scopes)
        self._visitor: Visitor
        if no_login is not None:
            self._visitor = Nobody(no_login)
        elif redirect is not None:
            self._visitor = ByHook(redirect, login_timeout, redirect_uri)
        else:
            self._visitor = ByBrowser(browser or open_browser, login_timeout, redirect_uri)
        self._ssl_context = ssl_context
        self._turns: weakref.WeakValueDictionary[str, trio.Lock] = weakref.WeakValueDictionary()

    def __repr__(self) -> str:
        return f"<trimcp.auth.OAuth for {self._identity.name!r}>"

    @asynccontextmanager
    async def opened(self, url: str) -> AsyncIterator[Login]:
        """Authorize the requests of one client while the block runs; called by the client.

        Args:
            url: The server's endpoint, http or https.

        Raises:
            OptionError: The URL has a user name, which would be sent in place of a token.
        """
        if "@" in urlsplit(url).netloc:
            raise OptionError("auth= and a user name in the URL are two ways to say who calls")
        turn = self._turn(url)
        flow = await self._flow(url)
        with unwrapping():
            async with trio.open_nursery() as nursery:
                login = Login(flow, nursery, turn)
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
            AuthorizationFailed: They are forgotten here, but it is not known whether the
                authorization server has done so.
        """
        url = _as_http(url)
        async with self._turn(url):
            return await (await self._flow(url)).log_out()

    async def is_logged_in(self, url: str) -> bool:
        """Whether there are tokens for a server, good ones or not."""
        return await (await self._flow(_as_http(url))).kept() is not None

    def _turn(self, url: str) -> trio.Lock:
        """Held while tokens for a server are got or forgotten."""
        return self._turns.setdefault(url, trio.Lock())

    async def _flow(self, url: str) -> Flow:
        reach = await _reach_of(url)
        finder = Finder(
            reach,
            self._identity.issuer,
            Fetcher(ssl_context=self._ssl_context, guard=reach.allows),
            Fetcher(ssl_context=self._ssl_context),
        )
        return Flow(finder, self._storage, self._identity, self._visitor, self._scopes)


def _as_http(url: str) -> str:
    """The URL by which authorization knows a server, which may be that of a WebSocket."""
    scheme, separator, rest = url.partition(":")
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
    listed: Any = tuple(scopes)
    for each in listed:
        if not isinstance(each, str) or parse_scopes(each) != (each,):
            raise OptionError(f"scopes=: {each!r:.100} is not a scope")
    return tuple(listed)


def _check_document(url: str | None) -> None:
    if url is None:
        return
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.path in ("", "/"):
        raise OptionError(f"client_metadata_url= is an https URL with a path, not {url!r:.200}")


def _check_redirect_uri(url: str | None, *, is_caught: bool) -> None:
    """Redirect URIs are on the loopback, or of https (2026-07-28, Communication Security)."""
    if url is None:
        return
    parts = urlsplit(url)
    is_local = parts.scheme == "http" and is_loopback_host(parts.hostname)
    if parts.fragment or not (is_local or (parts.scheme == "https" and parts.hostname)):
        raise OptionError(f"redirect_uri= is on the loopback or of https: {url!r:.200} is neither")
    if is_caught and (not is_local or parts.query):
        raise OptionError(f"redirect_uri= without redirect= is http on the loopback, not {url!r}")
