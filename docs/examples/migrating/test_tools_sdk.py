"""Tests of a server, with the official SDK and the pytest plugin of anyio."""

import pytest
from mcp import Client
from tools_sdk import mcp

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_find_books() -> None:
    async with Client(mcp) as client:
        result = await client.call_tool("find_books", {"word": "Emma"})
        assert result.structured_content == {"result": [{"title": "Emma", "year": 1815}]}


async def test_a_year_before_printing() -> None:
    async with Client(mcp) as client:
        result = await client.call_tool("find_books", {"word": "Emma", "after": 3})
        assert result.is_error
        assert "greater than or equal to 1450" in result.content[0].text
