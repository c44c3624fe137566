"""When tokens are bound to a key, and what a request with such a token carries (DPoP).

Specification: RFC 9449; RFC 9728, section 2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import attrs
import trio

from trimcp.errors import AuthorizationFailed, OptionError
from trimcp.transports import Credentials, origin_of

if TYPE_CHECKING:
    from types import ModuleType

    from ._challenges import Demand
    from ._finding import Found
    from ._grants import Tokens
    from ._proofs import ProofKey

__all__ = [
    "Binding",
    "DPoPUse",
    "Nonces",
    "Proving",
    "binding_for",
    "check_dpop",
    "credentials_of",
    "fits",
    "new_key",
    "stored_key",
]

#: Whether tokens are bound to a key: where the MCP server takes such tokens and its authorization
#: server gives them; everywhere; nowhere.
DPoPUse: TypeAlias = Literal["auto", "required", "never"]

#: Algorithms of proofs, in the order of preference: short and quick ones first.
_ALGORITHMS: Final = ("ES256", "Ed25519", "EdDSA", "ES384", "ES512", "PS256", "RS256")

#: A nonce (RFC 9449, section 8.1), as long as one may be here.
_NONCE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,1024}")

#: Servers whose nonces are remembered.
_MOST_SERVERS: Final = 8


def check_dpop(use: object) -> None:
    """Raises OptionError for what is no `DPoPUse`."""
    if use not in get_args(DPoPUse):
        named = ", ".join(map(repr, get_args(DPoPUse)))
        raise OptionError(f"dpop= is one of {named}, not {use!r:.100}")


# -- nonces -------------------------------------------------------------------------------------


class Nonces:
    """The newest nonce of each of some servers, which goes into the proofs for it.

    Those of MCP servers and of authorization servers are kept apart, even at the same origin
    (RFC 9449, section 9).
    """

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str | None, int | None], str] = {}

    def take(self, url: str, nonce: str | None) -> None:
        """Remember the nonce of an answer; one that cannot be sent back is ignored.

        Args:
            url: Where the answer came from.
            nonce: The value of its header `DPoP-Nonce`; None if it has none.
        """
        if nonce is None or not _NONCE.fullmatch(nonce):
            return
        origin = origin_of(url)
        if origin not in self._newest and len(self._newest) >= _MOST_SERVERS:
            del self._newest[next(iter(self._newest))]
        self._newest[origin] = nonce

    def of(self, url: str) -> str | None:
        """The nonce for a proof that goes to a URL, if its server has named one."""
        return self._newest.get(origin_of(url))


# -- keys ---------------------------------------------------------------------------------------


@attrs.frozen
class Proving:
    """How a request for tokens proves a key.

    Attributes:
        key: The key; None if no proof is sent.
        is_demanded: Whether tokens that are not bound to it are refused.
    """

    key: ProofKey | None = None
    is_demanded: bool = False


async def new_key(binding: Binding) -> Proving:
    """A new key for tokens that are bound in this way."""
    if binding.algorithm is None:
        return Proving()
    # One of RSA takes long, and so does loading joserfc.
    key = await trio.to_thread.run_sync(_generated, binding.algorithm)
    return Proving(key, binding.is_demanded)


def _generated(algorithm: str) -> ProofKey:
    key: ProofKey = _proofs().ProofKey.generate(algorithm)
    return key


def stored_key(tokens: Tokens) -> Proving:
    """The key that tokens are bound to; those that they are refreshed to must be so, too.

    Raises:
        ValueError: It cannot be used.
    """
    if tokens.key is None:
        return Proving()
    return Proving(_proofs().ProofKey.stored(tokens.key), is_demanded=True)


def _proofs() -> ModuleType:
    """The part that needs joserfc, which is slow to load."""
    try:
        from . import _proofs
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("joserfc"):
            raise
        raise ModuleNotFoundError(
            "tokens that are bound to a key (DPoP) need joserfc: pip install 'trimcp[auth]'",
            name=error.name,
        ) from None
    return _proofs


def credentials_of(tokens: Tokens, nonces: Nonces) -> Credentials:
    """What requests to the MCP server are authorized with.

    Args:
        tokens: The tokens.
        nonces: Those of the MCP server.

    Raises:
        ValueError: The key of the tokens cannot be used.
    """
    key = stored_key(tokens).key
    if key is None:
        return Credentials(tokens.header)

    def prove(method: str, url: str) -> str:
        return key.proof(method, url, nonce=nonces.of(url), token=tokens.access_token)

    return Credentials(tokens.header, prove)


# -- when ---------------------------------------------------------------------------------------


@attrs.frozen
class Binding:
    """How the next tokens are to be bound.

    Attributes:
        algorithm: That of the key; None if they are not.
        is_demanded: Whether those that are not are refused.
    """

    algorithm: str | None = None
    is_demanded: bool = False


def binding_for(use: DPoPUse, demand: Demand, found: Found) -> Binding:
    """How tokens are to be bound.

    What counts is what the MCP server takes. If only its authorization server knows DPoP, a proof
    would bring tokens that the MCP server may not know what to do with.

    Args:
        use: What the user wants.
        demand: What the MCP server has answered.
        found: Its metadata, and those of its authorization server.

    Raises:
        AuthorizationFailed: It cannot be done as it is demanded.
    """
    resource, server = found.resource, found.server
    only_bound = resource.requires_dpop or demand.schemes == {"dpop"}
    if use == "never":
        if only_bound:
            raise AuthorizationFailed(
                "the server takes only tokens that are bound to a key (DPoP), and dpop='never'"
            )
        return Binding()
    is_demanded = only_bound or use == "required"
    is_offered = "dpop" in demand.schemes or resource.dpop_algorithms is not None
    if not is_demanded and (not is_offered or server.dpop_algorithms is None):
        return Binding()
    named = (demand.algorithms, resource.dpop_algorithms, server.dpop_algorithms)
    for algorithm in _ALGORITHMS:
        if all(each is None or algorithm in each for each in named):
            return Binding(algorithm, is_demanded)
    if is_demanded:
        raise AuthorizationFailed(
            f"the server and the authorization server {server.issuer!r} have no algorithm in "
            f"common for proofs (DPoP) among {', '.join(_ALGORITHMS)}"
        )
    return Binding()


def fits(tokens: Tokens, binding: Binding) -> bool:
    """Whether a refresh would bring tokens that are bound as they are to be."""
    if tokens.key is None:
        return not binding.is_demanded
    return binding.algorithm is not None
