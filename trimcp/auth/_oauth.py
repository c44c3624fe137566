"""Logging in: what a user of a client writes as `auth=`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trimcp.errors import OptionError

from ._addresses import is_loopback_host
from ._client_auth import ClientAuth
from ._client_key import checked_key
from ._code_grant import CodeGrant
from ._discovery import check_codes
from ._given import check_text
from ._registration import Identity
from ._visiting import ByBrowser, ByHook, Nobody, open_browser

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from ._client_key import PrivateKey
    from ._discovery import ServerMetadata
    from ._dpop import DPoPUse
    from ._finding import Finder
    from ._storage import TokenStorage
    from ._visiting import Redirect, Visitor

__all__ = ["OAuth"]

#: Seconds that a user may take to log in.
_LOGIN_SECONDS: Final = 300.0


class OAuth(ClientAuth):
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
        private_key: In place of a secret: see `ClientCredentials`.
        algorithm: See `ClientCredentials`.
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
        dpop: Whether tokens are bound to a key (DPoP, RFC 9449), so that they are no good to
            whoever steals them. `auto`: where the MCP server takes such tokens and its
            authorization server gives them. `required`: always, and others are refused. `never`:
            not at all.

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
        private_key: PrivateKey | None = None,
        algorithm: str | None = None,
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
        dpop: DPoPUse = "auto",
    ) -> None:
        super().__init__(
            storage=storage, issuer=issuer, scopes=scopes, ssl_context=ssl_context, dpop=dpop
        )
        for name, text in (("client_id", client_id), ("client_name", client_name)):
            check_text(name, text)
        if client_id is not None and issuer is None:
            raise OptionError("client_id= needs issuer=, the authorization server that gave it")
        if (client_secret, private_key) != (None, None) and client_id is None:
            raise OptionError("client_secret= and private_key= need client_id=")
        if redirect is not None and browser is not None:
            raise OptionError("redirect= takes the place of a browser: give only one of them")
        if no_login is not None and (redirect is not None or browser is not None):
            raise OptionError("no_login= means that nobody logs in: give no redirect= or browser=")
        if not 0 < login_timeout < math.inf:
            raise OptionError(f"login_timeout= is a number of seconds, not {login_timeout!r}")
        for name, hook in (("redirect", redirect), ("browser", browser)):
            if hook is not None and not callable(hook):
                raise OptionError(f"{name}= is a function of a URL, not {hook!r:.100}")
        _check_document(client_metadata_url)
        _check_redirect_uri(redirect_uri, is_caught=redirect is None)
        key = checked_key(client_secret, private_key, algorithm)
        self._identity = Identity(
            client_name, client_id, client_secret, issuer, client_metadata_url, key
        )
        self._visitor: Visitor
        if no_login is not None:
            self._visitor = Nobody(no_login)
        elif redirect is not None:
            self._visitor = ByHook(redirect, login_timeout, redirect_uri)
        else:
            self._visitor = ByBrowser(browser or open_browser, login_timeout, redirect_uri)

    def __repr__(self) -> str:
        return f"<trimcp.auth.OAuth for {self._identity.name!r}>"

    def _check(self, server: ServerMetadata) -> None:
        check_codes(server)

    def _grant(self, finder: Finder) -> CodeGrant:
        return CodeGrant(finder, self._storage, self._identity, self._visitor)


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
