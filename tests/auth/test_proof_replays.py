"""The proofs that were used: none is accepted twice, however many there are."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from trimcp.auth._replays import Replays, TooManyHolders, Use


def test_a_proof_is_used_once() -> None:
    replays = Replays(10, 60)
    assert replays.use("a", b"1", 100, 100) is Use.FIRST
    assert replays.use("a", b"1", 100, 101) is Use.AGAIN
    assert replays.use("b", b"1", 100, 101) is Use.AGAIN
    assert replays.use("a", b"2", 100, 101) is Use.FIRST


def test_it_is_forgotten_when_it_could_not_be_used_any_more() -> None:
    replays = Replays(10, 60)
    replays.use("a", b"1", 100, 100)
    assert replays.use("a", b"1", 100, 160) is Use.AGAIN
    assert replays.use("a", b"2", 161, 161) is Use.FIRST
    assert len(replays) == 1


def test_who_uses_most_makes_room() -> None:
    replays = Replays(4, 60)
    replays.use("light", b"light", 50, 100)
    for number in range(6):
        assert replays.use("heavy", b"%d" % number, 100 + number, 110) is Use.FIRST
    assert len(replays) == 4
    # What had to be forgotten is not accepted again, and nothing that is not newer.
    for number in range(6):
        assert replays.use("heavy", b"%d" % number, 100 + number, 110) is not Use.FIRST
    assert replays.use("heavy", b"new", 102, 110) is Use.UNKNOWN
    assert replays.use("heavy", b"new", 106, 110) is Use.FIRST
    assert replays.use("light", b"light", 50, 110) is Use.AGAIN
    assert replays.use("light", b"other", 50, 110) is Use.FIRST


def test_who_fills_it_at_one_moment_waits_for_the_next() -> None:
    replays = Replays(3, 60)
    for number in range(3):
        replays.use("heavy", b"%d" % number, 100, 100)
    assert replays.use("heavy", b"3", 100, 100) is Use.UNKNOWN
    assert replays.use("heavy", b"4", 101, 101) is Use.FIRST
    assert replays.use("other", b"5", 100, 101) is Use.FIRST


def test_too_many_who_use_one_each() -> None:
    replays = Replays(3, 60)
    for number in range(3):
        replays.use(number, b"%d" % number, 100, 100)
    with pytest.raises(TooManyHolders):
        replays.use("new", b"new", 100, 100)
    assert replays.use("new", b"new", 161, 161) is Use.FIRST


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 9),
        st.integers(-30, 5),
        st.sampled_from([0, 0, 0, 1, 20, 35]),
    ),
    max_size=60,
)


@hypothesis.given(STEPS, st.integers(1, 6))
def test_any_use(steps: list[tuple[str, int, int, int]], most: int) -> None:
    """Nothing is accepted twice while it could be; the bound holds; others lose nothing."""
    # A proof may be 30 seconds old, or 5 of the future.
    replays = Replays(most, 30 + 5)
    accepted: dict[tuple[str, int], float] = {}
    now = 1000.0
    for holder, number, age, passing in steps:
        now += passing
        # The time of a proof belongs to it: the same name is the same proof.
        made = accepted.get((holder, number), now + age)
        if not made - 5 <= now <= made + 30:
            continue
        alone = all(each == holder for each, _ in accepted)
        try:
            use = replays.use(holder, f"{holder}{number}".encode(), made, now)
        except TooManyHolders:
            assert not alone or most == 1
            continue
        if (holder, number) in accepted:
            assert use is not Use.FIRST
        elif use is Use.FIRST:
            accepted[holder, number] = made
        assert len(replays) <= most
        check(replays)


def check(replays: Any) -> None:
    """The counts agree with what they count."""
    sizes = {holder: len(known.names) for holder, known in replays._holders.items()}
    counted = {holder: size for size, them in replays._by_size.items() for holder in them}
    assert sizes == counted
    assert replays._largest == max(sizes.values(), default=0)
    assert len(replays) == sum(sizes.values())
