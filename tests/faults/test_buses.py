"""A broken `Bus`: who notifies is told, an application without one ends, and nothing else stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import LocalBus, ResourceUpdated, Server, open_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimcp import Change

URI = "test://data"


class BrokenBus(LocalBus):
    """Breaks when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = False
        self.hangs = False
        self.breaks = trio.Event()

    async def publish(self, change: Change) -> None:
        """See `Bus`."""
        if self.hangs:
            await trio.sleep_forever()
        if self.refuses:
            raise ConnectionResetError("the broker is gone")
        await super().publish(change)

    async def run(
        self, deliver: Callable[[Change], None], *, task_status: trio.TaskStatus[None]
    ) -> None:
        """See `Bus`."""
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: self._run(deliver, task_status))
            task_status.started()
            await self.breaks.wait()
            raise ConnectionResetError("the broker is gone")

    async def _run(
        self, deliver: Callable[[Change], None], task_status: trio.TaskStatus[None]
    ) -> None:
        await super().run(deliver, task_status=task_status)


def a_server(bus: BrokenBus) -> Server[None]:
    server: Server[None] = Server("s", bus=bus)

    @server.resource(URI)
    async def data() -> str:
        return "data"

    @server.tool
    async def touch() -> str:
        await server.notify_resource_updated(URI)
        return "told"

    @server.tool
    async def hang() -> None:
        await trio.sleep_forever()

    return server


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_bus_that_refuses_fails_the_call_that_notifies(
    revision: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Only that call: subscribers stay, and hear of the next change that gets through."""
    bus = BrokenBus()
    async with (
        open_client(a_server(bus), revision=revision) as client,
        client.listen(resources=[URI]) as changes,
    ):
        bus.refuses = True
        result = await client.call_tool("touch")
        assert result.is_error
        assert "broker" not in result.text
        bus.refuses = False
        assert (await client.call_tool("touch")).text == "told"
        with trio.fail_after(5):
            assert await anext(changes) == ResourceUpdated(URI)


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_bus_that_hangs_holds_up_only_who_notifies(
    revision: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Its call can be cancelled, and others are answered meanwhile."""
    bus = BrokenBus()
    async with open_client(a_server(bus), revision=revision) as client:
        bus.hangs = True
        with trio.move_on_after(10) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.call_tool, "touch")
                with trio.fail_after(1):
                    assert (await client.read_resource(URI)).text == "data"
        assert scope.cancelled_caught
        bus.hangs = False
        assert (await client.call_tool("touch")).text == "told"


async def test_an_application_ends_with_its_bus(autojump_clock: trio.testing.MockClock) -> None:
    """It would not tell anybody of changes any more; its error is what the caller gets."""
    bus = BrokenBus()
    server = a_server(bus)
    ours, theirs = trio.testing.memory_stream_pair()

    async def break_it() -> None:
        await trio.sleep(1)
        bus.breaks.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(break_it)
        with pytest.RaisesGroup(ConnectionResetError, flatten_subgroups=True, allow_unwrapped=True):
            await server.serve_stream(theirs)
    await trio.aclose_forcefully(ours)
    assert server.statistics().connections == 0
