"""The thumbprint of a public key, by which a token names the key that it is bound to.

Specification: RFC 7638; RFC 8037, section 2.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEY_MEMBERS", "digest_text", "text_of", "thumbprint"]

#: The members that make a public key, by its kind (`kty`).
KEY_MEMBERS: Final = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The SHA-256 thumbprint of a public key (`jkt`).

    Args:
        jwk: The key as a JWK, whose `kty` is known here. Other members make no difference.
    """
    members = {name: jwk[name] for name in KEY_MEMBERS[jwk["kty"]]}
    return digest_text(json.dumps(members, separators=(",", ":"), sort_keys=True).encode())


def digest_text(data: bytes) -> str:
    """The SHA-256 digest of some bytes, as text."""
    return text_of(hashlib.sha256(data).digest())


def text_of(data: bytes) -> str:
    """Some bytes in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
