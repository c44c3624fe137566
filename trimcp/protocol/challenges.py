"""What a server that refuses a request wants to see: the `WWW-Authenticate` header, read.

Not in the face of this package, since only refusals need it.

Specification: RFC 9110, section 11.6.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Challenge", "parse_challenges", "reason_in"]

#: Characters of all lines that are looked at.
_MOST_CHARACTERS: Final = 16 * 1024

# Every quantifier is possessive, so each character is looked at a bounded number of times.
_BETWEEN: Final = re.compile(r"[ \t,]*+")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]++")
_VALUE: Final = re.compile(
    r"""[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([!#$%&'*+.^_`|~0-9A-Za-z-]++))[ \t]*+(?=,|\Z)"""
)
_TOKEN68: Final = re.compile(r"[ \t]++[A-Za-z0-9._~+/-]++=*+[ \t]*+(?=,|\Z)")
_ESCAPED: Final = re.compile(r"\\(.)")


@attrs.frozen
class Challenge:
    """One way in which a server would accept a request.

    Attributes:
        scheme: Such as `bearer`, in lower case.
        params: By their names in lower case.
    """

    scheme: str
    params: Mapping[str, str] = attrs.field(factory=dict)


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


def reason_in(lines: Iterable[str]) -> str:
    """Why a server has refused a request, as its challenges say; empty if they do not.

    Args:
        lines: The header's values.

    Specification: RFC 6750, section 3.
    """
    for each in parse_challenges(lines):
        said = (each.params.get(name, "") for name in ("error", "error_description"))
        if reason := ": ".join(filter(None, said)):
            return reason
    return ""
