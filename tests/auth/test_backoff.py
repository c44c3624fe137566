"""What has failed is not tried again at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import AuthorizationFailed
from trimcp.auth._backoff import Backoff
from trimcp.auth._grants import GrantRefused

if TYPE_CHECKING:
    from trio.testing import MockClock


def outcome(backoff: Backoff, key: object, error: Exception | None) -> str:
    """What came of a try that would end with this error."""
    try:
        with backoff.trying(key):
            if error is not None:
                raise error
            return "done"
    except (AuthorizationFailed, GrantRefused) as caught:
        return "tried" if caught is error else str(caught)


async def test_pauses_grow_up_to_a_minute(mock_clock: MockClock) -> None:
    backoff = Backoff()
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        assert outcome(backoff, "a", GrantRefused("no")) == "tried"
        mock_clock.jump(pause - 0.5)
        words = outcome(backoff, "a", None)
        assert words == f"no (it is not tried again for {pause} seconds)"
        mock_clock.jump(0.5)
    assert outcome(backoff, "a", None) == "done"
    assert outcome(backoff, "a", AuthorizationFailed("x")) == "tried"
    mock_clock.jump(1)
    assert outcome(backoff, "a", None) == "done"


async def test_only_the_same_is_held_up(mock_clock: MockClock) -> None:
    backoff = Backoff()
    for number in range(1000):
        assert outcome(backoff, number, GrantRefused("no")) == "tried"
    assert len(backoff._failures) == 32
    assert outcome(backoff, 999, None) != "done"
    assert outcome(backoff, 0, None) == "done"


async def test_any_error_is_a_failure_and_a_cancellation_is_none() -> None:
    backoff = Backoff()
    with pytest.raises(KeyError), backoff.trying("b"):
        raise KeyError("x")
    words = "no access token: KeyError: 'x' (it is not tried again for 1 seconds)"
    assert outcome(backoff, "b", None) == words
    with trio.CancelScope() as scope:
        scope.cancel()
        with backoff.trying("a"):
            await trio.lowlevel.checkpoint()
    assert outcome(backoff, "a", None) == "done"


def test_another_run_has_another_clock() -> None:
    backoff = Backoff()

    async def use(error: Exception | None) -> str:
        return outcome(backoff, "a", error)

    class Clock(trio.abc.Clock):
        def __init__(self, now: float) -> None:
            self.now = now

        def start_clock(self) -> None:
            pass

        def current_time(self) -> float:
            return self.now

        def deadline_to_sleep_time(self, deadline: float) -> float:
            return 0

    assert trio.run(use, GrantRefused("no"), clock=Clock(1e6)) == "tried"
    assert trio.run(use, None, clock=Clock(1e3)) == "done"
