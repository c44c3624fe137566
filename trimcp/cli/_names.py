"""Options of the library, as the command calls them."""

from __future__ import annotations

import re
from typing import Final

from ._errors import UsageError

__all__ = ["usage_error"]

#: As Python calls them, with the sign that follows.
_OPTION: Final = re.compile(
    r"\b(idp_)?(client_id|client_secret|private_key|issuer|scopes|id_token|token)="
)

_NAMES: Final = {
    "private_key": "private-key-file",
    "client_id": "client-id",
    "scopes": "scope",
    "issuer": "issuer",
}


def usage_error(error: ValueError) -> UsageError:
    """The error for options that the library refuses."""
    return UsageError(_OPTION.sub(_named, str(error)))


def _named(found: re.Match[str]) -> str:
    prefix, name = found.groups()
    if name in ("id_token", "token"):
        return "the token"
    if name == "client_secret":
        return "the secret at the identity provider" if prefix else "the client's secret"
    return f"--{'idp-' if prefix else ''}{_NAMES[name]}"
