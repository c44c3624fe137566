"""How deep a JSON text is nested, found without a loop over its characters.

Every message is checked before it is decoded. So this makes a fixed number of passes over the text
with Python's own byte functions; a loop, or a regular expression that matches each string, would
cost more than the decoding.
"""

from __future__ import annotations

import itertools
from typing import Final

__all__ = ["is_deeper"]

_NO_MARKS: Final = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")

#: Brackets as signed bytes: one level down, one level up.
_STEPS: Final = bytes.maketrans(b"[]", b"\x01\xff")
#: This many steps in the same direction are joined to one.
_STRIDES: Final = (8, 4, 2)

#: How many bytes are split at a time, so that the pieces take little memory.
_SLICE: Final = 64 * 1024


def is_deeper(data: bytes, levels: int) -> bool:
    """Whether arrays and objects are nested deeper than a number of levels.

    The answer is exact for JSON texts. Other bytes may be taken for a text that is nested deeper,
    or, if they are few, less deeply; a string without its closing quote counts as reaching to the
    end.

    Args:
        data: A JSON text.
        levels: The maximum number of levels.
    """
    # Each level takes two bytes of a JSON text.
    if len(data) <= 2 * levels or data.count(b"[") + data.count(b"{") <= levels:
        return False
    brackets = _brackets(data)
    # All innermost arrays are removed at once, which makes the text one level less deep. As long as
    # there are many of them, this is cheaper than counting.
    while len(brackets) > levels > 0:
        rest = brackets.replace(b"[]", b"")
        if len(rest) > len(brackets) // 4 * 3:
            break
        brackets, levels = rest, levels - 1
    steps = brackets.translate(_STEPS)
    for stride in _STRIDES:
        steps = steps.replace(b"\x01" * stride, bytes([stride]))
        steps = steps.replace(b"\xff" * stride, bytes([256 - stride]))
    return max(itertools.accumulate(memoryview(steps).cast("b")), default=0) > levels


def _brackets(data: bytes) -> bytes:
    """The brackets outside strings, all as square brackets."""
    if b"\\" in data:
        # Pairs of backslashes first: a quote after an even number of backslashes is not escaped.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = data.translate(_ONE_KIND, _NO_MARKS)
    # Two quotes with nothing between them change nothing, whether they are the ends of one
    # string or the end of one and the beginning of the next.
    marks = marks.replace(b'""', b"")
    return _outside(marks) if b'"' in marks else marks


def _outside(marks: bytes) -> bytes:
    """The bytes that are not inside JSON strings."""
    outside = []
    is_inside = 0
    for start in range(0, len(marks), _SLICE):
        pieces = marks[start : start + _SLICE].split(b'"')
        outside.append(b"".join(pieces[is_inside::2]))
        is_inside = (is_inside + len(pieces) - 1) % 2
    return b"".join(outside)
