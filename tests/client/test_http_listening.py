"""Hearing of changes over HTTP, in both eras.

Specification: 2026-07-28, Subscriptions; Streamable HTTP. 2025-11-25, Resources (Subscriptions).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import (
    ConnectionLost,
    HTTPStatusError,
    Limits,
    RequestTimeout,
    ResourceUpdated,
    ToolsListChanged,
    open_http_client,
)

from .harness import HANDSHAKE, STATELESS, Asked, said, sessions, site, stateless

if TYPE_CHECKING:
    from trio.testing import MockClock

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


async def test_a_broken_subscription_is_asked_for_again(autojump_clock: MockClock) -> None:
    """And since nobody tells what happened meanwhile, all that was asked about has changed."""

    async def script(asked: Asked) -> None:
        await begin(asked)
        if len(at.of("subscriptions/listen")) == 1:
            await note(asked, "tools/list_changed")
            await asked.cut()
        else:
            await asked.wait_left()

    async with (
        site(stateless(script)) as at,
        open_http_client(at.url) as client,
        client.listen(resources=["a://b"], tools_list_changed=True) as changes,
    ):
        assert await anext(changes) == ToolsListChanged()
        assert {await anext(changes), await anext(changes)} == {
            ToolsListChanged(),
            ResourceUpdated("a://b"),
        }
    first, second = at.of("subscriptions/listen")
    assert first.body["id"] != second.body["id"]
    assert first.body["params"]["notifications"] == second.body["params"]["notifications"]


@pytest.mark.parametrize("how", ["cut", "refused", "gone", "silent"])
async def test_a_server_that_stays_away_is_reported(how: str, autojump_clock: MockClock) -> None:
    """The listener is told after what came before; the client itself is well."""

    async def script(asked: Asked) -> None:
        if asked.method == "tools/call":
            await asked.result(said("here again"))
        elif not away.is_set() and asked.method == "subscriptions/listen":
            await begin(asked)
            await note(asked, "tools/list_changed")
            away.set()
            if how == "silent":
                await asked.wait_left()
            else:
                await asked.cut()
        elif how == "cut":
            await asked.cut()
        elif how == "refused":
            await asked.plain(503)
        elif how == "gone":
            await asked.plain(404)
        else:
            await asked.wait_left()

    async def serve(asked: Asked) -> None:
        if away.is_set() and how == "silent" and asked.method == "server/discover":
            await asked.wait_left()
        else:
            await stateless(script)(asked)

    away = trio.Event()
    async with site(serve) as at, open_http_client(at.url) as client:
        async with client.listen(tools_list_changed=True) as changes:
            assert await anext(changes) == ToolsListChanged()
            with pytest.raises((ConnectionLost, HTTPStatusError)):
                await anext(changes)
        await client.call_tool("x")
    tries = len(at.of("subscriptions/listen"))
    assert tries == (2 if how == "gone" else 6), "once more, or five times in a row"


async def test_a_silent_server_that_lives_is_left_in_peace(autojump_clock: MockClock) -> None:
    """A subscription may be silent for ever: the server is asked whether it is there."""

    async def script(asked: Asked) -> None:
        await begin(asked)
        await trio.sleep(150)
        await note(asked, "tools/list_changed")
        await asked.wait_left()

    async with (
        site(stateless(script)) as at,
        open_http_client(at.url) as client,
        client.listen(tools_list_changed=True) as changes,
        client.listen(tools_list_changed=True) as others,
    ):
        assert await anext(changes) == ToolsListChanged()
        assert await anext(others) == ToolsListChanged()
    assert len(at.of("subscriptions/listen")) == 2
    assert 5 <= len(at.of("server/discover")) - 1 <= 8, "one question for all who listen"


async def test_signs_of_life_on_the_stream_are_enough(autojump_clock: MockClock) -> None:
    async def script(asked: Asked) -> None:
        await begin(asked)
        for _ in range(10):
            await trio.sleep(15)
            await asked.send(b":\n\n")
        await note(asked, "tools/list_changed")
        await asked.wait_left()

    async with (
        site(stateless(script)) as at,
        open_http_client(at.url) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        assert await anext(changes) == ToolsListChanged()
    assert at.methods == ["server/discover", "subscriptions/listen"]


@pytest.mark.parametrize("limit", [math.inf, 1000.0])
async def test_how_long_silence_may_last(limit: float, autojump_clock: MockClock) -> None:
    async def script(asked: Asked) -> None:
        await begin(asked)
        await trio.sleep(500)
        await note(asked, "tools/list_changed")
        await asked.wait_left()

    limits = Limits(heartbeat_seconds=limit)
    async with (
        site(stateless(script)) as at,
        open_http_client(at.url, limits=limits) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        assert await anext(changes) == ToolsListChanged()
    assert at.methods == ["server/discover", "subscriptions/listen"]


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
