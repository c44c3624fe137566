"""Tests of a server, with trimcp and pytest-trio (`trio_mode = true`)."""

from tools_trimcp import server

from trimcp import open_client


async def test_find_books() -> None:
    async with open_client(server) as client:
        result = await client.call_tool("find_books", {"word": "Emma"})
        assert result.structured_content == [{"title": "Emma", "year": 1815}]


async def test_a_year_before_printing() -> None:
    async with open_client(server) as client:
        result = await client.call_tool("find_books", {"word": "Emma", "after": 3})
        assert result.is_error
        assert "greater than or equal to 1450" in result.text
