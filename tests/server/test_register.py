"""Lists in pages, while items come and go."""

from __future__ import annotations

import base64
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp import RequestError
from trimcp.server._register import Register, Room
from trimcp.types import Resource

NAMES = "abcd"

#: What happens before a page is turned: a name is registered if it is free, or else removed.
changes = st.lists(st.sampled_from(NAMES), max_size=3)
many = st.lists(st.sampled_from(NAMES), min_size=4, max_size=12)


@attrs.frozen(eq=False)
class Item:
    """One registration of a name."""

    description: Resource


def make(size: int = 100_000) -> Register[Item]:
    return Register("thing", "after thing:", lambda: None, Room(size, 50))


def toggle(register: Register[Item], name: str) -> None:
    if register.find(name) is None:
        register.add(name, Item(Resource(uri="test://x", name=name)))
    else:
        register.remove(name)


@given(many, st.lists(changes, min_size=12, max_size=12), st.integers(1, 3), st.booleans())
def test_pages_neither_skip_nor_repeat(
    before: list[str], between: list[list[str]], size: int, bounded: bool
) -> None:
    """What is registered all the time is shown once, in order; nothing else more than once."""
    room = Room(100_000, 50).needed("x", Resource(uri="test://x", name="a"))
    register = make(size * (room + 1)) if bounded else make()
    for name in before:
        toggle(register, name)
    staying = list(register)
    seen: list[Item] = []
    cursor: str | None = None
    for changed in between:
        for name in changed:
            toggle(register, name)
        staying = [each for each in staying if each in list(register)]
        page, following = register.page(cursor, None if bounded else size)
        assert register.page(cursor, None if bounded else size) == (page, following)
        assert len(page) <= size
        seen += page
        if following is None:
            break
        cursor = following
        staying = [each for each in staying if each in list(register)]
    else:
        # It grows as fast as it is read.
        staying = [each for each in staying if each in seen]
    assert len(seen) == len(set(seen))
    assert [each for each in seen if each in staying] == staying
    order = {item: number for number, item in enumerate(register)}
    numbers = [order[each] for each in seen if each in order]
    assert numbers == sorted(numbers)


@given(st.integers(0, 200), st.characters(), st.integers(0, 40))
def test_what_is_no_cursor_is_refused(number: int, character: str, position: int) -> None:
    """A character that no cursor has makes a cursor invalid, wherever it stands."""
    cursor = base64.urlsafe_b64encode(f"after thing:{number}".encode()).decode()
    register = make()
    assert register.page(cursor, 1) == ((), None)
    if not (character.isascii() and (character.isalnum() or character in "-_=")):
        spoilt = cursor[:position] + character + cursor[position:]
        with pytest.raises(RequestError):
            register.page(spoilt, 1)


@pytest.mark.parametrize("text", ["after other:1", "after thing:", "after thing:x", "1", ""])
def test_cursors_of_something_else_are_refused(text: str) -> None:
    cursor: Any = base64.urlsafe_b64encode(text.encode()).decode()
    with pytest.raises(RequestError):
        make().page(cursor, 1)
