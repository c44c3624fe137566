"""Testing over a real socket."""

import pytest
import trio

from trimcp import Server, open_tcp_client


@pytest.fixture
async def address(nursery: trio.Nursery) -> tuple[str, int]:
    """Where a server listens; it does so already when the test begins."""
    server = Server("test server")

    @server.resource("test://data")
    def test_resource() -> str:
        return "test data"

    @server.tool
    async def test_tool(value: str) -> dict[str, str]:
        return {"result": f"processed: {value}"}

    address: tuple[str, int]
    [address] = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
    return address


async def test_socket_client(address: tuple[str, int]) -> None:
    async with open_tcp_client(*address) as client:
        read = await client.read_resource("test://data")
        assert read.text == "test data"
        result = await client.call_tool("test_tool", {"value": "test"})
        assert result.structured_content == {"result": "processed: test"}
