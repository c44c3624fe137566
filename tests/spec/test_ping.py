"""Ping (to 2025-11-25)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import RequestTimeout, Server

from .harness import HANDSHAKE, every_handshake, facing, request, result, talking

if TYPE_CHECKING:
    from trio.testing import MockClock


@every_handshake
async def test_the_server_answers_at_once(revision: str, autojump_clock: MockClock) -> None:
    """PING-01: with nothing, also while all its tools are busy."""
    server = Server[Any]("busy")

    @server.tool
    async def hang() -> None:
        await trio.sleep_forever()

    async with talking(server, revision) as script:
        for _ in range(3):
            await script.send(script.calling("hang"))
        began = trio.current_time()
        assert (await script.do("ping"))["result"] == {}
        assert trio.current_time() == began


@every_handshake
async def test_the_client_answers_at_once(revision: str, autojump_clock: MockClock) -> None:
    """PING-01: also while it waits for an answer itself."""
    async with facing(revision) as to:
        to.start(to.client.call_tool, "hang")
        await to.line.receive()
        began = trio.current_time()
        assert (await to.line.ask(request("p", "ping")))["result"] == {}
        assert trio.current_time() == began


@every_handshake
async def test_pings_of_the_client(revision: str, autojump_clock: MockClock) -> None:
    """PING-03, PING-05: as often as its user wants, and with that user's deadline."""
    async with facing(revision) as to:
        call = to.start(to.client.ping, timeout=3)
        asked = await to.line.receive()
        assert asked["method"] == "ping"
        await to.line.send(result(asked, {}))
        await call.get()
        began = trio.current_time()
        call = to.start(to.client.ping, timeout=3)
        await call.fails(RequestTimeout)
        assert trio.current_time() - began == pytest.approx(3)
        # Nothing is asked that nobody wanted.
        assert (await to.line.receive())["method"] == "ping"
        assert (await to.line.receive())["method"] == "notifications/cancelled"
        await trio.sleep(10_000)
        to.start(to.client.list_tools)
        assert (await to.line.receive())["method"] == "tools/list"


async def test_nobody_pings_by_itself(autojump_clock: MockClock) -> None:
    """PING-04: the server neither."""
    async with talking(Server[Any]("quiet"), HANDSHAKE[-1]) as script:
        await trio.sleep(10_000)
        await script.expect_silence()
