"""Access tokens that are signed, and say themselves for whom they were issued."""

from __future__ import annotations

import functools
from time import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from trimcp.errors import InvalidToken
from trimcp.transports import check_url

from ._claims import acceptance_of
from ._compact import decoded, plain_type, read_object
from ._fetch import Fetcher, FetchFailed
from ._issuer import fetch_key_set, fetch_metadata
from ._kept import Kept
from ._key_loading import signing_keys

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from types import ModuleType

    import httpx2

    from trimcp.runtime import Principal

    from ._keys import KeyRing

__all__ = ["JWTVerifier"]

#: Seconds for which fetched keys are used, and if they cannot be fetched anew.
_FRESH_SECONDS: Final = 600.0
_STALE_SECONDS: Final = 3600.0

#: Seconds between two fetches at least, however many tokens name unknown keys.
_RETRY_SECONDS: Final = 10.0

#: Seconds that a fetch may take, the metadata of the issuer included.
_FETCH_SECONDS: Final = 5.0

#: The kinds of token that are accepted by default; "" is for a token that does not say its own.
_USUAL_TYPES: Final = frozenset({"at+jwt", "jwt", ""})

_MALFORMED: Final = "the access token is malformed"


class _Keys(Protocol):
    """Where keys come from."""

    async def get(self) -> KeyRing: ...

    async def newer(self, than: KeyRing) -> KeyRing: ...


@attrs.frozen
class _GivenKeys:
    """Keys that never change."""

    ring: KeyRing

    async def get(self) -> KeyRing:
        return self.ring

    async def newer(self, than: KeyRing) -> KeyRing:
        return than


class JWTVerifier:
    """Verifies access tokens that are JSON Web Tokens (RFC 7519, RFC 9068).

    A token is accepted if it is signed with one of the keys by one of the algorithms, comes from
    the issuer, is for the audience, has not expired, and says whom it was issued for.

    Keys that have a URL are fetched when the first token is verified, and then again every ten
    minutes, and when a token names an unknown key, but never twice within ten seconds. While that
    fails they are used for up to an hour. One task fetches at a time: one that verifies a token.

    Needs `pip install 'trimcp[auth]'`.

    Args:
        issuer: Who issues the tokens (`iss`), compared exactly; several only if they share their
            keys, since each could then sign for the others.
        audience: The identifier of this server (`aud`), compared exactly; several where it has
            several. It is the URL that clients send as `resource`.
        keys: The URL of a JWK set; or a JWK set, or one JWK, as a mapping; or one public key as a
            PEM text. For `HS…` a JWK with `"kty": "oct"`.
        algorithms: Those that are accepted, such as `["ES256"]`. Those of a shared secret (`HS…`)
            and of public keys cannot be mixed. The name of Edwards curves has changed: name both
            `EdDSA` and `Ed25519`.
        leeway: Seconds by which the clocks of issuer and server may differ.
        typ: The `typ` that tokens must have, such as `at+jwt`. By default that, `JWT` or none.
        scope_claims: Where scopes stand: each a string with spaces, or a list.
        implied_scopes: For a scope, those that it includes, over any number of steps.
        ssl_context: For the URL of `keys`; by default the usual authorities are trusted.
        http_client: Makes the connections instead, and is left open.

    Raises:
        ValueError: The arguments make no safe verifier; the message says why.
        ModuleNotFoundError: joserfc is missing.

    Specification: 2026-07-28, Authorization, Access Token Usage; RFC 8725.
    """

    def __init__(
        self,
        *,
        issuer: str | Sequence[str],
        audience: str | Sequence[str],
        keys: str | bytes | Mapping[str, Any],
        algorithms: Sequence[str],
        leeway: float = 30.0,
        typ: str | None = None,
        scope_claims: str | Sequence[str] = ("scope", "scp"),
        implied_scopes: Mapping[str, Iterable[str]] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        keyring = _keyring()
        is_secret = keyring.check_algorithms(algorithms)
        self._algorithms = frozenset(algorithms)
        self._types = _USUAL_TYPES if typ is None else frozenset({plain_type(typ)})
        self._acceptance = acceptance_of(
            issuer=issuer,
            audience=audience,
            leeway=leeway,
            scope_claims=scope_claims,
            implied_scopes=implied_scopes,
            is_complete=True,
        )
        self._fetcher = Fetcher(ssl_context=ssl_context, client=http_client)
        self._keys: _Keys
        if isinstance(keys, str) and keys.startswith(("https://", "http://")):
            if is_secret:
                raise ValueError("a shared secret (HS…) is not fetched: give it as a JWK")
            self._keys = self._kept(functools.partial(self._set_at, check_url(keys)))
        else:
            self._keys = _GivenKeys(keyring.given_keys(keys, algorithms))

    @classmethod
    def from_issuer(
        cls,
        url: str,
        *,
        audience: str | Sequence[str],
        algorithms: Sequence[str] | None = None,
        leeway: float = 30.0,
        typ: str | None = None,
        scope_claims: str | Sequence[str] = ("scope", "scp"),
        implied_scopes: Mapping[str, Iterable[str]] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        http_client: httpx2.AsyncClient | None = None,
    ) -> JWTVerifier:
        """A verifier whose keys are found through the metadata of the issuer.

        They are fetched when the first token is verified. The metadata must name exactly this
        issuer, to the last slash.

        Args:
            url: The issuer, as it stands in its tokens (`iss`).
            audience: As for the constructor, like all others.
            algorithms: By default all of RSA, the NIST curves and Edwards curves.

        Raises:
            ValueError: As for the constructor.
            ModuleNotFoundError: As for the constructor.

        Specification: OpenID Connect Discovery 1.0; RFC 8414.
        """
        verifier = cls(
            issuer=check_url(url),
            audience=audience,
            keys=url,
            algorithms=_keyring().PUBLIC_ALGORITHMS if algorithms is None else algorithms,
            leeway=leeway,
            typ=typ,
            scope_claims=scope_claims,
            implied_scopes=implied_scopes,
            ssl_context=ssl_context,
            http_client=http_client,
        )
        verifier._keys = verifier._kept(functools.partial(verifier._set_of, url))
        return verifier

    @property
    def issuer(self) -> tuple[str, ...]:
        """Who may issue tokens, each exactly as it was given."""
        return self._acceptance.issuers

    @property
    def audience(self) -> tuple[str, ...]:
        """The identifiers of this server, each exactly as it was given."""
        return self._acceptance.audiences

    async def verify(self, token: str) -> Principal:
        """Verify one token.

        Returns:
            Who it was issued for. `expires` is the time up to which it is accepted, leeway
            included.

        Raises:
            InvalidToken: It is not accepted.
            VerifierUnavailable: The keys could not be fetched.
        """
        signed = _read(token)
        if signed.algorithm not in self._algorithms:
            raise InvalidToken("the access token is signed by an algorithm that is not accepted")
        if signed.type not in self._types:
            raise InvalidToken("this kind of token is not accepted as an access token (typ)")
        await self._check_signature(signed)
        return self._acceptance.principal(_object(signed.payload), time())

    async def _check_signature(self, signed: _SignedToken) -> None:
        ring = await self._keys.get()
        if signed.is_made_with(ring):
            return
        if not ring.has(signed.kid):
            newer = await self._keys.newer(ring)
            if newer is not ring and signed.is_made_with(newer):
                return
            if not newer.has(signed.kid):
                raise InvalidToken("the access token is not signed with a known key")
        raise InvalidToken("the signature of the access token is wrong")

    def _kept(self, fetch: Callable[[], Awaitable[KeyRing]]) -> Kept[KeyRing]:
        return Kept(
            fetch,
            fresh_seconds=_FRESH_SECONDS,
            stale_seconds=_STALE_SECONDS,
            retry_seconds=_RETRY_SECONDS,
            fetch_seconds=_FETCH_SECONDS,
        )

    async def _set_of(self, issuer: str) -> KeyRing:
        metadata = await fetch_metadata(self._fetcher, issuer)
        url = metadata.get("jwks_uri")
        if not isinstance(url, str):
            raise FetchFailed(f"the metadata of {issuer!r} name no JWK set (jwks_uri)")
        if issuer.startswith("https:") and not url.startswith("https:"):
            raise FetchFailed(f"the metadata of {issuer!r} name a JWK set without TLS")
        return await self._set_at(url)

    async def _set_at(self, url: str) -> KeyRing:
        document = await fetch_key_set(self._fetcher, url)
        try:
            ring: KeyRing = _keyring().KeyRing.of_set(document)
        except ValueError as error:
            raise FetchFailed(f"what {url!r} answered cannot be used: {error}") from None
        return ring


@attrs.frozen
class _SignedToken:
    """The parts of a token, whose signature nobody has verified.

    Attributes:
        algorithm: That of the signature, as the token says.
        kid: The id of the key; None if it says none.
        type: Its kind, in lower case; empty if it says none.
        content: What was signed.
        payload: What it says, as JSON.
        signature: The signature.
    """

    algorithm: str
    kid: str | None
    type: str
    content: bytes
    payload: bytes
    signature: bytes

    def is_made_with(self, ring: KeyRing) -> bool:
        """Whether one of the keys has signed it."""
        return ring.verifies(self.algorithm, self.kid, self.content, self.signature)


def _read(token: str) -> _SignedToken:
    """Raises InvalidToken for what is no signed token."""
    segments = token.split(".", 3)
    if len(segments) != 3:
        raise InvalidToken("the access token is no signed JSON Web Token")
    try:
        head, payload, signature = map(decoded, segments)
    except ValueError:
        raise InvalidToken(_MALFORMED) from None
    header = _object(head)
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
    if not (isinstance(algorithm, str) and isinstance(kid, str | None) and isinstance(kind, str)):
        raise InvalidToken(_MALFORMED)
    if "crit" in header or "b64" in header:
        # Whatever it demands, it is not understood (RFC 7515, section 4.1.11).
        raise InvalidToken("the access token demands an extension that is not supported (crit)")
    content = f"{segments[0]}.{segments[1]}".encode()
    return _SignedToken(algorithm, kid, plain_type(kind), content, payload, signature)


def _object(data: bytes) -> dict[str, Any]:
    try:
        return read_object(data)
    except ValueError:
        raise InvalidToken(_MALFORMED) from None


def _keyring() -> ModuleType:
    return signing_keys("JWTVerifier")
