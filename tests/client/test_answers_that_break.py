"""What cannot be read fails its call at once, and what cannot be sent is not sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.spec.harness import ERAS, STATELESS, Message, facing, request, result, terms
from trimcp import Context, Limits, ProtocolViolation, RequestTimeout, Server, open_client
from trimcp.errors import LIMIT_EXCEEDED, LimitExceeded, RequestError
from trimcp.transports import Outbox

if TYPE_CHECKING:
    from trio.testing import MockClock

DEEP = "[" * 200 + "]" * 200
BROKEN = {
    "nested": DEEP,
    "nested beyond recursion": "[" * 100_000 + "]" * 100_000,
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "a lone surrogate": '"\\ud800"',
    "a control character": '"\x01"',
    "no JSON": "{]",
    "an end that is missing": '{"a": "',
}
ORDERS = {
    "id first": '{"jsonrpc":"2.0","id":%s,"result":{"content":%s}}',
    "spaces": '{ "jsonrpc": "2.0", "id": %s, "result": {"content": %s} }',
    "version last": '{"id":%s,"result":{"content":%s},"jsonrpc":"2.0"}',
    "an error": '{"jsonrpc":"2.0","id":%s,"error":{"code":1,"message":"x","data":%s}}',
}
TAILS = {
    "id last": '{"jsonrpc":"2.0","result":{"content":%s},"id":%s}',
    "both last": '{"result":{"content":%s},"jsonrpc":"2.0","id":%s}',
    "id before the version": '{"result":{"content":%s}, "id": %s, "jsonrpc": "2.0"}',
}


async def fails_at_once(line: Any) -> None:
    async with facing(STATELESS) as to:
        began = trio.current_time()
        later = to.start(to.client.call_tool, "x", timeout=50)
        other = to.start(to.client.call_tool, "other", timeout=50)
        calls = {each["params"]["name"]: each for each in [await to.line.receive() for _ in "12"]}
        await to.line.send_bytes(line(json.dumps(calls["x"]["id"])) + b"\n")
        await later.fails(ProtocolViolation)
        await to.line.send(result(calls["other"], {"content": []}))
        await other.get()
        assert trio.current_time() == began


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("broken", BROKEN)
async def test_an_answer_that_cannot_be_parsed(
    order: str, broken: str, autojump_clock: MockClock
) -> None:
    await fails_at_once(lambda identity: (ORDERS[order] % (identity, BROKEN[broken])).encode())


@pytest.mark.parametrize("order", TAILS)
@pytest.mark.parametrize("broken", [each for each in BROKEN if "missing" not in each])
async def test_the_id_may_stand_at_the_end(
    order: str, broken: str, autojump_clock: MockClock
) -> None:
    await fails_at_once(lambda identity: (TAILS[order] % (BROKEN[broken], identity)).encode())


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("odd", [b"\xed\xa0\x80", b"\xff"])
async def test_bytes_that_are_no_utf_8(
    prefix: bytes, odd: bytes, autojump_clock: MockClock
) -> None:
    def line(identity: str) -> bytes:
        whole = ORDERS["id first"] % (identity, '"ODD"')
        return prefix + whole.encode().replace(b"ODD", odd)

    await fails_at_once(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":ID,"method":"roots/list","params":NaN}',
        b'{"jsonrpc":"2.0","id":ID,"method":5}',
        b'{"method":"notifications/x","params":{"a":NaN},"id":ID}',
        b'{"a":"\\"result\\":","b":NaN,"id":ID}',
    ],
)
async def test_what_is_no_answer_fails_no_call(line: bytes, autojump_clock: MockClock) -> None:
    async with facing(STATELESS) as to:
        later = to.start(to.client.call_tool, "x", timeout=50)
        asked = await to.line.receive()
        identity = json.dumps(asked["id"]).encode()
        await to.line.send_bytes(line.replace(b"ID", identity) + b"\n")
        await trio.testing.wait_all_tasks_blocked()
        await to.line.send(result(asked, {"content": []}))
        await later.get()


async def test_an_answer_whose_id_cannot_be_read_takes_the_deadline(
    autojump_clock: MockClock,
) -> None:
    async with facing(STATELESS) as to:
        later = to.start(to.client.call_tool, "x", timeout=5)
        await to.line.receive()
        await to.line.send_bytes(b'{"jsonrpc":"2.0","id":NaN,"result":{}}\n')
        await later.fails(RequestTimeout)


# -- what is sent -------------------------------------------------------------------------------


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


async def test_arguments_that_are_nested_too_deeply_are_not_sent(
    autojump_clock: MockClock,
) -> None:
    async with facing(STATELESS, limits=Limits(nesting=20)) as to:
        with pytest.raises(LimitExceeded, match="nested deeper than 20"):
            await to.client.call_tool("x", {"a": nested(20)})
        later = to.start(to.client.call_tool, "x", {"a": nested(10)})
        asked = await to.line.receive()
        assert asked["params"]["arguments"] == {"a": nested(10)}
        await to.line.send(result(asked, {"content": []}))
        await later.get()


async def test_a_result_that_is_nested_too_deeply_is_an_error(autojump_clock: MockClock) -> None:
    server: Server[Any] = Server("deep", limits=Limits(nesting=30))

    @server.tool
    async def deep(levels: int) -> dict[str, Any]:
        return {"a": nested(levels)}

    async with open_client(server) as client:
        with pytest.raises(RequestError) as caught:
            await client.call_tool("deep", {"levels": 40})
        assert caught.value.code == LIMIT_EXCEEDED
        assert (await client.call_tool("deep", {"levels": 10})).is_error is None


# -- raw requests -------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ERAS)
async def test_meta_of_the_caller_is_kept_beside_the_connections_own(
    revision: str, autojump_clock: MockClock
) -> None:
    key = "io.modelcontextprotocol/protocolVersion"
    given = {"com.example/trace": "t", **({key: "1999"} if revision == STATELESS else {})}
    async with facing(revision) as to:
        params = {"a": 1, "_meta": given}
        later = to.start(to.client.request, "x/y", params)
        asked = await to.line.receive()
        await to.line.send(result(asked, {}))
        await later.get()
        assert asked["params"]["a"] == 1
        meta = asked["params"]["_meta"]
        assert meta["com.example/trace"] == "t"
        if revision == STATELESS:
            assert meta[key] == STATELESS
        assert params == {"a": 1, "_meta": given}
        with pytest.raises(TypeError, match="_meta"):
            await to.client.request("x/y", {"_meta": 5})


@pytest.mark.parametrize("kind", ["task", "Complete", "", 5, ["complete"], {}])
async def test_an_unknown_type_of_result(kind: Any, autojump_clock: MockClock) -> None:
    """BASE-14: unless an extension adds it."""
    answer: Message = {"resultType": kind, "content": []}
    extension = {"com.example/tasks": {}}
    async with facing(STATELESS, extensions=extension, result_types=["task"]) as to:
        for verb in (to.client.request, to.client.call_tool):
            later = to.start(verb, "tools/call")
            await to.line.send(result(await to.line.receive(), answer))
            if kind == "task" and verb == to.client.request:
                assert await later.get() == answer
            else:
                await later.fails(ProtocolViolation)
    async with facing(STATELESS) as to:
        later = to.start(to.client.request, "x/y")
        await to.line.send(result(await to.line.receive(), answer))
        await later.fails(ProtocolViolation)


async def test_types_of_results_that_are_known(autojump_clock: MockClock) -> None:
    async with facing(STATELESS) as to:
        for more in ({}, {"resultType": "complete"}, {"resultType": "input_required"}):
            later = to.start(to.client.request, "x/y")
            await to.line.send(result(await to.line.receive(), more))
            assert await later.get() == more
    async with facing("2025-11-25") as to:
        later = to.start(to.client.request, "x/y")
        await to.line.send(result(await to.line.receive(), {"resultType": "mine"}))
        assert await later.get() == {"resultType": "mine"}


async def test_a_time_to_live_beyond_all_numbers(autojump_clock: MockClock) -> None:
    async with facing(STATELESS) as to:
        later = to.start(to.client.list_tools)
        asked = await to.line.receive()
        line = json.dumps(result(asked, {"tools": [], "ttlMs": "TTL", "cacheScope": "private"}))
        await to.line.send_bytes(line.replace('"TTL"', "9" * 400).encode() + b"\n")
        assert await later.get() == []
        assert await to.client.list_tools() == []


# -- progress before the answer -----------------------------------------------------------------


class Written(trio.abc.SendStream):
    """A stream that remembers what each write brought."""

    def __init__(self) -> None:
        self.writes: list[list[Message]] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.writes.append([json.loads(line) for line in bytes(data).splitlines()])

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("reports", [0, 1, 3])
async def test_progress_and_the_answer_to_its_call_are_written_apart(reports: int) -> None:
    """Some clients forget a call as soon as its answer is in what they have read."""
    server: Server[Any] = Server("reporting")

    @server.tool
    async def report(ctx: Context) -> str:
        for number in range(reports):
            await ctx.report_progress(number)
        return "done"

    written = Written()
    to_server, from_client = trio.testing.memory_stream_one_way_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, trio.StapledStream(written, from_client))
        for identity in (1, 2):
            params = {"name": "report", "_meta": terms(STATELESS, progressToken=identity)}
            asked = request(identity, "tools/call", params)
            await to_server.send_all(json.dumps(asked).encode() + b"\n")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sum(len(batch) for batch in written.writes) == 2 * (reports + 1)
    for batch in written.writes:
        told = {each["params"]["progressToken"] for each in batch if "method" in each}
        assert not told & {each["id"] for each in batch if "method" not in each}
    if not reports:
        assert len(written.writes) == 1, "calls that report nothing are written in one go"


async def test_an_outbox_parts_only_what_waits() -> None:
    outbox = Outbox(1000)
    outbox.part()
    outbox.send_nowait(b"progress")
    outbox.send_nowait(b"more")
    outbox.part()
    outbox.part()
    outbox.send_nowait(b"answer")
    outbox.send_nowait(b"another call's")
    assert await outbox.take() == [b"progress", b"more"]
    outbox.release([b"progress", b"more"])
    assert await outbox.take() == [b"answer", b"another call's"]
    outbox.release([b"answer", b"another call's"])
    assert outbox.waiting_bytes == 0
    outbox.close()
    with pytest.raises(trio.EndOfChannel):
        await outbox.take()
