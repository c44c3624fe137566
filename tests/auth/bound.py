"""A world whose tokens are bound to a key: what comes with a proof is looked at strictly.

Specification: RFC 9449, sections 4.3, 5, 7, 8 and 9.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

import attrs
from joserfc.jwk import import_key
from joserfc.jws import JWSRegistry

from .world import Answer, Request, World, open_world_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

#: The two servers, each with nonces of its own.
ISSUER: Final = "issuer"
SERVER: Final = "server"

#: How far a clock may be off, in seconds.
_WINDOW: Final = 60


def plain(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@attrs.frozen
class Proof:
    """A proof that was accepted, but for its nonce.

    Attributes:
        head: What says with which key it was made.
        claims: What it says of its request.
        thumbprint: The key, as tokens name it.
    """

    head: dict[str, Any]
    claims: dict[str, Any]
    thumbprint: str

    @classmethod
    def of(cls, request: Request, url: str, token: str | None) -> Proof:
        """The proof of a request, which must be a good one."""
        text = request.headers["dpop"]
        content, _, signature = text.rpartition(".")
        head, claims = (json.loads(plain(part)) for part in content.split("."))
        assert set(head) == {"typ", "alg", "jwk"}
        assert head["typ"] == "dpop+jwt"
        assert not {"d", "p", "q"} & set(head["jwk"])
        key = import_key(head["jwk"])
        model = JWSRegistry.algorithms[head["alg"]]
        model.check_key(key)
        assert model.verify(content.encode(), plain(signature), key)
        assert claims["htm"] == request.method
        assert claims["htu"] == url
        assert abs(claims["iat"] - time.time()) < _WINDOW
        digest = None if token is None else hashlib.sha256(token.encode()).digest()
        expected = None if digest is None else base64.urlsafe_b64encode(digest).decode()
        assert claims.get("ath") == (expected and expected.rstrip("="))
        return cls(head, claims, key.thumbprint())


@attrs.define
class BoundWorld(World):
    """Both servers.

    Attributes:
        algorithms: What the authorization server says of proofs; None if it does not know them.
        schemes: With which schemes the MCP server takes tokens.
        proofs: Those that came with requests for tokens, and to the MCP server.
        nonces: The newest nonce of each, if it demands one.
        told: What each answers to the next requests: a new nonce in an answer, one for which it
            refuses the proof (`!` before it), or nothing.
        mistaken: How many proofs came with a token that is bound to another key.
    """

    algorithms: list[str] | None = attrs.field(factory=lambda: ["ES256"])
    schemes: tuple[str, ...] = ("DPoP",)
    proofs: dict[str, list[Proof]] = attrs.field(factory=lambda: {ISSUER: [], SERVER: []})
    nonces: dict[str, str] = attrs.field(factory=dict)
    told: dict[str, list[str]] = attrs.field(factory=lambda: {ISSUER: [], SERVER: []})
    mistaken: int = 0
    _bound: dict[str, str] = attrs.field(factory=dict)
    _seen: set[str] = attrs.field(factory=set)
    _more: dict[str, str] = attrs.field(factory=dict)

    def _metadata(self, request: Request) -> Answer:
        answer = super()._metadata(request)
        if self.algorithms is not None:
            answer.document["dpop_signing_alg_values_supported"] = self.algorithms
        return answer

    def thumbprint_of(self, token: str) -> str:
        """The key that a token is bound to."""
        return self._bound[token]

    # -- proofs -------------------------------------------------------------------------------

    def _proof(self, who: str, request: Request, token: str | None = None) -> Proof:
        proof = Proof.of(request, self.origin + request.path, token)
        assert proof.claims["jti"] not in self._seen
        self._seen.add(proof.claims["jti"])
        self.proofs[who].append(proof)
        return proof

    def _judged(self, who: str, proof: Proof | None, answer: Callable[[], Answer]) -> Answer:
        """An answer, unless the nonce is another; with a new one, as it was told."""
        script = self.told[who]
        told = script.pop(0) if script else ""
        known = self.nonces.get(who)
        if told:
            self.nonces[who] = told.lstrip("!")
        is_old = proof is not None and proof.claims.get("nonce") != known
        if is_old or (proof is not None and told.startswith("!")):
            given = self._wants_nonce(who)
        else:
            given = answer()
        if told or given.status in (400, 401):
            newest = self.nonces.get(who)
            given.headers |= {} if newest is None else {"dpop-nonce": newest}
        return given

    def _wants_nonce(self, who: str) -> Answer:
        if who == ISSUER:
            return Answer(400, {"error": "use_dpop_nonce"})
        said = f'DPoP error="use_dpop_nonce", resource_metadata="{self._hint}"'
        return Answer(401, headers={"www-authenticate": said})

    # -- the authorization server -------------------------------------------------------------

    def _token(self, request: Request) -> Answer:
        if "dpop" not in request.headers or self.algorithms is None:
            return super()._token(request)
        proof = self._proof(ISSUER, request)
        assert proof.head["alg"] in self.algorithms
        return self._judged(ISSUER, proof, lambda: self._bound_tokens(request, proof))

    def _bound_tokens(self, request: Request, proof: Proof) -> Answer:
        used = request.form.get("refresh_token", "")
        if self._bound.get(used, proof.thumbprint) != proof.thumbprint:
            return Answer(400, {"error": "invalid_grant"})
        answer = super()._token(request)
        if answer.status == 200:
            answer.document["token_type"] = "DPoP"
            for name in ("access_token", "refresh_token"):
                self._bound[answer.document.get(name, "")] = proof.thumbprint
        return answer

    # -- the MCP server -----------------------------------------------------------------------

    def _unauthorized(self, request: Request) -> Answer | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        proof = self._proof(SERVER, request, token) if scheme == "DPoP" else None
        is_bound = self._bound.get(token) == (proof and proof.thumbprint)
        self.mistaken += not is_bound
        is_right = scheme in self.schemes and token in self.good and is_bound
        answer = self._judged(SERVER, proof, lambda: Answer() if is_right else self._refusal)
        self._more = answer.headers
        return None if answer.status == 200 else answer

    @property
    def _refusal(self) -> Answer:
        said = (f'{each} resource_metadata="{self._hint}"' for each in self.schemes)
        return Answer(401, headers={"www-authenticate": self.challenge or ", ".join(said)})

    def _mcp(self, request: Request) -> Answer:
        answer = super()._mcp(request)
        answer.headers |= self._more
        return answer


def open_bound(**changes: Any) -> AbstractAsyncContextManager[BoundWorld]:
    """Both servers, on the loopback."""
    return open_world_of(BoundWorld, **changes)
