"""Which name was meant: a suggestion for one that is not known."""

from __future__ import annotations

import difflib
import itertools
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean"]

#: The longest name that is compared, in characters: comparing takes the product of both lengths,
#: and names come from peers.
_LONGEST: Final = 40

#: How many known names are looked at, and how many of these are compared.
_MOST_KNOWN: Final = 500
_MOST_COMPARED: Final = 30

#: How similar a name must be: of 1, the share of characters that both have in the same order.
_SIMILAR: Final = 0.7


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known, such as `; did you mean 'add'?`.

    Its cost is bounded, however many and long the names are. So not all names of a large server are
    looked at.

    Args:
        name: The name that is not known.
        known: The names that may be told.

    Returns:
        "" if no known name is similar.
    """
    if len(name) > _LONGEST:
        return ""
    reach = len(name) // 3 + 1
    near = (
        each
        for each in itertools.islice(known, _MOST_KNOWN)
        if abs(len(each) - len(name)) <= reach and len(each) <= _LONGEST
    )
    compared = {each.lower(): each for each in itertools.islice(near, _MOST_COMPARED)}
    found = difflib.get_close_matches(name.lower(), compared, n=1, cutoff=_SIMILAR)
    return f"; did you mean {compared[found[0]]!r}?" if found else ""
