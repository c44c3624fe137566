"""Keys that signatures are verified with.

Loaded by the first verifier of signatures, since joserfc is slow to load. Whatever is imported
here comes from elsewhere, and joserfc raises errors of many kinds for what is malformed.

Specification: RFC 7517 (keys), RFC 7518 (algorithms), RFC 8037 and RFC 9864 (Edwards curves).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

__all__ = [
    "PUBLIC_ALGORITHMS",
    "RSA_BITS",
    "KeyRing",
    "algorithms_of",
    "check_algorithms",
    "given_keys",
]

#: What is accepted from an issuer whose keys are fetched, and so are public.
PUBLIC_ALGORITHMS: Final = tuple(
    name
    for name in (
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
        *("EdDSA", "Ed25519"),
    )
    if name in JWSRegistry.algorithms
)

#: Keys of one set that are looked at.
_MOST_KEYS: Final = 100

#: Keys that one signature is tried with, if the token does not name one.
_MOST_TRIED: Final = 8

#: Bits that an RSA key needs (RFC 7518, section 3.3).
RSA_BITS: Final = 2048

#: How many characters its modulus may have; a longer one than of 16384 bits takes too long.
_MODULUS: Final = range(math.ceil(RSA_BITS / 6), math.ceil(16384 / 6) + 1)

#: Curves of signatures; the other ones are for key agreement.
_EDWARDS: Final = ("Ed25519", "Ed448")

#: Bytes that a shared secret needs (RFC 7518, section 3.2).
_SECRET_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}


class KeyRing:
    """The usable keys of a set.

    Args:
        keys: Each with its id, or None where it has none.
    """

    def __init__(self, keys: Iterable[tuple[str | None, Key]]) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    @classmethod
    def of_set(cls, document: Any) -> KeyRing:
        """The public keys of a JWK set for signatures; what cannot be used is left out.

        Raises:
            ValueError: It is no JWK set.
        """
        members = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(members, list | tuple):
            raise ValueError("it is no JWK set")
        return cls(
            (each.get("kid"), key)
            for each in members[:_MOST_KEYS]
            if (key := _public_key(each)) is not None
        )

    def has(self, kid: str | None) -> bool:
        """Whether one of the keys has this id."""
        return kid is not None and any(name == kid for name, _ in self._keys)

    def fits(self, algorithm: str) -> bool:
        """Whether one of the keys is for this algorithm."""
        return any(_is_for(algorithm, key) for _, key in self._keys)

    def verifies(self, algorithm: str, kid: str | None, content: bytes, signature: bytes) -> bool:
        """Whether one of the keys has made this signature.

        Args:
            algorithm: The one that the token names, which is allowed.
            kid: The id of the key; None if the token names none.
            content: What was signed.
            signature: The signature.
        """
        model = JWSRegistry.algorithms[algorithm]
        fitting = (
            key
            for name, key in self._keys
            if (kid is None or name is None or name == kid) and _is_for(algorithm, key)
        )
        for key in itertools.islice(fitting, _MOST_TRIED):
            # What cannot be a signature by such a key may be an error.
            with suppress(Exception):
                if model.verify(content, signature, key):
                    return True
        return False


def _is_for(algorithm: str, key: Key) -> bool:
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
    except JoseError:
        return False
    return True


def algorithms_of(key: Key) -> tuple[str, ...]:
    """The algorithms of signatures that a key is for; none for one that is for encryption."""
    if isinstance(key, OKPKey) and key.curve_name not in _EDWARDS:
        return ()
    return tuple(name for name in PUBLIC_ALGORITHMS if _is_for(name, key))


def _public_key(member: Any) -> Key | None:
    """A key of a set for signatures; None if it is none, or not to be trusted."""
    # One malformed key must not cost the others.
    with suppress(Exception):
        is_public = member["kty"] in ("RSA", "EC", "OKP") and "d" not in member
        is_weak = member["kty"] == "RSA" and len(member["n"]) not in _MODULUS
        if is_public and not is_weak:
            return import_key(dict(member))
    return None


# -- what a user gives ------------------------------------------------------------------------


def check_algorithms(algorithms: Sequence[str]) -> bool:
    """Whether the algorithms are those of a shared secret.

    Raises:
        ValueError: None is given, or one that is unknown or no protection, or both kinds.
    """
    if isinstance(algorithms, str) or not algorithms:
        raise ValueError('algorithms= must name at least one algorithm, such as ["ES256"]')
    for name in algorithms:
        if name == "none" or name not in JWSRegistry.algorithms:
            raise ValueError(f"algorithms= names {name!r}, with which no token can be verified")
    secret = [name in _SECRET_BYTES for name in algorithms]
    if any(secret) and not all(secret):
        raise ValueError(
            "algorithms= mixes those of a shared secret (HS…) with those of public keys: an "
            "attacker could use a public key as the secret"
        )
    return all(secret)


def given_keys(keys: Mapping[str, Any] | str | bytes, algorithms: Sequence[str]) -> KeyRing:
    """The keys that a user wrote down: a JWK set, a JWK, or a PEM text.

    Raises:
        ValueError: They cannot be used with these algorithms.
    """
    if check_algorithms(algorithms):
        return KeyRing([_secret(keys, algorithms)])
    if isinstance(keys, str | bytes):
        ring = KeyRing([(None, _pem_key(keys))])
    else:
        document = keys if "keys" in keys else {"keys": [keys]}
        ring = KeyRing.of_set(document)
        if any(isinstance(each, Mapping) and "d" in each for each in document["keys"]):
            raise ValueError("keys= holds a private key: give its public part")
    if not any(ring.fits(each) for each in algorithms):
        raise ValueError(f"keys= holds no public key for signatures by {', '.join(algorithms)}")
    return ring


def _secret(keys: Any, algorithms: Sequence[str]) -> tuple[str | None, Key]:
    members = keys.get("keys", [keys]) if isinstance(keys, Mapping) else []
    try:
        (member,) = members
        key = OctKey.import_key(dict(member))
    except Exception as error:
        raise ValueError('keys= for HS… algorithms is one JWK: {"kty": "oct", "k": …}') from error
    needed = max(_SECRET_BYTES[name] for name in algorithms)
    if len(key.raw_value) < needed:
        raise ValueError(f"the secret of {', '.join(algorithms)} needs at least {needed} bytes")
    return member.get("kid"), key


def _pem_key(pem: str | bytes) -> Key:
    for cls in (RSAKey, ECKey, OKPKey):
        try:
            key: Key = cls.import_key(pem)
        except Exception:  # of another kind
            continue
        if key.is_private:
            raise ValueError("keys= holds a private key: give its public part")
        if isinstance(key, RSAKey) and key.raw_value.key_size < RSA_BITS:
            raise ValueError(f"keys= holds an RSA key of less than {RSA_BITS} bits")
        return key
    raise ValueError("keys= is no PEM text of a public key, no JWK set and no URL")
