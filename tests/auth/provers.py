"""Clients whose tokens are bound to a key: their tokens and their proofs."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Any

from trimcp.auth import DPoPVerifier, JWTVerifier
from trimcp.auth._keys import PUBLIC_ALGORITHMS

from .signing import AUDIENCE, EC, EDWARDS, ISSUER, P384, RSA, claims, encode, key_set, seal, sign

if TYPE_CHECKING:
    from joserfc.jwk import Key

#: With which key proofs are signed by each algorithm.
KEYS: dict[str, Key] = {
    "ES256": EC,
    "ES384": P384,
    "RS256": RSA,
    "PS256": RSA,
    "EdDSA": EDWARDS,
}
if "Ed25519" in PUBLIC_ALGORITHMS:
    KEYS["Ed25519"] = EDWARDS


def digest(token: str) -> str:
    """The `ath` of a token."""
    return encode(hashlib.sha256(token.encode()).digest())


def bound(key: Key = EC, **changed: Any) -> str:
    """A token that is bound to a key."""
    return sign(claims(**{"cnf": {"jkt": key.thumbprint()}, **changed}))


def public(key: Key) -> dict[str, Any]:
    """The members of a public key."""
    names = ("kty", "crv", "x", "y", "n", "e")
    return {name: value for name, value in key.as_dict(private=False).items() if name in names}


def proof_parts(
    token: str, method: str, url: str, key: Key = EC, alg: str = "ES256"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a proof."""
    header = {"typ": "dpop+jwt", "alg": alg, "jwk": public(key)}
    said = {
        "jti": secrets.token_urlsafe(12),
        "htm": method,
        "htu": url,
        "iat": int(time.time()),
        "ath": digest(token),
    }
    return header, said


def signed(header: dict[str, Any], said: object, key: Key = EC, alg: str = "ES256") -> str:
    """A proof that says whatever it says, with a good signature."""
    return seal(f"{encode(header)}.{encode(said)}", key, alg)


def proof(
    token: str, method: str, url: str, key: Key = EC, alg: str = "ES256", **changed: Any
) -> str:
    """A proof; None takes a claim away."""
    header, said = proof_parts(token, method, url, key, alg)
    said = {name: value for name, value in (said | changed).items() if value is not None}
    return signed(header, said, key, alg)


def proving(token: str, method: str, url: str, key: Key = EC, **changed: Any) -> dict[str, str]:
    """The headers of a request with a bound token."""
    alg = next((name for name, each in KEYS.items() if each is key), "ES256")
    shown = proof(token, method, url, key, alg, **changed)
    return {"authorization": f"DPoP {token}", "dpop": shown}


def tokens(**options: Any) -> JWTVerifier:
    """A verifier of the tokens."""
    given = {"issuer": ISSUER, "audience": AUDIENCE, "keys": key_set(EC), "algorithms": ["ES256"]}
    return JWTVerifier(**{**given, **options})


def verifier(**options: Any) -> DPoPVerifier:
    """A verifier of tokens and proofs."""
    return DPoPVerifier(tokens(), **options)
