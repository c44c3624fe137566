"""What a server that refuses a request wants to see: the `WWW-Authenticate` header, read.

Specification: RFC 9110, section 11.6.1; RFC 6750, section 3; RFC 9449, section 7.1; RFC 9728,
section 5.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Challenge", "Demand", "demand_of", "parse_challenges", "parse_scopes"]

#: Characters of all lines that are looked at.
_MOST_CHARACTERS: Final = 16 * 1024

#: The schemes of access tokens.
_TOKEN_SCHEMES: Final = frozenset({"bearer", "dpop"})

#: Scopes that one text may name.
_MOST_SCOPES: Final = 200

# Every quantifier is possessive, so each character is looked at a bounded number of times.
_BETWEEN: Final = re.compile(r"[ \t,]*+")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]++")
_VALUE: Final = re.compile(
    r"""[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([!#$%&'*+.^_`|~0-9A-Za-z-]++))[ \t]*+(?=,|\Z)"""
)
_TOKEN68: Final = re.compile(r"[ \t]++[A-Za-z0-9._~+/-]++=*+[ \t]*+(?=,|\Z)")
_ESCAPED: Final = re.compile(r"\\(.)")

#: One scope (RFC 6749, section 3.3).
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


@attrs.frozen
class Challenge:
    """One way in which a server would accept a request.

    Attributes:
        scheme: Such as `bearer`, in lower case.
        params: By their names in lower case.
    """

    scheme: str
    params: Mapping[str, str] = attrs.field(factory=dict)


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


def parse_challenges(lines: Iterable[str]) -> list[Challenge]:
    """All challenges of a header, in order.

    Of a malformed line those before the flaw are kept. A challenge that says something twice is
    left out, since it can be read in two ways.

    Args:
        lines: The header's values.
    """
    found: list[Challenge] = []
    left = _MOST_CHARACTERS
    for line in lines:
        if len(line) > left:
            break
        left -= len(line)
        found += _parse_line(line)
    return found


def _parse_line(line: str) -> list[Challenge]:
    found: list[Challenge] = []
    params: dict[str, str] = {}
    is_ambiguous: set[int] = set()
    place = _end(_BETWEEN, line, 0)
    while (name := _TOKEN.match(line, place)) is not None:
        place = name.end()
        value = _VALUE.match(line, place) if found else None
        if value is not None:
            key = name[0].lower()
            if key in params:
                is_ambiguous.add(len(found) - 1)
            params[key] = _ESCAPED.sub(r"\1", value[1]) if value[2] is None else value[2]
            place = value.end()
        else:
            params = {}
            found.append(Challenge(name[0].lower(), params))
            place = _end(_TOKEN68, line, place)
            if place < len(line) and line[place] not in " \t,":
                # Neither a name nor the end of one: nothing that follows can be relied on.
                found.pop()
                break
        place = _end(_BETWEEN, line, place)
    return [each for index, each in enumerate(found) if index not in is_ambiguous]


def _end(pattern: re.Pattern[str], line: str, place: int) -> int:
    """Where a match ends that begins here; here if there is none."""
    match = pattern.match(line, place)
    return place if match is None else match.end()


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
