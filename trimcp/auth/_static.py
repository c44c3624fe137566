"""Tokens that are known beforehand."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

from trimcp.errors import InvalidToken
from trimcp.runtime import Principal

from ._digest import TokenDigest

__all__ = ["StaticTokenVerifier"]

#: What can stand after `Bearer ` (RFC 6750, section 2.1).
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")

_WANTED: Final = (
    "StaticTokenVerifier needs tokens and whom they stand for: {'a-token': Principal('alice')}"
)


class StaticTokenVerifier:
    """Accepts the tokens it was given: for tests, and for API keys.

    Only keyed digests of the tokens are kept and compared, so that how long it takes tells nothing
    about them.

    Args:
        principals: Who each token stands for.

    Raises:
        TypeError: `principals` is no mapping to `Principal`.
        ValueError: There is no token, or one could never be sent (RFC 6750, section 2.1).
    """

    def __init__(self, principals: Mapping[str, Principal]) -> None:
        if not isinstance(principals, Mapping):
            raise TypeError(f"{_WANTED}; not a {type(principals).__name__}")
        if not principals:
            raise ValueError("StaticTokenVerifier needs at least one token")
        for number, (token, who) in enumerate(principals.items(), 1):
            # Neither is shown: where they are mixed up, each may be a token.
            if not isinstance(token, str) or not isinstance(who, Principal):
                kinds = f"{type(token).__name__}: {type(who).__name__}"
                raise TypeError(f"{_WANTED}; entry number {number} is {kinds}")
            if not _TOKEN.fullmatch(token):
                raise ValueError(f"token number {number} cannot be sent after 'Bearer '")
        self._digest = TokenDigest()
        self._principals = {self._digest(token): who for token, who in principals.items()}

    async def verify(self, token: str) -> Principal:
        """Look a token up.

        Raises:
            InvalidToken: It is unknown, or its principal has expired.
        """
        principal = self._principals.get(self._digest(token))
        if principal is None:
            raise InvalidToken("the access token is not known")
        if principal.expires <= time.time():
            raise InvalidToken("the access token has expired")
        return principal
