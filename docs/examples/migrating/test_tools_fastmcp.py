"""Tests of a server, with FastMCP and pytest-asyncio (`asyncio_mode = auto`)."""

import pytest
from fastmcp import Client
from fastmcp.exceptions import ToolError
from tools_fastmcp import mcp


async def test_find_books() -> None:
    async with Client(mcp) as client:
        result = await client.call_tool("find_books", {"word": "Emma"})
        assert result.structured_content == {"result": [{"title": "Emma", "year": 1815}]}


async def test_a_year_before_printing() -> None:
    async with Client(mcp) as client:
        with pytest.raises(ToolError, match="greater than or equal to 1450"):
            await client.call_tool("find_books", {"word": "Emma", "after": 3})
