"""`Limits.buffered_bytes`: the bytes that all peers together can make a server hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
import trio.testing
from pydantic import BaseModel

from tests.http.harness import Web, request, served
from trimcp import Context, Limits, Server
from trimcp.errors import LIMIT_EXCEEDED
from trimcp.testing import open_raw_peer, stateless
from trimcp.transports import Budget, Outbox, Oversized
from trimcp.transports._lines import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

KIB: Final = 1024
LIMITS: Final = Limits(message_bytes=64 * KIB, buffered_bytes=128 * KIB, outbox_bytes=8 * KIB)
LONG: Final = "x" * 40 * KIB


def held(server: Server[Any]) -> int:
    return server.statistics().buffered_bytes


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not condition():
            await trio.testing.wait_all_tasks_blocked(0.001)


class Sure(BaseModel):
    sure: bool


class Holding:
    """A server whose calls last as long as the test wants."""

    def __init__(self) -> None:
        self.open = trio.Event()
        self.running = 0
        self.server: Server[None] = Server("s", version="1", limits=LIMITS)
        self.server.tool(self.hold)
        self.server.tool(self.ask)
        self.server.tool(self.talk)
        self.server.resource("thing://{name}")(self.thing)

    async def hold(self, text: str) -> str:
        self.running += 1
        await self.open.wait()
        return "done"

    async def ask(self, text: str, ctx: Context) -> str:
        await ctx.elicit("Sure?", Sure)
        return "done"

    async def talk(self, length: int) -> str:
        return "y" * length

    def thing(self, name: str) -> str:
        return name


def calling(tool: str, **arguments: Any) -> dict[str, Any]:
    return stateless({"name": tool, "arguments": arguments})


def message(identity: int | str, tool: str, **arguments: Any) -> bytes:
    wire = {"jsonrpc": "2.0", "id": identity, "method": "tools/call"}
    return json.dumps({**wire, "params": calling(tool, **arguments)}).encode()


# -- the parts --------------------------------------------------------------------------------


def test_a_budget_is_exact() -> None:
    budget = Budget(10)
    assert budget.take(4)
    assert budget.take(6)
    assert not budget.take(1)
    assert budget.used == 10
    budget.give(1)
    assert budget.room == 1
    budget.hold(5)
    assert budget.used == 14
    assert not budget.take(0)


def test_the_largest_message_has_room_in_any_case() -> None:
    assert Budget.of(Limits(message_bytes=100, buffered_bytes=10)).room == 100
    assert Budget.of(Limits()).room == 256 * 1024 * KIB


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_parts_of_lines_are_counted(size: int) -> None:
    budget = Budget(5_000)
    splitter = LineSplitter(10_000, budget)
    for number in range(1, 1 + 4_000 // size):
        assert splitter.feed(b"x" * size) == []
        assert budget.used == number * size
    [line] = splitter.feed(b"\n")
    assert line == b"x" * (4_000 // size * size)
    assert budget.used == 0


def test_a_line_for_which_there_is_no_room_is_skipped_and_named() -> None:
    budget = Budget(5_000)
    first, second = LineSplitter(10_000, budget), LineSplitter(10_000, budget)
    first.feed(b"a" * 3_000)
    second.feed(b"b" * 2_000)
    second.feed(b"b" * 2_000)
    assert budget.used == 3_000
    second.feed(b"b")
    [line] = second.feed(b"\nnext")
    assert line == Oversized(4_001, has_no_room=True)
    assert isinstance(line, Oversized)
    assert line.head == b"b" * 256
    assert budget.used == 3_004
    first.close()
    second.close()
    assert budget.used == 0


def test_lines_that_come_whole_are_not_counted() -> None:
    budget = Budget(10)
    assert LineSplitter(100, budget).feed(b"x" * 100 + b"\n") == [b"x" * 100]


async def test_outboxes_share_it_and_each_takes_one_message() -> None:
    budget = Budget(100)
    first, second = Outbox(1000, budget), Outbox(1000, budget)
    first.send_nowait(b"x" * 90)
    second.send_nowait(b"x" * 90)
    assert budget.used == 180
    for outbox in (first, second):
        with pytest.raises(trio.WouldBlock):
            outbox.send_nowait(b"x")
    first.release(await first.take())
    assert budget.used == 90
    second.abandon()
    assert budget.used == 0
    second.release([b"x" * 90])
    assert budget.used == 0


# -- a server's peers -------------------------------------------------------------------------


async def test_requests_in_flight_are_counted_until_they_end() -> None:
    holding = Holding()
    server = holding.server
    async with server.application(), open_raw_peer(server) as client:
        for identity in ("a", "b", "c"):
            await client.send(message(identity, "hold", text=LONG))
        await until(lambda: holding.running == 3)
        assert 120 * KIB < held(server) < 128 * KIB
        refused = await client.request("tools/call", calling("hold", text=LONG))
        assert refused["error"]["code"] == LIMIT_EXCEEDED
        # What is short goes on.
        assert "result" in await client.request("tools/list", stateless())
        await client.notify("notifications/cancelled", {"requestId": "a"})
        await until(lambda: held(server) < 90 * KIB)
        holding.open.set()
        for _ in ("b", "c"):
            assert "result" in await client.receive()
        await until(lambda: held(server) == 0)


async def test_handlers_that_wait_for_answers_hold_what_they_were_called_with() -> None:
    server = Holding().server
    async with server.application(), open_raw_peer(server) as client:
        params = stateless(
            {"name": "ask", "arguments": {"text": LONG}},
        )
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {}}
        for _ in range(3):
            answer = await client.request("tools/call", params)
            assert answer["result"]["resultType"] == "input_required"
        assert held(server) > 120 * KIB
        refused = await client.request("tools/call", params)
        assert refused["error"]["code"] == LIMIT_EXCEEDED
        state = answer["result"]["requestState"]
        [key] = answer["result"]["inputRequests"]
        assert state
        assert key
    assert held(server) == 0


async def test_what_clients_declared_is_counted_as_long_as_they_are_connected() -> None:
    server = Holding().server
    experimental = {"x": {"y": LONG}}
    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"experimental": experimental},
        "clientInfo": {"name": "c", "version": "1"},
    }
    async with server.application():
        async with trio.open_nursery() as nursery:

            async def stay(codes: list[int]) -> None:
                async with open_raw_peer(server) as client:
                    answer = await client.request("initialize", hello)
                    codes.append(answer.get("error", {}).get("code", 0))
                    await trio.sleep_forever()

            codes: list[int] = []
            for number in range(4):
                nursery.start_soon(stay, codes)
                await until(lambda number=number: len(codes) == number + 1)  # type: ignore[misc]
            assert codes == [0, 0, 0, LIMIT_EXCEEDED]
            assert held(server) > 120 * KIB
            nursery.cancel_scope.cancel()
        assert held(server) == 0


async def test_subscribed_uris_are_counted() -> None:
    server = Holding().server
    async with server.application(), open_raw_peer(server) as client:
        await client.initialize()
        used, uris = held(server), [f"thing://{number}{'x' * 8000}" for number in range(16)]
        for uri in uris[:15]:
            assert "result" in await client.request("resources/subscribe", {"uri": uri})
        assert "result" in await client.request("resources/subscribe", {"uri": uri})
        assert held(server) == used + sum(map(len, uris[:15]))
        refused = await client.request("resources/subscribe", {"uri": uris[15]})
        assert refused["error"]["code"] == LIMIT_EXCEEDED
        await client.request("resources/unsubscribe", {"uri": uri})
        await client.request("resources/unsubscribe", {"uri": uri})
        assert "result" in await client.request("resources/subscribe", {"uri": uris[15]})
    assert held(server) == 0


async def test_answers_that_nobody_reads_become_errors() -> None:
    holding = Holding()
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(holding.server.serve_stream, theirs)
        for identity in range(20):
            await ours.send_all(message(identity, "talk", length=30 * KIB) + b"\n")
        await until(lambda: holding.server.statistics().unsent >= 15)
        # One in the outbox and some behind it, then there is no room, and errors are short.
        assert held(holding.server) < 140 * KIB
        nursery.cancel_scope.cancel()
    assert held(holding.server) == 0


# -- HTTP -------------------------------------------------------------------------------------


async def test_bodies_are_counted_while_they_come_and_refused_beyond() -> None:
    server = Holding().server
    async with served(server) as web, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(hang, web, 41 * KIB, 40 * KIB)
        await until(lambda: held(server) == 120 * KIB)
        reply = await web.post(call_of("talk", length=1, padding=LONG))
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        assert reply.message["error"]["code"] == LIMIT_EXCEEDED
        assert (await web.post(call_of("talk", length=1))).status == 200
        nursery.cancel_scope.cancel()
    assert held(server) == 0


async def hang(web: Web, length: int, sent: int) -> None:
    """Send a part of a body, and then nothing."""
    head = f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{web.port}\r\ncontent-length: {length}\r\n"
    head += "content-type: application/json\r\n\r\n"
    async with await web.connect() as stream:
        await stream.send_all(head.encode() + b"x" * sent)
        await stream.receive_some()


def call_of(tool: str, **arguments: Any) -> dict[str, Any]:
    return request("tools/call", {"name": tool, "arguments": arguments})


async def test_whatever_becomes_of_a_request_its_bytes_are_given_back() -> None:
    server = Holding().server
    async with served(server) as web:
        for body in (
            call_of("talk", length=10),
            call_of("talk", length="x"),
            call_of("nothing", text=LONG),
            call_of("talk", length=100 * KIB),
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"a": LONG}},
        ):
            await web.post(body)
            await until(lambda: held(server) == 0)
        assert (await web.post(b"x" * 65 * KIB)).status == 413
        assert held(server) == 0
