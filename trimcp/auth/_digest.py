"""What is kept of a token in its place."""

from __future__ import annotations

import hashlib
import secrets

__all__ = ["TokenDigest"]


class TokenDigest:
    """A digest with a key of its own.

    The token cannot be told from it, and nobody can choose tokens whose digests begin alike, so
    how long it takes to find one tells nothing.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def __call__(self, token: str) -> bytes:
        """The digest of any text."""
        return hashlib.blake2b(token.encode(errors="surrogatepass"), key=self._key).digest()
