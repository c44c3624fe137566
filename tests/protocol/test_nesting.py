"""How deep a JSON text is nested."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.counting import assert_linear, bytes_taken, calls_of
from trimcp.protocol._messages import decode
from trimcp.protocol._nesting import is_deeper

#: Strings that could be taken for structure.
TEXTS = st.text('[]{}"\\,ab\n\u00e9', max_size=6)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(VALUES, st.integers(1, 8), st.booleans())
def test_it_is_as_deep_as_it_is(value: Any, levels: int, is_ascii: bool) -> None:
    data = json.dumps(value, ensure_ascii=is_ascii).encode()
    assert is_deeper(data, levels) == (depth_of(value) > levels)


@given(st.lists(VALUES, min_size=1, max_size=3), st.integers(1, 12))
def test_also_where_much_of_it_is_flat(values: list[Any], levels: int) -> None:
    value = [*values, [[]] * 50, {"a": [1, {"b": "]"}] * 20}]
    data = json.dumps(value).encode()
    assert is_deeper(data, levels) == (depth_of(value) > levels)


@given(st.text('[]{}"\\,1', max_size=60).map(str.encode), st.integers(1, 5))
def test_what_is_no_json_is_no_problem(data: bytes, levels: int) -> None:
    is_deeper(data, levels)


#: Pieces that could be dear, each as the inside of an array.
PIECES = {
    "brackets in one string": (b'"', b"[", b'"'),
    "brackets in many strings": (b"", b'"[",', b"1"),
    "strings in arrays": (b"", b'["["],', b"1"),
    "strings in strings": (b'"', b'[\\"', b'"'),
    "escapes": (b'"', b"\\\\", b'"'),
    "escaped quotes": (b'"', b'\\"', b'",' + b"[]," * 300 + b"1"),
    "small arrays": (b"", b"[],", b"1"),
    "small objects": (b"", b'{"a": {"b": ""}},', b"1"),
    "chains": (b"", b"[" * 5 + b"]" * 5 + b",", b"1"),
    "long chains": (b"", b"[" * 190 + b"]" * 190 + b",", b"1"),
    "combs": (b"", b"[[]," * 90 + b"1" + b"]" * 90 + b",", b"1"),
    "a string that never ends": (b'"', b"[", b""),
    "brackets that never close": (b"", b"[", b""),
    "brackets that never opened": (b"", b"]", b""),
}


@pytest.mark.parametrize("name", PIECES)
def test_it_takes_a_fixed_number_of_passes(name: str) -> None:
    before, piece, after = PIECES[name]
    sizes = [10_000, 100_000, 1_000_000]
    calls, peaks = [], []
    for size in sizes:
        data = b'{"a": [' + before + piece * (size // len(piece)) + after + b"]}"
        calls.append(calls_of(partial(is_deeper, data, 200)))
        with bytes_taken() as taken:
            is_deeper(data, 200)
        peaks.append(taken.peak)
    # Beside one for each slice, calls of the interpreter's byte functions do not grow.
    assert calls[2] <= calls[0] + 120, calls
    assert_linear(sizes, peaks, slack=100_000)
    assert peaks[2] < 8 * sizes[2], peaks


@pytest.mark.parametrize("open_", ["[", '{"a":', '{"[": '])
def test_the_limit_is_exact(open_: str) -> None:
    close = {"[": "]", "{": "}"}[open_[0]]
    flat = "[[], 1], " * 50
    for levels, is_too_deep in ((199, False), (200, True)):
        data = f"[{flat}{open_ * levels}1{close * levels}]".encode()
        assert json.loads(data)
        assert is_deeper(data, 200) == is_too_deep


def test_a_message_is_refused_before_it_is_decoded() -> None:
    deep = b'{"jsonrpc": "2.0", "id": 1, "method": "x", "params": ' + b"[" * 1_000_000
    message: Any = decode(deep, nesting=200)
    assert message.code == -32700
    assert "nested deeper than 200 levels" in message.message
