"""Our own transports pass the checks that people have for theirs."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from trimcp.testing import (
    CHECKS,
    Chop,
    Delay,
    Faults,
    FaultyStream,
    Transcript,
    check_message_channel,
    end_of,
    open_faulty,
    open_memory_channels,
    open_recorded,
)

from .pairs import PAIRS, over

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp.limits import Limits

    from .pairs import Ends, OpenPair


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("transport", PAIRS)
async def test_our_transports(transport: str, check: str) -> None:
    await check_message_channel(PAIRS[transport], only=[check])


@pytest.mark.parametrize("transport", PAIRS)
async def test_under_the_autojump_clock(
    transport: str, autojump_clock: trio.testing.MockClock
) -> None:
    await check_message_channel(PAIRS[transport])


@asynccontextmanager
async def recorded(limits: Limits) -> AsyncIterator[Ends]:
    async with (
        open_memory_channels(limits) as (first, second),
        open_recorded(first, Transcript(), outbox_bytes=limits.outbox_bytes) as third,
    ):
        yield end_of(third), end_of(second)


@asynccontextmanager
async def late(limits: Limits) -> AsyncIterator[Ends]:
    faults = Faults(sending=[Delay(0.001)], receiving=[Delay(5, n=3)])
    async with (
        open_memory_channels(limits) as (first, second),
        open_faulty(first, faults, outbox_bytes=limits.outbox_bytes) as third,
    ):
        yield end_of(third), end_of(second)


@asynccontextmanager
async def chopped(limits: Limits) -> AsyncIterator[Ends]:
    one, other = trio.testing.lockstep_stream_pair()
    faults = Faults(sending=[Chop(1000)], receiving=[Chop(700)])
    yield over(FaultyStream(one, faults), other, limits)


@pytest.mark.parametrize("open_pair", [recorded, late, chopped])
async def test_our_wrappers(open_pair: OpenPair, autojump_clock: trio.testing.MockClock) -> None:
    """What delays, cuts and notes messages is a good channel still."""
    await check_message_channel(open_pair)


async def test_a_name_that_is_no_check() -> None:
    with pytest.raises(ValueError, match="no such checks: colour; there are order, "):
        await check_message_channel(PAIRS["memory"], only=["colour"])
