"""Testing in memory: no socket, no process, no waiting."""

import pytest
import trio

from trimcp import Context, RequestTimeout, ResourceUpdated, Server, open_client


@pytest.fixture
def server() -> Server:
    server = Server("test server")

    @server.resource("test://data")
    def test_resource() -> str:
        return "test data"

    @server.tool
    async def test_tool(value: str) -> str:
        return f"processed: {value}"

    @server.tool
    async def long_work(ctx: Context) -> int:
        for minute in range(60):
            await trio.sleep(60)
            await ctx.report_progress(minute + 1, 60)
        return 60

    return server


async def test_resource_and_tool(server: Server) -> None:
    async with open_client(server) as client:
        read = await client.read_resource("test://data")
        assert read.text == "test data"
        result = await client.call_tool("test_tool", {"value": "test"})
        assert result.text == "processed: test"


async def test_an_hour_in_no_time(server: Server, autojump_clock: trio.abc.Clock) -> None:
    async with open_client(server) as client:
        began = trio.current_time()
        assert (await client.call_tool("long_work", timeout=7200)).text == "60"
        assert trio.current_time() - began == 3600

        with pytest.raises(RequestTimeout):
            await client.call_tool("long_work", timeout=600)
        assert trio.current_time() - began == 4200


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_hearing_of_changes(server: Server, revision: str) -> None:
    async with (
        open_client(server, revision=revision) as client,
        client.listen(resources=["test://data"]) as changes,
    ):
        await server.notify_resource_updated("test://data")
        with trio.fail_after(5):
            assert await anext(changes) == ResourceUpdated("test://data")
