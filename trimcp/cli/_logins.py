"""Who the command is to a server: headers and tokens that are given, or a login that is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ._errors import UsageError
from ._secrets import secret_of

if TYPE_CHECKING:
    from trimcp.auth import OAuth
    from trimcp.client import ClientOptions

    from ._options import Connecting

__all__ = ["URLS", "directory", "identity_options", "is_url", "kept_login"]

#: How targets begin that are URLs of servers which may want to know who calls.
URLS: Final = ("http://", "https://", "ws://", "wss://")

#: The variable of the environment that says where logins are kept.
_DIRECTORY: Final = "TRIMCP_LOGINS"

_NAME: Final = "trimcp"

#: No other command than `login` opens a browser.
_NO_LOGIN: Final = "the server wants its users to log in: see `trimcp login --help`"


def directory() -> Path:
    """Where logins are kept, a directory of the user's own."""
    if given := os.environ.get(_DIRECTORY):
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "trimcp" / "logins"


def identity_options(options: Connecting) -> ClientOptions:
    """What a client sends of the user.

    Raises:
        UsageError: A secret is not there, or the target takes no headers.
    """
    headers = dict(options.headers)
    if options.machine is not None:
        if not is_url(options.target):
            raise UsageError("--auth is for a TARGET that is a URL")
        return {"headers": headers, "auth": options.machine.auth()}
    if options.token_env is not None:
        headers["Authorization"] = f"Bearer {secret_of(options.token_env)}"
    if headers:
        if not is_url(options.target):
            raise UsageError("--header and --token-env are for a TARGET that is a URL")
        return {"headers": headers}
    # Only who has logged in somewhere needs what loads slowly.
    if is_url(options.target) and directory().is_dir():
        return {"auth": kept_login(no_login=_NO_LOGIN)}
    return {}


def is_url(target: str | list[str]) -> bool:
    """Whether a target is a server that may want to know who calls."""
    return isinstance(target, str) and target.startswith(URLS)


def kept_login(**options: Any) -> OAuth:
    """Logins as they are kept in the user's directory; `options` are those of `OAuth`."""
    from trimcp.auth import FileTokenStorage, OAuth

    return OAuth(storage=FileTokenStorage(directory()), client_name=_NAME, **options)
