"""Access tokens that are bound to a key, and are no good without a proof of it."""

from __future__ import annotations

import hashlib
import logging
import math
from time import time
from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import InvalidToken, VerifierUnavailable
from trimcp.runtime import Principal, ProofRefused, Proven

from ._claims import bound_key, proving
from ._key_loading import signing_keys
from ._proof_checks import PROOF_ALGORITHMS, check_request, read_proof
from ._proof_nonces import ProofNonces
from ._replays import Replays, TooManyHolders, Use

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from trimcp.runtime import NonceStore, Presentation, TokenVerifier

    from ._proof_checks import Proof

__all__ = ["DPoPVerifier"]

logger = logging.getLogger("trimcp.auth")

#: Bytes of secret that a key for nonces needs.
_KEY_BYTES: Final = 16

#: Seconds by which the clocks of processes that accept each other's nonces may differ.
_PROCESSES: Final = 5.0

#: Seconds that any of the windows may be long.
_LONGEST: Final = 86_400.0


class DPoPVerifier:
    """Asks for a proof with each access token that is bound to a key of its client (DPoP).

    Goes around another verifier: that judges the token, and this one the proof. With a proof in
    its `DPoP` header and the token after `DPoP ` in its `Authorization` header a request shows
    that its sender has the key whose thumbprint the token names (`cnf.jkt`). A token that somebody
    has stolen is no good to them.

    A bound token without a proof is refused, and so is a token with a proof that is not bound.
    Tokens that are bound in other ways (`x5t#S256`) are always refused.

    A proof is accepted once. Of those that were used, up to `replay_entries` are remembered in this
    process. When there are more, whoever was issued the tokens of the most loses the oldest, and
    none of their proofs is accepted that is not newer than that. Another process accepts a proof
    once more, also the next one after a restart, unless `replays` outlives this one or the proof
    has a nonce that the other does not know.

    Needs `pip install 'trimcp[auth]'`.

    Args:
        verifier: Judges tokens. Of a verifier of your own, `Principal.claims` must contain the
            `cnf` of the token.
        accept_bearer: Whether tokens that are bound to no key are accepted too, after `Bearer `.
        algorithms: Those by which a proof may be signed; by default RSA (2048 to 4096 bits), the
            NIST curves and Ed25519.
        proof_seconds: How old a proof may be (`iat`). Not asked where there are nonces.
        leeway: Seconds by which the clocks of client and server may differ. Not asked where there
            are nonces.
        nonces: Whether a proof must contain a nonce of this server.
        nonce_keys: Secrets of at least 16 bytes with which nonces are made: the first makes, all
            are accepted. Processes that serve the same URL need the same ones. By default a random
            one of this process.
        nonce_seconds: How long a nonce may be used, by the clock of the process that made it, from
            which those of others may differ by 5 seconds. A client is told of the next one after
            half of that time.
        replay_entries: How many used proofs are remembered. That there are so many is logged.
        replays: Remembers them instead, where several processes serve the same URL: otherwise a
            proof could be used once in each. What it does when it is full is its own affair.

    Raises:
        TypeError: An argument is of another type.
        ValueError: An argument makes no sense; the message says why.
        ModuleNotFoundError: joserfc is missing.

    Specification: RFC 9449.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        *,
        accept_bearer: bool = False,
        algorithms: Sequence[str] | None = None,
        proof_seconds: float = 60.0,
        leeway: float = 30.0,
        nonces: bool = False,
        nonce_keys: Sequence[bytes] = (),
        nonce_seconds: float = 300.0,
        replay_entries: int = 100_000,
        replays: NonceStore | None = None,
    ) -> None:
        self._keys = signing_keys("DPoPVerifier")
        self._verifier = _checked_verifier(verifier)
        self._algorithms = _checked_algorithms(algorithms, self._keys.PUBLIC_ALGORITHMS)
        self._accepts_bearer = _flag("accept_bearer", accept_bearer)
        proof_seconds = _seconds("proof_seconds", proof_seconds, least=1)
        leeway = _seconds("leeway", leeway, least=0)
        self._nonce_seconds = _seconds("nonce_seconds", nonce_seconds, least=1)
        keys = _checked_keys(nonce_keys, is_used=_flag("nonces", nonces))
        self._nonces = ProofNonces(keys) if nonces else None
        # How far ahead the time of a proof may be, and how far behind.
        if nonces:
            self._ahead, self._behind = _PROCESSES, self._nonce_seconds
        else:
            self._ahead, self._behind = leeway, proof_seconds + leeway
        self._remembered_seconds = self._ahead + self._behind
        if type(replay_entries) is not int or replay_entries < 1:
            raise ValueError(f"replay_entries= is a number, at least 1; not {replay_entries!r}")
        if replays is not None and not callable(getattr(replays, "use", None)):
            raise TypeError(f"replays= has a method use(), as a NonceStore; not {replays!r}")
        self._store = replays
        self._replays = Replays(replay_entries, self._remembered_seconds)
        # When it was logged last that there is no more room.
        self._warned: float | None = None

    @property
    def issuer(self) -> Any:
        """What the verifier of the tokens says of itself, or None."""
        return getattr(self._verifier, "issuer", None)

    @property
    def audience(self) -> Any:
        """What the verifier of the tokens says of itself, or None."""
        return getattr(self._verifier, "audience", None)

    @property
    def proof_algorithms(self) -> tuple[str, ...]:
        """The algorithms by which a proof may be signed."""
        return self._algorithms

    @property
    def accepts_bearer(self) -> bool:
        """Whether tokens that are bound to no key are accepted as well."""
        return self._accepts_bearer

    @property
    def unshared(self) -> str | None:
        """What must be given before several processes can serve the same URL; None if nothing."""
        if self._store is None:
            return "DPoPVerifier(replays=...) a store that all of them share"
        if self._nonces is not None and not self._nonces.is_shared:
            return "DPoPVerifier(nonce_keys=...) the same keys in all of them"
        return None

    async def verify(self, token: str) -> Principal:
        """Judge a token that comes without a proof.

        Raises:
            InvalidToken: It is not accepted, or must come with a proof.
            VerifierUnavailable: It cannot be judged now.
        """
        if not self._accepts_bearer:
            raise InvalidToken("an access token must come with a DPoP proof, after 'DPoP '")
        principal = _principal(await self._verifier.verify(token))
        if bound_key(principal.claims) is not None:
            raise InvalidToken("the access token is bound to a key: it needs a DPoP proof")
        return principal

    async def verify_presented(self, presented: Presentation) -> Proven:
        """Judge a token with its proof, as a request presents them.

        Raises:
            ProofRefused: There is no good proof.
            InvalidToken: The token is not accepted, or it is not bound to the key of the proof.
            VerifierUnavailable: The token cannot be judged now, or there is no room to remember
                the proof.
        """
        if presented.scheme != "dpop":
            return Proven(await self.verify(presented.token))
        proof = read_proof(presented.proofs, self._algorithms)
        check_request(proof, presented)
        made = self._time_of(proof, time())
        if not self._is_signed(proof):
            raise ProofRefused("the signature of the DPoP proof is wrong")
        with proving():
            principal = _principal(await self._verifier.verify(presented.token))
        bound = bound_key(principal.claims)
        if bound is None:
            raise InvalidToken("the access token is bound to no key")
        if bound != proof.thumbprint:
            raise InvalidToken("the access token is bound to another key")
        await self._use(proof, principal, made)
        return Proven(principal, self._next_nonce(made))

    def _is_signed(self, proof: Proof) -> bool:
        ring = self._keys.KeyRing.of_set({"keys": [proof.key]})
        return bool(ring.verifies(proof.algorithm, None, proof.content, proof.signature))

    def _time_of(self, proof: Proof, now: float) -> float:
        """When a proof was made, as far as that can be known. Raises ProofRefused."""
        if self._nonces is None:
            made = proof.issued
        else:
            said = None if proof.nonce is None else self._nonces.time_in(proof.nonce)
            if said is None:
                raise self._wanting_nonce("the DPoP proof needs a nonce of this server", now)
            made = said
        if made - self._ahead <= now <= made + self._behind:
            return made
        if self._nonces is not None:
            raise self._wanting_nonce("the nonce of the DPoP proof is too old", now)
        raise ProofRefused("the DPoP proof is too old, or of the future (iat)")

    def _wanting_nonce(self, reason: str, now: float) -> ProofRefused:
        assert self._nonces is not None
        return ProofRefused(reason, "use_dpop_nonce", self._nonces.make(now))

    def _next_nonce(self, made: float) -> str | None:
        now = time()
        if self._nonces is None or now - made < self._nonce_seconds / 2:
            return None
        return self._nonces.make(now)

    async def _use(self, proof: Proof, principal: Principal, made: float) -> None:
        """Accept a proof this once. Raises ProofRefused, VerifierUnavailable."""
        name = hashlib.sha256(f"dpop {proof.thumbprint} {proof.name}".encode()).digest()
        if self._store is not None:
            # A process whose clock is behind would accept it for longer than this one.
            seconds = self._remembered_seconds + _PROCESSES
            is_first = await self._store.use(name.hex(), seconds)
            known = Use.FIRST if is_first else Use.AGAIN
        else:
            known = self._remember(name, principal, made)
        if known is Use.AGAIN:
            raise ProofRefused("the DPoP proof was used before (jti)")

    def _remember(self, name: bytes, principal: Principal, made: float) -> Use:
        """Use a proof in this process. Raises ProofRefused, VerifierUnavailable."""
        now, holder = time(), (principal.issuer, principal.subject)
        try:
            known = self._replays.use(holder, name, made, now)
        except TooManyHolders:
            raise VerifierUnavailable(
                "more callers than replay_entries= have sent DPoP proofs"
            ) from None
        finally:
            if self._replays.is_full:
                self._warn(now)
        if known is Use.UNKNOWN:
            # It may be new: only that it was not used before cannot be known.
            if self._nonces is not None:
                raise self._wanting_nonce("the DPoP proof needs a newer nonce", now)
            raise ProofRefused("so many DPoP proofs were used that this one must be newer (iat)")
        return known

    def _warn(self, now: float) -> None:
        """Tell the operator that there is no more room, now and then."""
        if self._warned is None or abs(now - self._warned) >= self._remembered_seconds:
            self._warned = now
            logger.warning(
                "replay_entries=%d used DPoP proofs are remembered: whoever has sent the most must "
                "make newer ones, and when each is of another caller, further ones get status 503",
                len(self._replays),
            )


def _principal(given: Any) -> Principal:
    if isinstance(given, Principal):
        return given
    raise TypeError("the verifier that DPoPVerifier goes around gave no Principal")


# -- what a user gives ------------------------------------------------------------------------


def _checked_verifier(verifier: Any) -> TokenVerifier:
    is_verifier = callable(getattr(verifier, "verify", None)) and not isinstance(verifier, type)
    if not is_verifier or isinstance(verifier, DPoPVerifier):
        raise TypeError(
            "DPoPVerifier goes around a verifier of access tokens, such as JWTVerifier(...); "
            f"not {_told(verifier)}"
        )
    good: TokenVerifier = verifier
    return good


def _told(value: Any) -> str:
    """What something is; not its contents, which may be tokens."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _checked_algorithms(algorithms: Any, supported: Container[str]) -> tuple[str, ...]:
    # An old joserfc does not know the newest name.
    known = tuple(name for name in PROOF_ALGORITHMS if name in supported)
    if algorithms is None:
        return known
    if not isinstance(algorithms, list | tuple):
        raise TypeError(f'algorithms= is a list, such as ["ES256"]; not {algorithms!r}')
    if not algorithms:
        raise ValueError('algorithms= must name at least one algorithm, such as ["ES256"]')
    for name in algorithms:
        if name not in known:
            raise ValueError(
                f"algorithms= names {name!r}, by which no proof can be signed; known are "
                f"{', '.join(known)}"
            )
    return tuple(algorithms)


def _flag(name: str, value: Any) -> bool:
    # Every text is true, also "no" and "0" of an environment, and would switch it on.
    if not isinstance(value, bool):
        raise TypeError(f"{name}= is True or False, without quotation marks; not {value!r}")
    return value


def _seconds(name: str, value: Any, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}= is a number of seconds; not {value!r}")
    if not least <= value <= _LONGEST or math.isnan(value):
        raise ValueError(f"{name}= is from {least} to {_LONGEST:.0f} seconds; not {value!r}")
    return float(value)


def _checked_keys(keys: Any, *, is_used: bool) -> tuple[bytes, ...]:
    # They are secrets, so no message repeats them.
    if not isinstance(keys, list | tuple) or not all(isinstance(key, bytes) for key in keys):
        raise TypeError("nonce_keys= is a list of bytes, as in [os.urandom(32)]")
    if any(len(key) < _KEY_BYTES for key in keys):
        raise ValueError(f"nonce_keys=: a key needs at least {_KEY_BYTES} bytes of secret")
    if keys and not is_used:
        raise ValueError("nonce_keys= are for nonces: write nonces=True too")
    return tuple(keys)
