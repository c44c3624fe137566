"""The wall clock is set while something goes on: only what is written down for later depends on it.

Guarantees 15, 23 and 24.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from pydantic import BaseModel

from trimcp import Context, Limits, RequestError, RequestTimeout, Server
from trimcp.testing import open_memory_client

if TYPE_CHECKING:
    from trio.testing import MockClock

DAY = 86_400.0
LIMITS = Limits(parked_seconds=300)


@attrs.define
class Wall:
    """The time of day, which somebody sets."""

    offset: float = 0.0

    def time(self) -> float:
        return 1_700_000_000.0 + trio.current_time() + self.offset


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(time, "time", wall.time)
    return wall


class Name(BaseModel):
    name: str


class Asking:
    """A server whose tool asks.

    Attributes:
        ended: When its handler has ended.
    """

    def __init__(self) -> None:
        self.server: Server[None] = Server("asking", limits=LIMITS)
        self.ended: list[float] = []
        self.server.tool(self.greet)
        self.server.tool(self.work)

    async def greet(self, ctx: Context) -> str:
        try:
            return "hello " + (await ctx.elicit("Who?", Name)).name
        finally:
            self.ended.append(trio.current_time())

    async def work(self, seconds: float) -> str:
        await trio.sleep(seconds)
        return "done"


JUMPS = pytest.mark.parametrize("jump", [-DAY, DAY, 1000 * DAY])
REVISIONS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])


@JUMPS
@REVISIONS
async def test_deadlines_stay(
    revision: str, jump: float, wall: Wall, autojump_clock: MockClock
) -> None:
    async def set_the_clock() -> None:
        await trio.sleep(2)
        wall.offset = jump

    async with (
        open_memory_client(Asking().server, revision=revision) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(set_the_clock)
        assert (await client.call_tool("work", {"seconds": 5}, timeout=10)).text == "done"
        began = trio.current_time()
        with pytest.raises(RequestTimeout):
            await client.call_tool("work", {"seconds": 50}, timeout=10)
        assert trio.current_time() - began == pytest.approx(10)


@JUMPS
@REVISIONS
async def test_a_question_is_answered_or_its_state_has_expired(
    revision: str, jump: float, wall: Wall, autojump_clock: MockClock
) -> None:
    """A clock that is put forward ends only what was sealed; the handler still has its bound."""
    asking = Asking()

    async def answer(form: Any) -> dict[str, str]:
        wall.offset = jump
        return {"name": "Ada"}

    began = trio.current_time()
    async with open_memory_client(asking.server, revision=revision, elicitation=answer) as client:
        has_expired = revision == "2026-07-28" and jump > 0
        if has_expired:
            with pytest.raises(RequestError, match="has expired"):
                await client.call_tool("greet")
        else:
            assert (await client.call_tool("greet")).text == "hello Ada"
        await trio.sleep(2 * LIMITS.parked_seconds)
    [ended] = asking.ended
    assert ended - began == pytest.approx(LIMITS.parked_seconds if has_expired else 0, abs=1)


async def test_a_clock_that_is_put_back_keeps_no_handler(
    wall: Wall, autojump_clock: MockClock
) -> None:
    """Its state is valid for longer then, but nobody waits for it any more."""
    asking = Asking()

    async def answer(form: Any) -> dict[str, str]:
        wall.offset = -DAY
        await trio.sleep(2 * LIMITS.parked_seconds)
        return {"name": "Ada"}

    began = trio.current_time()
    async with open_memory_client(
        asking.server, revision="2026-07-28", elicitation=answer
    ) as client:
        with pytest.raises(RequestError, match="state lost"):
            await client.call_tool("greet")
    [ended] = asking.ended
    assert ended - began == pytest.approx(LIMITS.parked_seconds, abs=1)
