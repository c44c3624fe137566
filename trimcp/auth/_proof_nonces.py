"""Nonces that DPoP proofs must contain: the time, and that it was this server which said so.

Nothing is kept for a client, and processes that share keys accept each other's nonces.

Specification: RFC 9449, sections 8 and 9.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final

from ._compact import decoded
from ._thumbprint import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ProofNonces"]

#: Bytes of the time in milliseconds, and of what proves it.
_TIME: Final = 6
_MARK: Final = 16

#: Keeps the marks apart from whatever else is made with the same keys.
_PURPOSE: Final = b"trimcp dpop nonce"


class ProofNonces:
    """Makes nonces and reads them.

    Args:
        keys: Secrets; the first makes, all of them read. Without keys a random one is used.

    Attributes:
        is_shared: Whether others may have the same keys.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.is_shared = bool(keys)
        self._keys = tuple(keys) or (os.urandom(32),)

    def make(self, now: float) -> str:
        """A nonce that says the time, in seconds since the Unix epoch, to the millisecond."""
        time = int(now * 1000).to_bytes(_TIME, "big")
        return text_of(time + _mark(self._keys[0], time))

    def time_in(self, nonce: str) -> float | None:
        """When a nonce was made; None if it was not made with these keys."""
        try:
            data = decoded(nonce)
        except ValueError:
            return None
        time, mark = data[:_TIME], data[_TIME:]
        if any(hmac.compare_digest(mark, _mark(key, time)) for key in self._keys):
            return int.from_bytes(time, "big") / 1000
        return None


def _mark(key: bytes, time: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + b"\0" + time, hashlib.sha256)[:_MARK]
