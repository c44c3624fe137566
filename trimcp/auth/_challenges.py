"""What a server that refuses a request demands of access tokens.

Specification: RFC 6750, section 3; RFC 9449, section 7.1; RFC 9728, section 5.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from trimcp.protocol.challenges import parse_challenges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trimcp.protocol.challenges import Challenge

__all__ = ["Demand", "demand_of", "parse_scopes"]

#: The schemes of access tokens.
_TOKEN_SCHEMES: Final = frozenset({"bearer", "dpop"})

#: Scopes that one text may name.
_MOST_SCOPES: Final = 200

#: One scope (RFC 6749, section 3.3).
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


@attrs.frozen
class Demand:
    """What all challenges of an answer say about access tokens.

    Attributes:
        schemes: Those with which a token would be taken: `bearer`, `dpop`; none if there is no
            challenge for a token.
        params: What the challenges say, by the names in lower case.
    """

    schemes: frozenset[str] = frozenset()
    params: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def algorithms(self) -> tuple[str, ...] | None:
        """The algorithms of proofs that are taken; None if the challenges do not say."""
        said = self.params.get("algs")
        return None if said is None else tuple(said.split())

    @property
    def scopes(self) -> tuple[str, ...] | None:
        """The scopes that are needed; None if the challenges do not say."""
        said = self.params.get("scope")
        return None if said is None else parse_scopes(said) or None


def parse_scopes(text: str) -> tuple[str, ...]:
    """The scopes of a text, each once; none if it is malformed or names too many."""
    scopes = tuple(dict.fromkeys(text.split(" ", _MOST_SCOPES + 1)))
    named = tuple(each for each in scopes if each)
    if len(named) > _MOST_SCOPES or not all(map(_SCOPE.fullmatch, named)):
        return ()
    return named


def demand_of(lines: Iterable[str], sent: str | None = None) -> Demand:
    """What the challenges of an answer demand.

    The first of each scheme counts, and where they differ, the one for the scheme that was used.

    Args:
        lines: The values of `WWW-Authenticate`.
        sent: The header `Authorization` of the request.
    """
    used = (sent or "").partition(" ")[0].lower()
    first: dict[str, Challenge] = {}
    for each in parse_challenges(lines):
        if each.scheme in _TOKEN_SCHEMES:
            first.setdefault(each.scheme, each)
    params: dict[str, str] = {}
    for each in sorted(reversed(first.values()), key=lambda each: each.scheme == used):
        params |= each.params
    return Demand(frozenset(first), params)
