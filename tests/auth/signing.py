"""Tokens as an issuer signs them, and as it should not."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

ISSUER = "https://issuer.example"
AUDIENCE = "https://mcp.example/mcp"

#: Made once, since those of RSA take long.
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
OTHER = ECKey.generate_key("P-256", {"kid": "other"})
P384 = ECKey.generate_key("P-384", {"kid": "p384"})
EDWARDS = OKPKey.generate_key("Ed25519", {"kid": "edwards"})
SECRET = OctKey.generate_key(512, {"kid": "secret"})


def claims(**changed: Any) -> dict[str, Any]:
    """Claims that are accepted; None takes one away."""
    now = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "client_id": "app",
        "scope": "files:read files:write",
        "exp": now + 600,
        "iat": now,
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def encode(value: object) -> str:
    """One part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(
    said: object = None, key: Key = EC, alg: str = "ES256", header: dict[str, Any] | None = None
) -> str:
    """A token that is signed as its header says, whatever it says."""
    head = {"alg": alg, "kid": key.kid, "typ": "at+jwt"} | (header or {})
    head = {name: value for name, value in head.items() if value is not None}
    return seal(f"{encode(head)}.{encode(claims() if said is None else said)}", key, alg)


def seal(content: str, key: Key = EC, alg: str = "ES256") -> str:
    """A header and a payload with their signature."""
    signature = jws.JWSRegistry.algorithms[alg].sign(content.encode(), key)
    return f"{content}.{encode(signature)}"


def key_set(*keys: Key) -> dict[str, Any]:
    """The public JWK set of some keys."""
    return {"keys": [key.as_dict(private=False) for key in keys]}
