"""Hearing of changes over HTTP, in both eras.

Specification: 2026-07-28, Subscriptions; Streamable HTTP. 2025-11-25, Resources (Subscriptions).
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from trimcp import (
    ConnectionLost,
    HTTPStatusError,
    RequestTimeout,
    ResourceUpdated,
    ToolsListChanged,
    open_http_client,
)

from .harness import HANDSHAKE, STATELESS, Asked, said, sessions, site, stateless

ID = "io.modelcontextprotocol/subscriptionId"


async def note(asked: Asked, method: str, **params: Any) -> None:
    """A notification of the subscription that was asked for."""
    meta = {"_meta": {ID: asked.body["id"]}}
    message = {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": {**meta, **params}}
    await asked.event(message)


async def begin(asked: Asked) -> None:
    """Begin a subscription, and agree to all of it."""
    await asked.begin()
    wanted = asked.body["params"]["notifications"]
    await note(asked, "subscriptions/acknowledged", notifications=wanted)


async def test_changes_between_signs_of_life() -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "tools/call":
            await asked.result(said("meanwhile"))
            return
        await begin(asked)
        await asked.send(b":\r\n\r\n")
        await note(asked, "tools/list_changed")
        await asked.send(b": still there\n")
        await note(asked, "resources/updated", uri="a://b")
        await asked.wait_left()
        left.set()

    left = trio.Event()
    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        async with client.listen(resources=["a://b"], tools_list_changed=True) as changes:
            assert await anext(changes) == ToolsListChanged()
            assert await anext(changes) == ResourceUpdated("a://b")
            await client.call_tool("x")
        await left.wait()
    listen = at.of("subscriptions/listen")[0]
    assert listen.headers["mcp-method"] == "subscriptions/listen"
    assert listen.headers["mcp-protocol-version"] == STATELESS


async def test_the_server_ends_it() -> None:
    async def script(asked: Asked) -> None:
        await begin(asked)
        await asked.event_result({"resultType": "complete", "_meta": {ID: asked.body["id"]}})
        await asked.cut()

    async with (
        site(stateless(script)) as at,
        open_http_client(at.url) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        assert [change async for change in changes] == []


async def test_a_lost_connection_is_reported() -> None:
    """After the changes that came before; the client itself is well, and may listen again."""

    async def script(asked: Asked) -> None:
        await begin(asked)
        await note(asked, "tools/list_changed")
        await asked.cut()

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        for _ in range(2):
            async with client.listen(tools_list_changed=True) as changes:
                assert await anext(changes) == ToolsListChanged()
                with pytest.raises(ConnectionLost) as caught:
                    await anext(changes)
                assert caught.value.__cause__ is not None


async def test_refused() -> None:
    async def script(asked: Asked) -> None:
        await asked.plain(503, b"too many")

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        with pytest.raises(HTTPStatusError):
            async with client.listen(tools_list_changed=True):
                pass


async def test_never_acknowledged(autojump_clock: trio.testing.MockClock) -> None:
    async def script(asked: Asked) -> None:
        await asked.begin()
        await asked.send(b":\n\n")
        await asked.wait_left()

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        with pytest.raises(RequestTimeout):
            async with client.listen(tools_list_changed=True, timeout=3):
                pass


async def test_a_session_hears_on_its_stream_and_so_does_the_next() -> None:
    async def script(asked: Asked) -> None:
        if asked.method in ("resources/subscribe", "resources/unsubscribe", "ping"):
            await asked.result({})
        elif asked.method == "tools/call" and asked.headers["mcp-session-id"] == "s-1":
            await asked.plain(404)
        elif asked.method == "tools/call":
            await asked.result(said("done"))
        elif asked.verb == "GET":
            await asked.begin()
            while True:
                await changed.wait()
                method = "notifications/resources/updated"
                message = {"jsonrpc": "2.0", "method": method, "params": {"uri": "a://b"}}
                await asked.event(message)
                await asked.wait_left()

    changed = trio.Event()
    update = ResourceUpdated("a://b")
    async with site(sessions(script)) as at, open_http_client(at.url) as client:
        assert client.revision == HANDSHAKE
        async with client.listen(resources=["a://b"]) as changes:
            changed.set()
            assert await anext(changes) == update
            await client.call_tool("x")
            assert await anext(changes) == update
    subscribed = at.of("resources/subscribe")
    assert [asked.headers["mcp-session-id"] for asked in subscribed] == ["s-1", "s-2"]
    assert at.of("resources/unsubscribe")[0].headers["mcp-session-id"] == "s-2"
