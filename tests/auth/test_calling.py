"""A protected server in memory: called by somebody, without tokens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from trimcp import Context, Forbidden, InvalidToken, RequestError, Server, open_client
from trimcp.testing import Transcript, called_by, recorded

from .guarded import principal, server

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trimcp.client import Client


def desk() -> Server[None]:
    guarded = server()

    @guarded.tool
    async def who(ctx: Context) -> str:
        assert ctx.principal is not None
        return f"{ctx.principal.subject} {ctx.http_headers}"

    @guarded.tool(scopes={"write"})
    async def write() -> str:
        return "written"

    return guarded


async def said(client: Client, tool: str) -> str:
    result = await client.call_tool(tool)
    return str(result.content[0])


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_client_calls_as_somebody(revision: str, autojump_clock: MockClock) -> None:
    transcript = Transcript()
    stand_in = recorded(called_by(desk(), principal("alice", "mcp")), transcript)
    async with open_client(stand_in, revision=revision) as client:
        assert "alice {}" in await said(client, "who")
        with pytest.raises(RequestError, match="lacks scopes") as caught:
            await client.call_tool("write")
        assert caught.value.code == -31003
        assert [each.name for each in await client.list_tools()] == ["who"]
    assert len(transcript)
    async with open_client(called_by(desk(), principal("bob", "mcp", "write"))) as client:
        assert "written" in await said(client, "write")


async def test_whom_the_door_would_refuse() -> None:
    with pytest.raises(Forbidden, match="needed are mcp"):
        called_by(desk(), principal("alice"))
    with pytest.raises(InvalidToken, match="expired"):
        called_by(desk(), principal("alice", "mcp", seconds=time.time() * -1))
    with pytest.raises(TypeError, match=r"Principal\('alice'\), not None"):
        called_by(desk(), None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="auth="):
        called_by(Server("open"), principal("alice", "mcp"))
