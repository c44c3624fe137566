"""Sealed states: nobody but the server can make, change or read one."""

from __future__ import annotations

import base64
import os
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import JSON_OBJECTS, JSON_VALUES, TEXT, examples
from trimcp.runtime._seal import InvalidState, Seal, State, digest_of

KEY = b"k" * 16
OTHER = b"o" * 16
STATE = State("frame", "tools/call", "subject", None, 1.5, {"a": "d"}, {"b": ("e", {"c": 1})})


def state(**changes: Any) -> State:
    return msgspec.structs.replace(STATE, **changes)


@examples(50)
@given(
    st.builds(
        State,
        frame=TEXT,
        method=TEXT,
        subject=TEXT,
        principal=st.none() | TEXT,
        expires=st.floats(0, 1e12),
        questions=st.dictionaries(TEXT, TEXT, max_size=2),
        answers=st.dictionaries(TEXT, st.tuples(TEXT, JSON_OBJECTS), max_size=2),
    )
)
def test_round_trip(state: State) -> None:
    seal = Seal([KEY])
    text = seal.seal(state)
    assert text.isascii()
    assert seal.open(text) == state


def test_nothing_shows() -> None:
    text = Seal([KEY]).seal(state(answers={"password": ("", {"secret": "hunter2"})}))
    box = base64.urlsafe_b64decode(text)
    assert b"hunter2" not in box
    assert b"tools/call" not in box


def test_sealed_twice_looks_different() -> None:
    seal = Seal([KEY])
    assert seal.seal(STATE) != seal.seal(STATE)


def test_every_changed_bit_is_noticed() -> None:
    seal = Seal([KEY])
    box = base64.urlsafe_b64decode(seal.seal(STATE))
    for position in range(len(box)):
        for bit in range(8):
            changed = bytearray(box)
            changed[position] ^= 1 << bit
            with pytest.raises(InvalidState):
                seal.open(base64.urlsafe_b64encode(changed).decode())


def test_every_cut_is_noticed() -> None:
    seal = Seal([KEY])
    box = base64.urlsafe_b64decode(seal.seal(STATE))
    for length in range(len(box)):
        with pytest.raises(InvalidState):
            seal.open(base64.urlsafe_b64encode(box[:length]).decode())
    with pytest.raises(InvalidState):
        seal.open(base64.urlsafe_b64encode(box + b"\0").decode())


@examples(100)
@given(data=st.data())
def test_changed_text(data: st.DataObject) -> None:
    """Another text is refused, or says the same."""
    seal = Seal([KEY])
    text = seal.seal(STATE)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters()) + text[at + 1 :]
    try:
        opened = seal.open(changed)
    except InvalidState:
        return
    assert opened == STATE


@pytest.mark.parametrize("text", ["", "A", "AAAA", "====", "\ud800", "é", "A" * 1000, "a b", "\n"])
def test_no_state_at_all(text: str) -> None:
    with pytest.raises(InvalidState):
        Seal([KEY]).open(text)


def test_foreign_key() -> None:
    with pytest.raises(InvalidState):
        Seal([OTHER]).open(Seal([KEY]).seal(STATE))


def test_own_key_dies_with_the_process() -> None:
    with pytest.raises(InvalidState):
        Seal().open(Seal().seal(STATE))
    seal = Seal()
    assert seal.open(seal.seal(STATE)) == STATE


def test_rotation() -> None:
    """The first key seals, all open; shared keys need no common order."""
    old, both, new = Seal([OTHER]), Seal([KEY, OTHER]), Seal([KEY])
    assert both.open(old.seal(STATE)) == STATE
    assert new.open(both.seal(STATE)) == STATE
    with pytest.raises(InvalidState):
        old.open(both.seal(STATE))
    assert Seal([OTHER, KEY]).open(both.seal(STATE)) == STATE


@pytest.mark.parametrize("keys", [[b""], [b"k" * 15], [KEY, b"short"]])
def test_short_key(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Seal(keys)


def test_long_key_counts_whole() -> None:
    first, second = os.urandom(64), os.urandom(32)
    text = Seal([first]).seal(STATE)
    assert Seal([first]).open(text) == STATE
    for key in (first[:32], first[32:], second):
        with pytest.raises(InvalidState):
            Seal([key]).open(text)


def test_state_of_another_version() -> None:
    """What was sealed by another version of this code is refused, not misread."""
    seal = Seal([KEY])
    cipher = seal._open_ciphers()[0]
    for plain in (b"", b"\xc1", msgspec.msgpack.encode([1, 2]), msgspec.msgpack.encode({"a": 1})):
        nonce = os.urandom(12)
        box = nonce + cipher.encrypt(nonce, plain, None)
        with pytest.raises(InvalidState):
            seal.open(base64.urlsafe_b64encode(box).decode())


# -- digests ----------------------------------------------------------------------------------


@examples(100)
@given(value=JSON_OBJECTS)
def test_digest_ignores_the_order_of_members(value: dict[str, Any]) -> None:
    reordered = dict(reversed(list(value.items())))
    assert digest_of(value) == digest_of(reordered)
    assert digest_of(value, value) != digest_of(value)


@examples(100)
@given(first=JSON_VALUES, second=JSON_VALUES)
def test_digest_tells_values_apart(first: Any, second: Any) -> None:
    same = msgspec.json.encode(first, order="sorted") == msgspec.json.encode(second, order="sorted")
    assert (digest_of(first) == digest_of(second)) == same
