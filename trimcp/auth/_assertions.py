"""Assertions that are signed here.

Loaded by the first key that is given, since joserfc is slow to load.

Specification: RFC 7523, sections 2.2, 3.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

from trimcp.errors import OptionError

from ._grants import GrantRefused
from ._keys import RSA_BITS, algorithms_of

if TYPE_CHECKING:
    from ._discovery import ServerMetadata

__all__ = ["SigningKey"]

#: Seconds that an assertion is good for: one request, and clocks that differ a little.
_LIFE_SECONDS: Final = 60

#: Bytes of randomness that make an assertion a different one each time.
_RANDOM_BYTES: Final = 16


class SigningKey:
    """A private key of a client. A `ClientKey`.

    Args:
        given: A PEM text or a JWK.
        algorithm: The only one to sign with; None for what fits the key and the server.
        option: The option by which it was given, for people.

    Raises:
        OptionError: It is no private key, or not one for the algorithm. The key is not shown.
    """

    def __init__(
        self, given: str | bytes | Mapping[str, Any], algorithm: str | None, option: str
    ) -> None:
        self._key = _imported(given, option)
        fitting = algorithms_of(self._key)
        if not fitting:
            raise OptionError(f"{option} is not one for signatures: give one of RSA, EC or Ed25519")
        # A JWK may name the one algorithm that it is for.
        only = algorithm or self._key.get("alg")
        if only is not None and only not in fitting:
            raise OptionError(
                f"the algorithm {only!r:.50} is not one of the key in {option}, which signs with "
                f"{' or '.join(fitting)}"
            )
        self._algorithms = fitting if only is None else (str(only),)

    async def assertion(self, client_id: str, server: ServerMetadata) -> str:
        """See `ClientKey`."""
        now = int(time.time())
        claims = {
            "iss": client_id,
            "sub": client_id,
            # Never the token endpoint: its URL is what another server could have named.
            "aud": server.issuer,
            "jti": secrets.token_urlsafe(_RANDOM_BYTES),
            "iat": now,
            "exp": now + _LIFE_SECONDS,
        }
        return self._signed(claims, self._algorithm_at(server))

    def _algorithm_at(self, server: ServerMetadata) -> str:
        offered = server.auth_algorithms
        for each in self._algorithms:
            if offered is None or each in offered:
                return each
        raise GrantRefused(
            f"the authorization server takes signatures by {', '.join(offered or ())[:100]!a}, and "
            f"the key signs with {' or '.join(self._algorithms)}: give another key or algorithm"
        )

    def _signed(self, claims: dict[str, Any], algorithm: str) -> str:
        kid = self._key.kid
        header = {"alg": algorithm, "typ": "JWT", **({} if kid is None else {"kid": kid})}
        content = f"{_encoded(header)}.{_encoded(claims)}"
        signature = JWSRegistry.algorithms[algorithm].sign(content.encode(), self._key)
        return f"{content}.{_base64(signature)}"


def _encoded(part: dict[str, Any]) -> str:
    return _base64(msgspec.json.encode(part))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _imported(given: Any, option: str) -> Key:
    if isinstance(given, Mapping):
        key = _of_jwk(given, option)
    elif isinstance(given, str | bytes):
        key = _of_pem(given, option)
    else:
        raise OptionError(f"{option} is a PEM text, a JWK or a function, not a {type(given)!r}")
    if not key.is_private:
        raise OptionError(f"{option} holds a public key: give the private one")
    if isinstance(key, RSAKey) and key.raw_value.key_size < RSA_BITS:
        raise OptionError(f"{option} holds an RSA key of less than {RSA_BITS} bits")
    return key


def _of_jwk(given: Mapping[str, Any], option: str) -> Key:
    try:
        key: Key = import_key(dict(given))
        _ = key.is_private
    except Exception:
        # The error may quote the key.
        raise OptionError(f"{option} is no JWK that can be used") from None
    if key.key_type == "oct":
        raise OptionError(f"{option} holds a secret, not a private key: give it as the secret")
    return key


def _of_pem(pem: str | bytes, option: str) -> Key:
    for cls in (RSAKey, ECKey, OKPKey):
        try:
            key: Key = cls.import_key(pem)
        except Exception:  # of another kind
            continue
        return key
    raise OptionError(f"{option} is no PEM text of a private key, or is one with a password")
