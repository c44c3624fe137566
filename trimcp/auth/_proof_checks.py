"""What a DPoP proof says, and whether it fits its request: pure functions.

Whatever comes from a client is judged here, all of it before a key is used: the library for
signatures gets a key that has been looked at, and nothing else of a proof.

Specification: RFC 9449, sections 4.2 and 4.3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.runtime import ProofRefused

from ._compact import decoded, plain_type, read_strict_object
from ._targets import is_same_target
from ._thumbprint import KEY_MEMBERS, digest_text, thumbprint

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from trimcp.runtime import Presentation

__all__ = ["PROOF_ALGORITHMS", "Proof", "check_request", "read_proof"]

#: Characters of a proof that are read. One with a key of 4096 bits has about 2300.
_MOST_CHARACTERS: Final = 8192

_TYPE: Final = "dpop+jwt"

#: For each algorithm the kind of its key, and the curve.
_KEYS: Final = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
    **{f"{kind}{size}": ("RSA", None) for kind in ("PS", "RS") for size in (256, 384, 512)},
}

PROOF_ALGORITHMS: Final = tuple(_KEYS)

#: Bytes of a coordinate, by the curve.
_COORDINATES: Final = {"P-256": 32, "P-384": 48, "P-521": 66, "Ed25519": 32}

#: What makes a key private or secret (RFC 7518, section 6).
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

#: Bits of the modulus of an RSA key, and bytes of its exponent: large ones cost time.
_MODULUS: Final = range(2048, 4096 + 1)
_EXPONENT: Final = 4

_MALFORMED: Final = "the DPoP proof is malformed"


@attrs.frozen
class Proof:
    """A proof whose signature nobody has verified.

    Attributes:
        algorithm: That of the signature.
        key: The public key that it is to be verified with, as a JWK of the needed members only.
        thumbprint: That of the key.
        name: Its unique name (`jti`).
        method: The method of the request that it was made for (`htm`).
        target: The URL of that request (`htu`).
        token: The digest of the access token that it was made for (`ath`).
        issued: When it was made, as its maker says, in seconds since the Unix epoch (`iat`).
        nonce: The server's nonce, if it contains one.
        content: What was signed.
        signature: The signature.
    """

    algorithm: str
    key: Mapping[str, str]
    thumbprint: str
    name: str
    method: str
    target: str
    token: str
    issued: float
    nonce: str | None
    content: bytes = attrs.field(repr=False)
    signature: bytes = attrs.field(repr=False)


def read_proof(values: Sequence[str], algorithms: Container[str]) -> Proof:
    """Read a proof strictly.

    Args:
        values: Those of the `DPoP` headers of a request; there must be one.
        algorithms: Those that are accepted.

    Raises:
        ProofRefused: There is no proof, or more than one, or it cannot be one.
    """
    if len(values) != 1:
        flaw = "there is no DPoP proof" if not values else "there is more than one DPoP proof"
        raise ProofRefused(flaw)
    text = values[0].strip(" \t")
    if len(text) > _MOST_CHARACTERS:
        raise ProofRefused("the DPoP proof is too long")
    segments = text.split(".", 3)
    if len(segments) != 3:
        raise ProofRefused(_MALFORMED)
    try:
        head, payload, signature = map(decoded, segments)
        header, claims = read_strict_object(head), read_strict_object(payload)
    except ValueError:
        raise ProofRefused(_MALFORMED) from None
    algorithm = _algorithm(header, algorithms)
    key = _public_key(header.get("jwk"), algorithm)
    return Proof(
        algorithm=algorithm,
        key=key,
        thumbprint=thumbprint(key),
        name=_text(claims, "jti"),
        method=_text(claims, "htm"),
        target=_text(claims, "htu"),
        token=_text(claims, "ath"),
        issued=_time(claims.get("iat")),
        nonce=_text(claims, "nonce") if "nonce" in claims else None,
        content=f"{segments[0]}.{segments[1]}".encode(),
        signature=signature,
    )


def _algorithm(header: Mapping[str, Any], algorithms: Container[str]) -> str:
    kind, algorithm = header.get("typ"), header.get("alg")
    if not isinstance(kind, str) or plain_type(kind) != _TYPE:
        raise ProofRefused(f"what the DPoP header contains is no proof (typ is not {_TYPE})")
    if "crit" in header or "b64" in header:
        # Whatever it demands, it is not understood (RFC 7515, section 4.1.11).
        raise ProofRefused("the DPoP proof demands an extension that is not supported (crit)")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise ProofRefused("the DPoP proof is signed by an algorithm that is not accepted")
    return algorithm


def _public_key(jwk: Any, algorithm: str) -> dict[str, str]:
    """The needed members of a public key that fits an algorithm."""
    kind, curve = _KEYS[algorithm]
    if not isinstance(jwk, dict) or jwk.get("kty") != kind:
        raise ProofRefused("the DPoP proof has no key that fits its algorithm (jwk)")
    if not _PRIVATE.isdisjoint(jwk):
        raise ProofRefused("the DPoP proof contains a private key (jwk)")
    key: dict[str, Any] = {name: jwk.get(name) for name in KEY_MEMBERS[kind]}
    try:
        is_good = _is_rsa_key(key) if curve is None else _is_point(key, curve)
    except (TypeError, ValueError):
        is_good = False
    if not (is_good and _may_verify(jwk, algorithm)):
        raise ProofRefused("the key of the DPoP proof cannot be used (jwk)")
    return key


def _may_verify(jwk: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a key is for signatures by an algorithm, as it says (RFC 7517, section 4)."""
    uses = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(uses, list)
        and "verify" in uses
    )


def _is_rsa_key(key: Mapping[str, Any]) -> bool:
    modulus, exponent = decoded(key["n"]), decoded(key["e"])
    is_shortest = bool(modulus[0] and exponent[0])
    bits = int.from_bytes(modulus, "big").bit_length()
    return is_shortest and bits in _MODULUS and len(exponent) <= _EXPONENT


def _is_point(key: Mapping[str, Any], curve: str) -> bool:
    sizes = {len(decoded(key[name])) for name in ("x", "y") if name in key}
    return key["crv"] == curve and sizes == {_COORDINATES[curve]}


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise ProofRefused(f"the DPoP proof lacks a claim, or it is malformed ({name})")
    return value


def _time(value: Any) -> float:
    if not isinstance(value, bool) and isinstance(value, int | float):
        try:
            seconds = float(value)
        except OverflowError:
            seconds = math.inf
        if math.isfinite(seconds):
            return seconds
    raise ProofRefused("the DPoP proof lacks a claim, or it is malformed (iat)")


def check_request(proof: Proof, presented: Presentation) -> None:
    """Whether a proof was made for this request and this token.

    Raises:
        ProofRefused: It was made for another.
    """
    if proof.method != presented.method:
        raise ProofRefused(f"the DPoP proof is not for the method {presented.method} (htm)")
    if not is_same_target(proof.target, presented.url):
        raise ProofRefused(f"the DPoP proof is not for the URL {presented.url} (htu)")
    if proof.token != digest_text(presented.token.encode()):
        raise ProofRefused("the DPoP proof is for another access token (ath)")
