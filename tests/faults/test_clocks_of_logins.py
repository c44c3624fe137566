"""The wall clock is set while a client is logged in: it stays so, and asks no more than needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.auth.bound import open_bound
from tests.auth.world import open_world
from trimcp import open_client

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400.0

#: Steps by which the clock is set, one after the other.
JUMPS = pytest.mark.parametrize(
    "jumps", [[DAY], [-DAY], [DAY, -DAY], [-DAY, DAY], [1000 * DAY, -1000 * DAY]]
)
LOGINS = pytest.mark.parametrize("open_both", [open_world, open_bound], ids=["bearer", "dpop"])


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock by so many seconds, for the client and the servers."""
    real, by = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + sum(by))
    return by.append


@JUMPS
@LOGINS
@pytest.mark.parametrize("are_good", [True, False], ids=["good", "expired"])
async def test_a_login_stays(
    open_both: Any, are_good: bool, jumps: list[float], set_clock: Callable[[float], None]
) -> None:
    """What the server says of tokens counts, whatever the clock says; the user is asked once.

    Of a token that only seems to have expired the client gets another.
    """
    async with open_both() as world, open_client(world.url, auth=world.oauth()) as client:
        await client.call_tool("x")
        for jump in jumps:
            set_clock(jump)
            if not are_good:
                world.revoke()
            for _ in range(3):
                assert (await client.call_tool("x")).text == "done"
        assert len(world.logins) == 1
        seeming = sum(jump > 0 for jump in jumps)
        assert len(world.of("/token")) - 1 <= (seeming if are_good else 2 * len(jumps))
        if are_good:
            assert len(world.calls) == 1 + 3 * len(jumps)
