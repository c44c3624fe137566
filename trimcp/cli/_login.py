"""`trimcp login`: log in at a server, for the commands that follow."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import attrs
import trio

from ._connecting import connected
from ._errors import CommandError
from ._logins import URLS, directory, kept_login
from ._names import usage_error
from ._options import Connecting, refuse_more
from ._screen import printable
from ._secrets import secret_of

if TYPE_CHECKING:
    import argparse

    from trimcp.auth import OAuth

__all__ = ["LoggingIn", "url_of"]

_ABOUT = """\
Log in at a server that wants access tokens: the browser opens at its authorization server. The
tokens are kept for the other commands, which refresh them, where you alone can read them:
  {directory}
The variable TRIMCP_LOGINS of the environment names another directory.
"""


@attrs.frozen(kw_only=True)
class LoggingIn(Connecting):
    """`trimcp login`.

    Attributes:
        scopes: Those asked for besides those that the server names.
        client_id: The id that an authorization server has given this client, if it has.
        issuer: That authorization server.
        secret_env: The variable of the environment that has the client's secret.
        has_browser: Whether a browser may be opened.
    """

    scopes: list[str]
    client_id: str | None
    issuer: str | None
    secret_env: str | None
    has_browser: bool

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = "trimcp login [options] URL"
        parser.description = _ABOUT.format(directory=directory())
        parser.add_argument(
            "--scope", dest="scopes", action="append", default=[], metavar="SCOPE",
            help="ask for this scope too; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--client-id", metavar="ID", help="the id that the authorization server has given"
        )
        parser.add_argument(
            "--client-secret-env", metavar="VAR", help="a variable that has the secret for it"
        )
        parser.add_argument("--issuer", metavar="URL", help="the authorization server that did so")
        parser.add_argument(
            "--no-browser",
            action="store_true",
            help="print the URL to open, and read the URL at which the login ended",
        )
        Connecting.add_common(parser)

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> LoggingIn:
        if (found.client_id is None) != (found.issuer is None):
            raise ValueError("--client-id and --issuer belong together")
        return cls(
            target=url_of(found.words, command),
            scopes=found.scopes,
            client_id=found.client_id,
            issuer=found.issuer,
            secret_env=found.client_secret_env,
            has_browser=not found.no_browser,
            **cls.read_common(found),
        )

    async def talk(self) -> int:
        """Log in.

        Raises:
            UsageError: The options of the client make no sense.
            CommandError: The server cannot be reached, or wants no login.
            MCPError: There are no tokens, or the server does not answer as it must.
        """
        assert isinstance(self.target, str)
        auth = self._login()
        had_login = await auth.is_logged_in(self.target)
        anew = auth.anew()
        try:
            async with connected(self, {"auth": anew}):
                pass
        finally:
            if had_login and not anew.has_succeeded:
                _say("the login until now is kept")
        if not anew.has_succeeded:
            raise CommandError("the server did not want anybody to log in")
        print("logged in")
        return 0

    def _login(self) -> OAuth:
        way: dict[str, Any] = {"browser": _open} if self.has_browser else {"redirect": _ask}
        try:
            return kept_login(
                scopes=self.scopes,
                client_id=self.client_id,
                client_secret=None if self.secret_env is None else secret_of(self.secret_env),
                issuer=self.issuer,
                **way,
            )
        except ValueError as error:
            raise usage_error(error) from error


def url_of(words: list[str], command: list[str] | None) -> str:
    """The only word, a URL. Raises ValueError."""
    if command is not None or not words or not words[0].startswith(URLS):
        raise ValueError("give the URL of the server (http, https, ws or wss)")
    refuse_more(words[1:], "there is one URL")
    return words[0]


async def _open(url: str) -> None:
    """Open the browser, and say so: where there is none people can open the URL themselves."""
    import webbrowser

    _say(f"opening {url}")
    await trio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True)


async def _ask(url: str) -> str:
    _say(f"open {url}")
    _say("then paste the URL at which the login ended:")
    line: str = await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    return line.strip()


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
