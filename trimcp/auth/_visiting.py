"""How the user comes to the authorization server, and the answer back."""

from __future__ import annotations

import webbrowser
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import trio

from trimcp.errors import AuthorizationFailed
from trimcp.runtime import awaited

from ._codes import CodeRefused, answer_params
from ._loopback import ANYWHERE, listen, open_catcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from ._codes import Authorization
    from ._loopback import Catcher

__all__ = ["ByBrowser", "ByHook", "Nobody", "Redirect", "Visit", "Visitor", "open_browser"]

#: Gets the URL of an authorization server, and gives back the URL to which that sent the user.
Redirect: TypeAlias = "Callable[[str], object]"


class Visit(Protocol):
    """One login under way."""

    @property
    def redirect_uri(self) -> str:
        """Where the answer goes."""

    async def code_for(self, authorization: Authorization) -> str:
        """Send the user to the authorization server; returns the code.

        Raises:
            CodeRefused: The answer brings none.
            AuthorizationFailed: There is no answer.
        """


class Visitor(Protocol):
    """Sends users to authorization servers."""

    def expecting(self, registered: str) -> AbstractAsyncContextManager[Visit]:
        """Be ready for an answer while the block runs.

        Args:
            registered: The redirect URI that the client is registered with, if there is one; it
                is used again if it can be.

        Raises:
            AuthorizationFailed: Nobody can log in.
        """


_NO_BROWSER: Final = "no browser can be opened for the login: give redirect= to log in without one"


async def open_browser(url: str) -> None:
    """Open the user's browser. Raises AuthorizationFailed if there is none."""
    if not await trio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True):
        raise AuthorizationFailed(_NO_BROWSER)


async def _check_browser() -> None:
    """Raises AuthorizationFailed if `open_browser` would find no browser."""
    try:
        await trio.to_thread.run_sync(webbrowser.get, abandon_on_cancel=True)
    except webbrowser.Error:
        raise AuthorizationFailed(_NO_BROWSER) from None


async def _called(name: str, hook: Callable[[str], object], url: str) -> object:
    """What a hook of the user's gives for a URL.

    Raises:
        AuthorizationFailed: It raised this, or another exception, which is the cause then.
    """
    try:
        return await awaited(hook(url))
    except AuthorizationFailed:
        raise
    except Exception as error:
        raise AuthorizationFailed(f"{name}= raised {type(error).__name__}: {error}") from error


class Nobody:
    """There is no user who could log in.

    Args:
        reason: The text of the error.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    @asynccontextmanager
    async def expecting(self, registered: str) -> AsyncIterator[Visit]:
        """See `Visitor`."""
        raise AuthorizationFailed(self._reason)
        yield


class ByBrowser:
    """Opens a browser, and waits for its answer on the loopback.

    Args:
        browser: Opens a URL; may be async.
        seconds: How long the user may take.
        redirect_uri: Where the answer goes, if that is fixed.
    """

    def __init__(
        self, browser: Callable[[str], object], seconds: float, redirect_uri: str | None
    ) -> None:
        self._browser = browser
        self._seconds = seconds
        self._redirect_uri = redirect_uri

    @asynccontextmanager
    async def expecting(self, registered: str) -> AsyncIterator[Visit]:
        """See `Visitor`."""
        if self._browser is open_browser:
            await _check_browser()
        async with self._catcher(registered) as catcher:
            yield _Browsing(catcher, self._browser, self._seconds)

    @asynccontextmanager
    async def _catcher(self, registered: str) -> AsyncIterator[Catcher]:
        wanted = self._redirect_uri or registered or ANYWHERE
        try:
            listening = await listen(wanted)
        except OSError as error:
            if self._redirect_uri is not None:
                raise AuthorizationFailed(f"nothing can listen at {wanted!r}: {error}") from error
            # The port that was registered once belongs to somebody else now.
            wanted = ANYWHERE
            listening = await listen(wanted)
        async with open_catcher(wanted, listening) as catcher:
            yield catcher


class _Browsing:
    """A login in a browser."""

    def __init__(self, catcher: Catcher, browser: Callable[[str], object], seconds: float) -> None:
        self.redirect_uri = catcher.redirect_uri
        self._catcher = catcher
        self._browser = browser
        self._seconds = seconds

    async def code_for(self, authorization: Authorization) -> str:
        """See `Visit`."""
        try:
            with trio.fail_after(self._seconds):
                self._catcher.expect(authorization)
                await _called("browser", self._browser, authorization.url)
                return await self._catcher.code()
        except trio.TooSlowError:
            raise AuthorizationFailed(f"nobody logged in within {self._seconds:g} s") from None


class ByHook:
    """Lets a function of the user's log in, and give back where that led to.

    Args:
        redirect: Gets the URL of the authorization server.
        seconds: How long it may take.
        redirect_uri: Where the answer goes; by default a URL where nobody listens.
    """

    def __init__(self, redirect: Redirect, seconds: float, redirect_uri: str | None) -> None:
        self.redirect_uri = redirect_uri or ANYWHERE
        self._redirect = redirect
        self._seconds = seconds

    @asynccontextmanager
    async def expecting(self, registered: str) -> AsyncIterator[Visit]:
        """See `Visitor`."""
        yield self

    async def code_for(self, authorization: Authorization) -> str:
        """See `Visit`."""
        try:
            with trio.fail_after(self._seconds):
                answer = await _called("redirect", self._redirect, authorization.url)
        except trio.TooSlowError:
            raise AuthorizationFailed(f"nobody logged in within {self._seconds:g} s") from None
        if not isinstance(answer, str):
            raise CodeRefused("redirect= gives back the URL that the login ended at, as a text")
        return authorization.code_of(answer_params(answer))
