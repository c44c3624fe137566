"""How deep a JSON text is nested, found without reading it piece by piece.

Every message is looked at before it is decoded, so this takes a fixed number of passes of the
interpreter's own byte functions over what is left of the text; a loop, or a regular expression
with a match for each string, would cost more than the decoding does.
"""

from __future__ import annotations

import itertools
from typing import Final

__all__ = ["is_deeper"]

_NO_MARKS: Final = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")

#: Brackets as signed bytes: one level down, one level up.
_STEPS: Final = bytes.maketrans(b"[]", b"\x01\xff")
#: So many steps in the same direction are taken as one.
_STRIDES: Final = (8, 4, 2)

#: Bytes that are split at once, so that the pieces take little memory.
_SLICE: Final = 64 * 1024


def is_deeper(data: bytes, levels: int) -> bool:
    """Whether arrays and objects nest deeper than that.

    Exact for JSON texts. What is none may be taken for one that is nested more deeply; strings
    that never end reach to the end.

    Args:
        data: A JSON text.
        levels: The most levels.
    """
    if data.count(b"[") + data.count(b"{") <= levels:
        return False
    brackets = _brackets(data)
    # All arrays that hold no other are removed at once, which makes the text one level less
    # deep. As long as many are, this is cheaper than to count.
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
    """The brackets outside of strings, all made square."""
    if b"\\" in data:
        # Backslashes first: the quote after an even number of them is a real one.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = data.translate(_ONE_KIND, _NO_MARKS)
    # Two quotes with nothing between them change nothing, whether they are the ends of one
    # string or the end of one and the beginning of the next.
    marks = marks.replace(b'""', b"")
    return _outside(marks) if b'"' in marks else marks


def _outside(marks: bytes) -> bytes:
    """The bytes that are not inside of JSON strings."""
    outside = []
    is_inside = 0
    for start in range(0, len(marks), _SLICE):
        pieces = marks[start : start + _SLICE].split(b'"')
        outside.append(b"".join(pieces[is_inside::2]))
        is_inside = (is_inside + len(pieces) - 1) % 2
    return b"".join(outside)
