"""Sealing `requestState`, which the client stores and the server must not trust without a check.

The state travels through the client, so it is encrypted and authenticated (ChaCha20-Poly1305).
It holds for whom, for which request and until when it is valid, and the answers so far.

Specification: 2026-07-28, Multi Round-Trip Requests, Server Requirements 4 and 5.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["InvalidState", "Seal", "State", "digest_of"]

_NONCE = 12
_DIGEST = 16


class InvalidState(Exception):
    """The state was not sealed with these keys, or was changed later."""


class State(msgspec.Struct, array_like=True):
    """The content of a sealed state.

    Attributes:
        frame: The id of the asker, if it waits for the answers.
        method: The request's method.
        subject: The digest of what the request is about (name and arguments).
        principal: The digest of whom the state was given to; None for a peer without a principal.
        expires: When it lapses, in seconds of the wall clock.
        questions: The digest of each open question, by key.
        answers: The digest and the answer of each answered question, by key.
        kept: A value of a handler that has returned its questions, and gets it back in its next
            run.
        nonce: The unique name of this state.
    """

    frame: str | None
    method: str
    subject: str
    principal: str | None
    expires: float
    questions: dict[str, str]
    answers: dict[str, tuple[str, dict[str, Any]]]
    kept: Any = None
    nonce: str = msgspec.field(default_factory=lambda: os.urandom(_NONCE).hex())


class Seal:
    """Seals and opens states.

    Args:
        keys: Secrets of any length, at least 16 bytes; the first seals, all of them open, so
            keys can be rotated and shared between processes. Without keys, a random key is used as
            long as the process lives.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        for key in keys:
            if len(key) < 16:
                raise ValueError("a state key needs at least 16 bytes of secret")
        self._keys = tuple(keys) or (os.urandom(32),)
        self._ciphers: list[Any] | None = None

    def seal(self, state: State) -> str:
        """The state as text for the client."""
        nonce = os.urandom(_NONCE)
        box = self._open_ciphers()[0].encrypt(nonce, msgspec.msgpack.encode(state), None)
        return base64.urlsafe_b64encode(nonce + box).decode()

    def open(self, text: str) -> State:
        """The content of a sealed state. Raises InvalidState."""
        from cryptography.exceptions import InvalidTag

        try:
            box = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
        except ValueError:
            raise InvalidState from None
        for cipher in self._open_ciphers():
            try:
                plain = cipher.decrypt(box[:_NONCE], box[_NONCE:], None)
                return msgspec.msgpack.decode(plain, type=State)
            except (InvalidTag, ValueError, msgspec.DecodeError):
                continue
        raise InvalidState

    def _open_ciphers(self) -> list[Any]:
        if self._ciphers is None:
            # Loaded late, so that only servers that ask questions load these libraries.
            import hashlib

            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

            self._ciphers = [
                ChaCha20Poly1305(hashlib.sha256(b"trimcp request state\0" + key).digest())
                for key in self._keys
            ]
        return self._ciphers


def digest_of(*values: Any) -> str:
    """A short digest of JSON values that does not depend on the order of object members."""
    import hashlib

    canonical = msgspec.json.encode(values, order="deterministic")
    return hashlib.sha256(canonical).hexdigest()[: 2 * _DIGEST]
