"""How a request presents an access token, for verifiers that ask for more than the token.

Specification: RFC 9449, section 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from ._principal import TokenVerifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._principal import Principal

__all__ = ["Presentation", "ProofRefused", "ProofVerifier", "Proven"]


@attrs.frozen
class Presentation:
    """An access token, and what the request that brings it must fit.

    Attributes:
        token: The token.
        scheme: Its scheme in lower case: `bearer` or `dpop`.
        method: The method of the HTTP request; `GET` for the handshake of a WebSocket.
        url: The URL of the request, without its query, as clients see it.
        proofs: The values of its `DPoP` headers.
    """

    token: str = attrs.field(repr=False)
    scheme: str
    method: str
    url: str
    proofs: Sequence[str] = attrs.field(repr=False)


@attrs.frozen
class Proven:
    """Whose token it is.

    Attributes:
        principal: Who it was issued for.
        nonce: What the client's next proofs should contain; None if nothing has changed.
    """

    principal: Principal
    nonce: str | None = None


class ProofRefused(Exception):
    """A proof is missing or not accepted; the answer is 401.

    Args:
        reason: One sentence for the client, which repeats nothing of the proof.
        error: `invalid_dpop_proof` or `use_dpop_nonce`.
        nonce: What the client's next proof must contain.
    """

    def __init__(
        self, reason: str, error: str = "invalid_dpop_proof", nonce: str | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error
        self.nonce = nonce


class ProofVerifier(TokenVerifier, Protocol):
    """Judges access tokens together with proofs of the keys that they are bound to.

    Attributes:
        proof_algorithms: The algorithms by which a proof may be signed.
        accepts_bearer: Whether tokens that are bound to no key are accepted as well.
        unshared: See `Authorization`.
    """

    @property
    def proof_algorithms(self) -> tuple[str, ...]: ...
    @property
    def accepts_bearer(self) -> bool: ...
    @property
    def unshared(self) -> str | None: ...

    async def verify_presented(self, presented: Presentation) -> Proven:
        """Judge one token as a request presents it.

        Raises:
            ProofRefused: There is no good proof.
            InvalidToken: See `TokenVerifier.verify`.
            VerifierUnavailable: See `TokenVerifier.verify`.
        """
