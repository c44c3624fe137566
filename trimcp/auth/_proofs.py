"""Keys to which tokens are bound, and the proofs that a client has them (DPoP).

Loaded when the first key is needed, since joserfc is slow to load.

Specification: RFC 9449, section 4; RFC 7638.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import secrets
import time
from typing import Any, Final

import httpx2
import msgspec
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

__all__ = ["ProofKey"]

#: By algorithm: the kind of key, and its curve or its bits.
_KINDS: Final[dict[str, tuple[Any, str | int]]] = {
    "ES256": (ECKey, "P-256"),
    "ES384": (ECKey, "P-384"),
    "ES512": (ECKey, "P-521"),
    "Ed25519": (OKPKey, "Ed25519"),
    "EdDSA": (OKPKey, "Ed25519"),
    "PS256": (RSAKey, 2048),
    "RS256": (RSAKey, 2048),
}

#: Random bytes that tell a proof from all others (RFC 9449, section 4.2: at least 12).
_ID_BYTES: Final = 16

#: Members of a stored key besides those of a JWK.
_ALGORITHM: Final = "alg"


class ProofKey:
    """A private key, and the proofs that it is there.

    Args:
        algorithm: How it signs.
        key: The key.

    Attributes:
        entry: The key as a text to be stored: a secret.
        thumbprint: How tokens name it.
    """

    def __init__(self, algorithm: str, key: Key) -> None:
        self._key = key
        self._model: Any = JWSRegistry.algorithms[algorithm]
        self._model.check_key(key)
        public = key.as_dict(private=False)
        head = {"typ": "dpop+jwt", "alg": algorithm, "jwk": public}
        self._head = _encoded(msgspec.json.encode(head))
        private = key.as_dict(private=True)
        self.entry: str = msgspec.json.encode({**private, _ALGORITHM: algorithm}).decode()
        self.thumbprint: str = key.thumbprint()

    def __repr__(self) -> str:
        return f"<ProofKey {self.thumbprint}>"

    @classmethod
    def generate(cls, algorithm: str) -> ProofKey:
        """A new key. One for RSA takes a tenth of a second."""
        kind, size = _KINDS[algorithm]
        return cls(algorithm, kind.generate_key(size, auto_kid=False))

    @classmethod
    def stored(cls, entry: str) -> ProofKey:
        """A key that was stored.

        Raises:
            ValueError: It is none, or not of a kind that is made here.
        """
        try:
            members = msgspec.json.decode(entry, type=dict[str, Any])
            algorithm = members.pop(_ALGORITHM)
            key = import_key(members)
            if not isinstance(key, _KINDS[algorithm][0]) or not key.is_private:
                raise ValueError
            return cls(algorithm, key)
        except Exception:
            # The error could quote the key.
            raise ValueError("the stored key for proofs cannot be used") from None

    def proof(
        self, method: str, url: str, *, nonce: str | None = None, token: str | None = None
    ) -> str:
        """A proof for one request, the value of its header `DPoP`.

        Args:
            method: The method of the request.
            url: Where it goes.
            nonce: The last one that the server has named.
            token: The access token that goes with the request.
        """
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(_ID_BYTES),
            "htm": method,
            "htu": _target(url),
            "iat": int(time.time()),
        }
        if token is not None:
            claims["ath"] = _encoded(hashlib.sha256(token.encode()).digest()).decode()
        if nonce is not None:
            claims["nonce"] = nonce
        content = self._head + b"." + _encoded(msgspec.json.encode(claims))
        signature = _encoded(self._model.sign(content, self._key))
        return (content + b"." + signature).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@functools.lru_cache(maxsize=16)
def _target(url: str) -> str:
    """A URL as the server sees it, without its query."""
    seen = httpx2.URL(url)
    path = seen.raw_path.partition(b"?")[0] or b"/"
    return f"{seen.scheme}://{(seen.netloc + path).decode()}"
