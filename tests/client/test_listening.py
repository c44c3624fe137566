"""Subscriptions of a handshake session, which the listeners of one client share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trimcp import RequestTimeout, ResourceUpdated, Server
from trimcp.testing import Drop, Faults, faulty, open_memory_client

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_who_waits_for_a_subscription_that_fails_makes_its_own(
    autojump_clock: MockClock,
) -> None:
    """The first listener's request is lost; the second one must not count on it."""
    server: Server[None] = Server("s")
    server.resource("test://data")(lambda: "data")
    heard: list[object] = []

    async def listen_later() -> None:
        await trio.sleep(5)
        async with client.listen(resources=["test://data"], timeout=60) as changes:
            async for change in changes:
                heard.append(change)

    async with (
        server.application(signals=False),
        # After `initialize` and `notifications/initialized` comes `resources/subscribe`.
        open_memory_client(
            faulty(server, Faults(sending=[Drop(3)])), revision="2025-11-25"
        ) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(listen_later)
        with pytest.raises(RequestTimeout):
            async with client.listen(resources=["test://data"], timeout=10):
                raise AssertionError
        await trio.sleep(1)
        await server.notify_resource_updated("test://data")
        await trio.sleep(1)
        assert heard == [ResourceUpdated("test://data")]
        nursery.cancel_scope.cancel()
