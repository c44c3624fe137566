"""Guarantee 19: bad input is answered, not obeyed.

"Broken JSON, bad UTF-8, NaN, 100,000-deep nesting, a 100 MB line, `id` of a wrong type, a
repeated id, unknown methods and fields, wrong `jsonrpc`, batches in each revision: the right
error, the connection lives (unless framing is lost), the next request is served."
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import memory_stream_pair

from trimcp import Limits, Server

from .harness import (
    ERAS,
    HANDSHAKE,
    PATIENCE,
    PROMPT,
    STATELESS,
    Dialect,
    Message,
    Wire,
    cancelled,
    line,
    serving,
    stream_wire,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
LIMIT_EXCEEDED = -31001

DEEP = b"[" * 100_000 + b"]" * 100_000
DEEP_OBJECTS = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


def ping_with(**changes: Any) -> bytes:
    """A ping of the handshake era with some members changed; `...` removes one."""
    message = {"jsonrpc": "2.0", "id": 7, "method": "ping", **changes}
    return json.dumps({key: value for key, value in message.items() if value is not ...}).encode()


#: What is no JSON.
UNREADABLE: dict[str, bytes] = {
    "garbage": b"hello",
    "half an object": b'{"jsonrpc":"2.0","id":7,"method":"ping"',
    "two on a line": ping_with() + ping_with(),
    "a comma too many": b'{"jsonrpc":"2.0","id":7,"method":"ping",}',
    "single quotes": b"{'jsonrpc':'2.0','id':7,'method':'ping'}",
    "a comment": b'{"jsonrpc":"2.0","id":7,"method":"ping"}//',
    "two byte order marks": b"\xef\xbb\xbf" * 2 + ping_with(),
    "a NUL": b"\0",
    "UTF-16": ping_with().decode().encode("utf-16-le").replace(b"\n", b""),
    "bad UTF-8 in a value": b'{"jsonrpc":"2.0","id":7,"method":"p\xffng"}',
    "bad UTF-8 in params": b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\xc3\x28"}}',
    "bad UTF-8 alone": b"\xff\xfe\xfd",
    "overlong UTF-8": b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\xc0\xaf"}}',
    "a surrogate in UTF-8": b'{"jsonrpc":"2.0","id":7,"method":"\xed\xa0\x80"}',
    "NaN": b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":NaN}}',
    "Infinity": b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":-Infinity}}',
    "NaN as id": b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}',
    "a control character": b'{"jsonrpc":"2.0","id":7,"method":"pi\x01ng"}',
    "deep": DEEP,
    "deep objects": DEEP_OBJECTS,
    "deep params": b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":' + DEEP + b"}}",
    "deep and unbalanced": b"[" * 100_000,
    "deep in an unknown member": b'{"jsonrpc":"2.0","id":7,"method":"ping","x":' + DEEP + b"}",
    "a leading zero": b'{"jsonrpc":"2.0","id":07,"method":"ping"}',
}

#: What is JSON, but no message; and whether the answer can name the request.
INVALID: dict[str, tuple[bytes, int | str | None]] = {
    "a number": (b"17", None),
    "a string": (b'"ping"', None),
    "null": (b"null", None),
    "an empty object": (b"{}", None),
    "no jsonrpc": (ping_with(jsonrpc=...), 7),
    "jsonrpc 1.0": (ping_with(jsonrpc="1.0"), 7),
    "jsonrpc as a number": (ping_with(jsonrpc=2.0), 7),
    "jsonrpc null": (ping_with(jsonrpc=None), 7),
    "id null": (ping_with(id=None), None),
    "id true": (ping_with(id=True), None),
    "id 1.5": (ping_with(id=1.5), None),
    "id a list": (ping_with(id=[1]), None),
    "id an object": (ping_with(id={"a": 1}), None),
    "method a number": (ping_with(method=1), 7),
    "method null": (ping_with(method=None), 7),
    "method missing": (ping_with(method=...), 7),
}

#: A request whose params have the wrong form.
BAD_PARAMS: dict[str, bytes] = {
    "params a string": ping_with(params="x"),
    "params a list": ping_with(params=[1]),
    "_meta a list": ping_with(params={"_meta": [1]}),
    "a progress token of a wrong type": ping_with(params={"_meta": {"progressToken": [1]}}),
    "tools/call without a name": ping_with(method="tools/call", params={}),
    "tools/call with a number as name": ping_with(method="tools/call", params={"name": 1}),
    "tools/call of nothing": ping_with(method="tools/call", params={"name": "nothing"}),
    "tools/list with a wrong cursor": ping_with(method="tools/list", params={"cursor": 1}),
    "tools/list with a foreign cursor": ping_with(method="tools/list", params={"cursor": "x"}),
}


def small_server() -> Server[None]:
    server: Server[None] = Server("sturdy", limits=Limits(message_bytes=1024 * 1024))

    @server.tool
    async def echo(value: Any) -> str:
        return repr(value)

    @server.tool
    async def hang() -> None:
        await trio.sleep_forever()

    return server


@asynccontextmanager
async def in_memory(revision: str | None = HANDSHAKE.revision) -> AsyncIterator[Wire]:
    """A raw conversation with a server in this process, after the handshake if one is given."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(small_server().serve_stream, theirs)
        async with stream_wire(ours) as wire:
            if revision is not None:
                await wire.shake_hands(revision)
            yield wire


async def lives(wire: Wire) -> None:
    """The next request is served, in both eras."""
    for dialect in ERAS:
        await wire.ask(dialect.ping("next"), PROMPT)
        answer = await wire.ask(dialect.call("call", "echo", {"value": "héllo"}), PROMPT)
        assert text_of(answer) == "'héllo'"


async def refused(wire: Wire, data: bytes, code: int, identity: Any) -> Message:
    """The input is answered with that error, and the connection lives."""
    await wire.send(data + b"\n")
    answer: Message = await wire.receive(PROMPT)
    assert answer["jsonrpc"] == "2.0"
    assert answer["error"]["code"] == code, answer
    assert answer["error"]["message"]
    assert "result" not in answer
    assert answer.get("id") == identity, answer
    return answer


@pytest.mark.parametrize("name", UNREADABLE)
async def test_no_json(name: str) -> None:
    async with in_memory() as wire:
        await refused(wire, UNREADABLE[name], PARSE_ERROR, None)
        await lives(wire)


@pytest.mark.parametrize("name", INVALID)
async def test_json_but_no_message(name: str) -> None:
    data, identity = INVALID[name]
    async with in_memory() as wire:
        await refused(wire, data, INVALID_REQUEST, identity)
        await lives(wire)


@pytest.mark.parametrize("name", BAD_PARAMS)
async def test_wrong_params(name: str) -> None:
    async with in_memory() as wire:
        await refused(wire, BAD_PARAMS[name], INVALID_PARAMS, 7)
        await lives(wire)


@pytest.mark.parametrize("door", ["stdio", "tcp", "websocket"])
async def test_all_of_it_in_a_row(door: str, tmp_path: Path) -> None:
    """The same over a real connection, and no answer is lost or mixed up."""
    async with serving("sturdy", door, tmp_path) as peer:
        for name, data in UNREADABLE.items():
            # In a WebSocket's text frame this is no bad message but a broken frame.
            if door != "websocket" or "UTF-8" not in name:
                await refused(peer.wire, data, PARSE_ERROR, None)
        for data, identity in INVALID.values():
            await refused(peer.wire, data, INVALID_REQUEST, identity)
        for data in BAD_PARAMS.values():
            await refused(peer.wire, data, INVALID_PARAMS, 7)
        await lives(peer.wire)
        assert peer.program.stderr.seen[0].startswith("listening")
        assert peer.program.stderr.seen[1:] == []


async def test_bad_input_before_anything_else(tmp_path: Path) -> None:
    """No session, no terms: nothing is known about the peer yet."""
    async with in_memory(None) as wire:
        for data in UNREADABLE.values():
            await refused(wire, data, PARSE_ERROR, None)
        for data, identity in INVALID.values():
            await refused(wire, data, INVALID_REQUEST, identity)
        # A request without a session and without terms.
        await refused(wire, ping_with(method="tools/list"), INVALID_PARAMS, 7)
        await wire.shake_hands()
        await lives(wire)


@pytest.mark.parametrize("door", ["stdio", "tcp", "websocket"])
async def test_a_line_of_100_megabytes(door: str, tmp_path: Path) -> None:
    async with serving("sturdy", door, tmp_path) as peer:
        wire = peer.wire
        chunk = b"x" * 1_000_000
        await wire.send(b'{"jsonrpc":"2.0","id":7,"method":"')
        with trio.fail_after(PATIENCE):
            for _ in range(100):
                await wire.sending.send_all(chunk)
        # Enough of it was kept to say which request it was.
        await refused(wire, b'"}', LIMIT_EXCEEDED, 7)
        await lives(wire)
        # It was not kept.
        peak = await wire.ask(HANDSHAKE.call("peak", "peak"))
        assert int(text_of(peak)) < 160
        # Just under the limit is served, just above it is not.
        below = HANDSHAKE.call("below", "echo", {"value": "y" * 16_000_000})
        assert len(text_of(await wire.ask(below))) > 16_000_000
        above = line(HANDSHAKE.call("above", "echo", {"value": "y" * 16_800_000}))
        await refused(wire, above.strip(), LIMIT_EXCEEDED, "above")
        await lives(wire)


async def test_an_endless_line_needs_no_memory() -> None:
    """The limit applies while the line has no end yet."""
    async with in_memory() as wire:
        for _ in range(64):
            await wire.send(b"z" * 100_000)
        await refused(wire, b"", LIMIT_EXCEEDED, None)
        await lives(wire)


async def test_the_limit_of_nesting() -> None:
    """Deep is what is deeper than `Limits.nesting`, long before any parser gives up."""

    def nested(depth: int) -> bytes:
        # The message, its params and the arguments are three levels.
        value = b"[" * (depth - 3) + b"]" * (depth - 3)
        return (
            b'{"jsonrpc":"2.0","id":7,"method":"tools/call",'
            b'"params":{"name":"echo","arguments":{"value":' + value + b"}}}"
        )

    async with in_memory() as wire:
        await wire.send(nested(200) + b"\n")
        assert "result" in await wire.answer(7, PROMPT)
        await refused(wire, nested(201), PARSE_ERROR, None)
        # Brackets inside of strings nest nothing.
        text = "[{" * 10_000 + '"\\' + "[{" * 10_000
        answer = await wire.ask(HANDSHAKE.call(8, "echo", {"value": text}), PROMPT)
        assert text_of(answer) == repr(text)
        await lives(wire)


# -- ids --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
async def test_a_repeated_id(dialect: Dialect) -> None:
    async with in_memory() as wire:
        await wire.send(dialect.call(1, "hang"))
        await refused(wire, line(dialect.ping(1)).strip(), INVALID_REQUEST, 1)
        # `1` and `"1"` are two ids.
        await wire.ask(dialect.ping("1"), PROMPT)
        # The first request is still the one that is meant by its id.
        await wire.send(cancelled(1))
        # An id that is free again may be used again.
        for _ in range(3):
            await wire.ask(dialect.ping(1), PROMPT)
        await lives(wire)


@pytest.mark.parametrize("identity", [0, -1, 2**31, 2**53, 2**63 - 1, "", "ü", "x" * 10_000])
async def test_odd_but_good_ids(identity: int | str) -> None:
    async with in_memory() as wire:
        for dialect in ERAS:
            await wire.ask(dialect.ping(identity), PROMPT)


@pytest.mark.parametrize(
    "data",
    [
        ping_with(id="\ud800"),
        ping_with(method="no/\udfff"),
        ping_with(method="tools/call", params={"name": "\ud800"}),
        ping_with(params={"_meta": {"progressToken": "\ud800"}}),
    ],
    ids=["id", "method", "tool", "progress token"],
)
async def test_half_a_surrogate_pair(data: bytes) -> None:
    """JSON can escape what UTF-8 cannot write: an error, and the connection lives."""
    async with in_memory() as wire:
        await wire.send(data + b"\n")
        answer = await wire.receive(PROMPT)
        assert answer["error"]["code"] in (PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS)
        await lives(wire)


@pytest.mark.parametrize("identity", [2**64, 2**200, -(2**64)])
async def test_enormous_ids(identity: int) -> None:
    """Whatever the answer is, there is exactly one, and the connection lives."""
    async with in_memory() as wire:
        await wire.send(HANDSHAKE.ping(identity))
        answer = await wire.receive(PROMPT)
        assert ("error" in answer) != ("result" in answer)
        assert answer.get("id") in (identity, None)
        await lives(wire)


# -- what is unknown --------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
async def test_unknown_methods_and_fields(dialect: Dialect) -> None:
    async with in_memory() as wire:
        for method in ("no/such", "", "tools/call/", "__class__", "rpc.discover"):
            message = dialect.request(7, method)
            await refused(wire, line(message).strip(), METHOD_NOT_FOUND, 7)
        # Methods of the other era are unknown too.
        other = "ping" if dialect.is_stateless else "server/discover"
        if dialect.is_stateless:
            message = dialect.request(7, other)
            await refused(wire, line(message).strip(), METHOD_NOT_FOUND, 7)

        # Unknown fields are ignored, wherever they stand.
        message = dialect.call(
            1, "echo", {"value": 1}, extra={"a": [1, None]}, _meta={"com.example/x": {"y": 1}}
        )
        message |= {"extra": True, "auth": None}
        assert text_of(await wire.ask(message, PROMPT)) == "1"

        # Unknown notifications are ignored, and so are malformed ones.
        await wire.send(
            {"jsonrpc": "2.0", "method": "notifications/no/such", "params": {"a": 1}},
            {"jsonrpc": "2.0", "method": "no/such"},
            {"jsonrpc": "2.0", "method": "notifications/cancelled"},
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": [1]},
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": "x"}},
        )
        # And so are answers to questions that nobody asked.
        await wire.send(
            {"jsonrpc": "2.0", "id": 99, "result": {}},
            {"jsonrpc": "2.0", "id": 99, "error": {"code": 1, "message": "x"}},
            {"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "x"}},
        )
        await lives(wire)


async def test_terms_that_make_no_sense() -> None:
    """The stateless era: each request has its own terms, and a bad one harms no other."""
    prefix = "io.modelcontextprotocol/"
    good = STATELESS.ping(7)["params"]["_meta"]

    def ask(**changes: Any) -> bytes:
        meta = {**good, **{prefix + key: value for key, value in changes.items()}}
        meta = {key: value for key, value in meta.items() if value is not ...}
        return ping_with(method="server/discover", params={"_meta": meta})

    async with in_memory(None) as wire:
        answer = await refused(wire, ask(protocolVersion="1999-01-01"), -32022, 7)
        assert answer["error"]["data"]["supported"] == ["2026-07-28"]
        await refused(wire, ask(protocolVersion="2025-11-25"), -32022, 7)
        await refused(wire, ask(protocolVersion=1), INVALID_PARAMS, 7)
        await refused(wire, ask(protocolVersion=...), INVALID_PARAMS, 7)
        await refused(wire, ask(clientCapabilities=...), INVALID_PARAMS, 7)
        await refused(wire, ask(clientCapabilities=[]), INVALID_PARAMS, 7)
        await refused(wire, ask(clientInfo="me"), INVALID_PARAMS, 7)
        await refused(wire, ask(logLevel="loud"), INVALID_PARAMS, 7)
        await wire.ask(STATELESS.ping("next"), PROMPT)


async def test_a_second_handshake() -> None:
    """It begins another session."""
    async with in_memory() as wire:
        again = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "x", "version": "1"},
        }
        await wire.send(json.loads(ping_with(method="initialize", params=again)))
        (answer,) = (await wire.answers(7)).values()
        assert answer["result"]["protocolVersion"] == "2025-06-18"
        await lives(wire)


async def test_a_handshake_without_what_it_needs() -> None:
    async with in_memory(None) as wire:
        await refused(wire, ping_with(method="initialize", params={}), INVALID_PARAMS, 7)
        await refused(wire, ping_with(method="initialize"), INVALID_PARAMS, 7)
        await wire.shake_hands()
        await lives(wire)


# -- revisions --------------------------------------------------------------------------------

HANDSHAKES = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]


@pytest.mark.parametrize("revision", HANDSHAKES)
async def test_how_an_unknown_id_is_written(revision: str) -> None:
    """Null in the older revisions; absent where the schema makes it optional."""
    async with in_memory(revision) as wire:
        for data, code in ((b"{", PARSE_ERROR), (b"{}", INVALID_REQUEST)):
            answer = await refused(wire, data, code, None)
            assert ("id" in answer) == (revision < "2025-11-25")


@pytest.mark.parametrize("revision", HANDSHAKES)
async def test_batches(revision: str) -> None:
    batch = [HANDSHAKE.ping(1), HANDSHAKE.ping("two"), HANDSHAKE.request(3, "no/such")]
    async with in_memory(revision) as wire:
        if revision != "2025-03-26":
            await refused(wire, line(batch).strip(), INVALID_REQUEST, None)
            await refused(wire, b"[]", INVALID_REQUEST, None)
            await refused(wire, b"[1,2,3]", INVALID_REQUEST, None)
            await lives(wire)
            return

        await wire.send(batch)
        answers = await wire.receive(PROMPT)
        assert isinstance(answers, list)
        assert {answer["id"] for answer in answers} == {1, "two", 3}
        [failed] = [answer for answer in answers if "error" in answer]
        assert (failed["id"], failed["error"]["code"]) == (3, METHOD_NOT_FOUND)

        # An empty batch is no batch; what is in one may be as bad as anything.
        await refused(wire, b"[]", INVALID_REQUEST, None)
        await wire.send(
            b'[1,{},{"jsonrpc":"2.0","id":true,"method":"ping"},' + ping_with() + b"]\n"
        )
        answers = await wire.receive(PROMPT)
        codes = [answer.get("error", {}).get("code") for answer in answers]
        assert sorted(codes, key=str) == [INVALID_REQUEST] * 3 + [None]
        # Nested batches are messages that are none.
        await wire.send(b"[[" + ping_with() + b"]]\n")
        [answer] = await wire.receive(PROMPT)
        assert answer["error"]["code"] == INVALID_REQUEST
        # Broken in the middle: nothing of it is obeyed.
        await refused(wire, b"[" + ping_with() + b",]", PARSE_ERROR, None)
        # Notifications alone get no answer, an answer to nothing neither.
        note: Message = {"jsonrpc": "2.0", "method": "notifications/no/such"}
        await wire.send([note, note], [{"jsonrpc": "2.0", "id": 99, "result": {}}])
        # The same id twice in one batch: one of them is refused.
        await wire.send([HANDSHAKE.ping(1), HANDSHAKE.ping(1)])
        answers = await wire.receive(PROMPT)
        assert len(answers) == 2
        assert sum("error" in answer for answer in answers) == 1
        # Neither a handshake nor the stateless era has a place in a batch.
        await wire.send([STATELESS.ping(1)])
        [answer] = await wire.receive(PROMPT)
        assert answer["error"]["code"] == INVALID_REQUEST
        # Part of a batch may be cancelled; the rest is answered.
        await wire.send([HANDSHAKE.call(1, "hang"), HANDSHAKE.ping(2)])
        await wire.send(cancelled(1))
        [answer] = await wire.receive(PROMPT)
        assert answer["id"] == 2
        await lives(wire)


async def test_batches_in_the_stateless_era() -> None:
    async with in_memory(None) as wire:
        batch = [STATELESS.ping(1), STATELESS.ping(2)]
        answer = await refused(wire, line(batch).strip(), INVALID_REQUEST, None)
        assert "id" not in answer
        await wire.ask(STATELESS.ping("next"), PROMPT)
