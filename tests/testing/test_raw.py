"""Speaking to a server message by message."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import Context, Limits, NotServing, Server
from trimcp.protocol import LATEST, LATEST_HANDSHAKE
from trimcp.testing import open_raw_peer, stateless
from trimcp.types import ClientCapabilities, ElicitationCapability

if TYPE_CHECKING:
    from trio.testing import MockClock


def make_server() -> Server[None]:
    server: Server[None] = Server("raw", version="1")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @server.tool
    async def chatter(n: int, ctx: Context) -> str:
        for i in range(n):
            await ctx.warning(i)
        return "done"

    @server.tool
    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            stopped.append("wait")

    stopped.clear()
    return server


stopped: list[str] = []


async def test_stateless(autojump_clock: MockClock) -> None:
    async with open_raw_peer(make_server()) as peer:
        params = stateless({"name": "add", "arguments": {"a": 2, "b": 3}})
        answer = await peer.request("tools/call", params)
        assert answer["id"] == 1
        assert answer["result"]["structuredContent"] == 5
        answer = await peer.request("server/discover", stateless(), id="mine")
        assert answer["id"] == "mine"
        assert answer["result"]["supportedVersions"] == [LATEST.date]


def test_meta() -> None:
    capable = ClientCapabilities(elicitation=ElicitationCapability(form={}))
    params = stateless(
        {"a": 1, "_meta": {"progressToken": "t"}}, capabilities=capable, log_level="error"
    )
    prefix = "io.modelcontextprotocol/"
    assert params["a"] == 1
    assert params["_meta"]["progressToken"] == "t"
    assert params["_meta"][prefix + "protocolVersion"] == LATEST.date
    assert params["_meta"][prefix + "clientCapabilities"] == {"elicitation": {"form": {}}}
    assert params["_meta"][prefix + "logLevel"] == "error"
    assert params["_meta"][prefix + "clientInfo"] == {"name": "raw peer", "version": "1"}


async def test_an_unknown_revision(autojump_clock: MockClock) -> None:
    async with open_raw_peer(make_server()) as peer:
        answer = await peer.request("tools/list", stateless(revision="1999-01-01"))
        assert answer["error"]["code"] == -32022
        assert answer["error"]["data"]["requested"] == "1999-01-01"


async def test_handshake(autojump_clock: MockClock) -> None:
    async with open_raw_peer(make_server()) as peer:
        answer = await peer.initialize()
        assert answer["result"]["protocolVersion"] == LATEST_HANDSHAKE.date
        assert (await peer.request("ping"))["result"] == {}
        again = await peer.initialize("2025-03-26")
        assert again["result"]["protocolVersion"] == "2025-03-26"
    for asked, agreed in (
        ("2024-11-05", "2024-11-05"),
        ("1999-01-01", LATEST_HANDSHAKE.date),
        (LATEST.date, LATEST_HANDSHAKE.date),
    ):
        async with open_raw_peer(make_server()) as peer:
            answer = await peer.initialize(asked)
            assert answer["result"]["protocolVersion"] == agreed


async def test_what_else_arrives_is_kept_in_order(autojump_clock: MockClock) -> None:
    async with open_raw_peer(make_server()) as peer:
        await peer.initialize()
        call = {"name": "chatter", "arguments": {"n": 3}}
        answer = await peer.request("tools/call", call)
        assert answer["result"]["content"][0]["text"] == "done"
        kept = [await peer.receive() for _ in range(3)]
        assert [each["params"]["data"] for each in kept] == [0, 1, 2]
        await peer.send({"jsonrpc": "2.0", "id": "next", "method": "ping"})
        assert await peer.receive() == {"jsonrpc": "2.0", "id": "next", "result": {}}


async def test_bytes_and_batches(autojump_clock: MockClock) -> None:
    async with open_raw_peer(make_server()) as peer:
        await peer.send(b"{oops")
        assert (await peer.receive())["error"]["code"] == -32700
        await peer.initialize("2025-03-26")
        ping = {"jsonrpc": "2.0", "method": "ping"}
        await peer.send([{**ping, "id": 8}, {**ping, "id": 9}])
        assert sorted(each["id"] for each in await peer.receive()) == [8, 9]


async def test_a_notification(autojump_clock: MockClock) -> None:
    async with open_raw_peer(make_server()) as peer:
        call = stateless({"name": "wait", "arguments": {}})
        await peer.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
        await trio.testing.wait_all_tasks_blocked()
        await peer.notify("notifications/cancelled", {"requestId": 1})
        await trio.testing.wait_all_tasks_blocked()
        assert stopped == ["wait"]


async def test_closing_ends_what_is_in_flight(autojump_clock: MockClock) -> None:
    async with open_raw_peer(make_server()) as peer:
        call = stateless({"name": "wait", "arguments": {}})
        await peer.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
        await trio.testing.wait_all_tasks_blocked()
        assert stopped == []
        await peer.close()
        with pytest.raises(trio.EndOfChannel):
            await peer.receive()
        assert stopped == ["wait"]
        with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)):
            await peer.send({})


async def test_the_server_ends(autojump_clock: MockClock) -> None:
    server = make_server()
    async with server.application(signals=False), open_raw_peer(server) as peer:
        await peer.request("server/discover", stateless())
        server.shutdown(grace=0)
        with pytest.raises(trio.EndOfChannel):
            await peer.request("ping")


async def test_one_task_at_a_time(autojump_clock: MockClock) -> None:
    async with open_raw_peer(make_server()) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await peer.receive()
        nursery.cancel_scope.cancel()


async def test_an_answer_over_our_limit(autojump_clock: MockClock) -> None:
    async with open_raw_peer(make_server(), limits=Limits(message_bytes=100)) as peer:
        with pytest.raises(ValueError, match="longer than the limit"):
            await peer.request("tools/list", stateless())


async def test_several_on_one_server(autojump_clock: MockClock) -> None:
    server = make_server()
    async with open_raw_peer(server):
        with pytest.raises(NotServing):
            async with open_raw_peer(server):
                pass
    async with (
        server.application(signals=False),
        open_raw_peer(server) as one,
        open_raw_peer(server) as other,
    ):
        for peer in (one, other):
            assert "result" in await peer.request("server/discover", stateless())


async def test_an_error_of_the_test_comes_out_bare(autojump_clock: MockClock) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with open_raw_peer(make_server()):
            raise LookupError("mine")


def test_pytest_is_not_needed() -> None:
    program = "import sys, trimcp.testing; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
