"""Finding the line of a dead program's standard error that says why it died."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["telling_line"]

#: The beginning of lines with which Python draws an exception group.
_MARGIN: Final = re.compile(r"^[ ]*(?:[|+][ -]*)+(?=\S|$)")

#: The beginning of a line that names an error: `ValueError: …`, `Error: …`, `TypeError [CODE]: …`,
#: `pkg.CustomError`, `prog: error: …`, `panic: …`, `Exception in thread "main" …`.
_NAMES_ERROR: Final = re.compile(
    r"^(?:Uncaught |Unhandled )?"
    r"(?:[\w.]*(?:Error|Exception|Exit|Interrupt|Failure)\b(?:$|[:(\s\[])"
    r"|(?:[\w./-]+: )?(?:fatal |internal )?(?:error|panic|fatal)(?:$|[:\[]))",
)

#: Lines that only add to others: where it happened, the program's version, advice.
_GOES_WITH: Final = re.compile(
    r"^(?:Node\.js v|Bun v|Deno |note: |goroutine \d|exit status|During handling of|The above "
    r"exception was|Traceback|RuntimeWarning: Enable tracemalloc|npm error A complete log|"
    r"npm error +/|error Command failed)"
    r"|Group: .* \(\d+ sub-exceptions?\)$"
)

#: The frames of a stack, and the members of an error object, are indented.
_INDENTED: Final = re.compile(r"^\s")

_WORD: Final = re.compile(r"[^\W_]{2}")


def telling_line(lines: Sequence[str]) -> str:
    """The line that explains most: the last one that names an error, else the last with words."""
    bare = [_MARGIN.sub("", line[:_LONGEST]).rstrip() for line in lines]
    said = [line for line in bare if _WORD.search(line) and not _GOES_WITH.search(line)]
    outer = [line for line in said if not _INDENTED.match(line)]
    named = [line for line in outer if _NAMES_ERROR.match(line)]
    for candidates in (named, outer, said, bare):
        if candidates:
            return candidates[-1].strip()
    return ""


_LONGEST: Final = 1_000
