"""Values in headers: encoding, decoding, comparing."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trimcp.protocol.http import InvalidValue, decode_value, encode_value, equals, text_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SAFE_INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)


@given(TEXT | st.text(" \t=?base64ab\r\n", max_size=20))
@example("=?base64?literal?=")
@example("=?base64?=")
@example(" padded ")
@example("a\tb")
def test_what_is_encoded_can_be_sent_and_read(text: str) -> None:
    value = encode_value(text)
    assert value == value.strip()
    assert all(" " <= character <= "~" for character in value)
    assert decode_value(value) == text


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20))
def test_plain_text_stays_readable(text: str) -> None:
    assume(not (text.startswith("=?base64?") and text.endswith("?=")))
    assert encode_value(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("us-west1", "us-west1"),
        ("", ""),
        ("two words", "two words"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ],
)
def test_examples_of_the_specification(text: str, value: str) -> None:
    assert encode_value(text) == value
    assert decode_value(value) == text


@pytest.mark.parametrize(
    "value", ["SGVsbG8=", "=?base64?SGVsbG8=", "SGVsbG8=?=", "=?BASE64?YQ==?=", "=?base64?="]
)
def test_half_a_sentinel_is_plain_text(value: str) -> None:
    assert decode_value(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "=?base64?SGVsbG8?=",  # no padding
        "=?base64?SGVs!!!bG8=?=",  # foreign characters
        "=?base64?SGVs bG8=?=",
        "=?base64?SGVsbG9=?=",  # stray bits
        "=?base64?_-8=?=",  # the alphabet of URLs
        "=?base64?/w==?=",  # no UTF-8
        "caf\u00e9",
        "a\x00b",
        "a\nb",
    ],
)
def test_malformed_values(value: str) -> None:
    with pytest.raises(InvalidValue):
        decode_value(value)


@given(st.text("ABab019+/=!- ", max_size=12))
def test_decoding_is_strict(payload: str) -> None:
    """Whatever is accepted is exactly what an encoder writes."""
    try:
        text = decode_value(f"=?base64?{payload}?=")
    except InvalidValue:
        return
    assert base64.b64encode(text.encode()).decode() == payload


def test_surrogates_cannot_be_sent() -> None:
    with pytest.raises(InvalidValue):
        encode_value("\ud800")


@given(TEXT | SAFE_INTEGERS | st.booleans() | st.floats(-1e9, 1e9))
def test_a_mirrored_value_equals_its_source(value: Any) -> None:
    text = text_of(value)
    assert text is not None
    assert equals(decode_value(encode_value(text)), value)


@given(
    TEXT | SAFE_INTEGERS | st.booleans(),
    TEXT | SAFE_INTEGERS | st.booleans(),
)
def test_different_values_of_a_type_differ(one: Any, other: Any) -> None:
    assume(type(one) is type(other) and one != other)
    text = text_of(one)
    assert text is not None
    assert not equals(text, other)


@pytest.mark.parametrize(
    ("text", "value"),
    [("42", 42), ("42.0", 42), ("4.2e1", 42), ("-7", -7), ("42", 42.0), ("-0", 0), ("007", 7)],
)
def test_numbers_are_compared_as_numbers(text: str, value: float) -> None:
    assert equals(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("43", 42),
        ("", 0),
        ("0x2a", 42),
        (" 42", 42),
        ("4_2", 42),
        ("\u0664\u0662", 42),
        ("nan", 42),
        ("inf", 42),
        ("1e99999", 1),
        ("9" * 65, 1),
        ("True", True),
        ("1", True),
        ("42.0", "42"),
        ("null", None),
        ("[]", []),
    ],
)
def test_unequal(text: str, value: Any) -> None:
    assert not equals(text, value)


@pytest.mark.parametrize("value", [None, [], {}, [1], {"a": 1}])
def test_not_mirrored(value: Any) -> None:
    assert text_of(value) is None


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), 10**5000, 1e300], ids=["above", "below", "huge", "float"]
)
def test_integers_that_not_everyone_reads_exactly(value: float) -> None:
    with pytest.raises(InvalidValue):
        text_of(value)
    assert not equals("9007199254740992", value)
    assert text_of(2**53 - 1) == "9007199254740991"
    assert text_of(1.0) == "1"
