"""Transports: framing, and what may be written. Processes: tests/guarantees."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import (
    Context,
    Server,
    ToolError,
    open_stdio_client,
    open_tcp_client,
    open_unix_client,
    open_websocket_client,
)
from trimcp.types import TextContent

from .harness import (
    REVISIONS,
    Script,
    both_eras,
    code_of,
    every_revision,
    facing,
    notification,
    result,
    talking,
    text_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

#: Everything that some reader of lines might take for the end of one.
ODD = "a\nb\r\nc\rd\u2028e\u2029f\x85g\x0bh\x0ci\x1cj\x00k\N{SNOWMAN}\N{GRINNING FACE}"


def example() -> Server[Any]:
    server = Server[Any]("example", instructions=ODD)

    @server.tool(description=ODD)
    async def echo(text: str, ctx: Context) -> dict[str, str]:
        await ctx.report_progress(1, message=text)
        await ctx.error({text: text}, logger=text)
        return {text: text}

    @server.tool
    async def fail(text: str) -> None:
        raise ToolError(text)

    return server


# -- lines ------------------------------------------------------------------------------------


@every_revision
async def test_what_the_server_writes(revision: str, autojump_clock: MockClock) -> None:
    """STDIO-01, STDIO-02, TRAN-01: a message a line, in UTF-8, whatever is in it."""
    async with talking(example(), revision) as script:
        meta: dict[str, Any] = {"progressToken": ODD}
        if script.is_stateless:
            meta["io.modelcontextprotocol/logLevel"] = "debug"
        await script.send(
            script.calling("echo", {"text": ODD}, **meta),
            script.calling("fail", {"text": ODD}),
            script.message("tools/list"),
            script.message(ODD),
        )
        lines = [await script.receive_bytes() for _ in range(6)]
        await script.expect_silence()
    for line in lines:
        assert line.count(b"\n") == 1
        assert b"\r" not in line
        message = json.loads(line.decode("utf-8"))
        assert message["jsonrpc"] == "2.0"
    whole = b"".join(lines).decode()
    assert "\N{SNOWMAN}" in whole or "\\u2603" in whole


@every_revision
async def test_what_the_client_writes(revision: str, autojump_clock: MockClock) -> None:
    """STDIO-01, STDIO-03, TRAN-01: a message a line, in UTF-8."""
    async with facing(revision, name=ODD) as to:
        to.start(to.client.call_tool, ODD, {ODD: ODD})
        to.start(to.client.get_prompt, ODD, {ODD: ODD})
        lines = [await to.line.receive_bytes() for _ in range(2)]
    for line in lines:
        assert line.count(b"\n") == 1
        message = json.loads(line.decode("utf-8"))
        assert message["params"]["name"] == ODD
        assert message["params"]["arguments"] == {ODD: ODD}


@both_eras
async def test_messages_in_pieces(revision: str, autojump_clock: MockClock) -> None:
    """STDIO-01, TRAN-01: newlines part messages, and nothing else does."""
    async with talking(example(), revision) as script:
        calls = [script.calling("fail", {"text": ODD}) for _ in range(3)]
        data = b"".join(
            json.dumps(call, ensure_ascii=False).encode() + end
            for call, end in zip(calls, (b"\n", b"\r\n", b"\n\n \n"), strict=True)
        )
        for byte in data:
            await script.send_bytes(bytes([byte]))
        for _ in calls:
            assert text_of(await script.receive()) == ODD
        await script.send_bytes(data)
        for _ in calls:
            assert text_of(await script.receive()) == ODD


@pytest.mark.parametrize("data", [b"\xff\xfe", b'"\xc3\x28"', b'{"a":"\xed\xa0\x80"}'], ids=repr)
@both_eras
async def test_other_encodings_are_refused(
    revision: str, data: bytes, autojump_clock: MockClock
) -> None:
    """TRAN-01: what is not UTF-8 is no message, and does no harm."""
    async with talking(example(), revision) as script:
        await script.send_bytes(data + b"\n")
        assert code_of(await script.receive()) == -32700
        await script.expect_silence()
    async with facing(revision) as to:
        await to.line.send_bytes(data + b"\n")
        call = to.start(to.client.list_tools)
        await to.line.send(result(await to.line.receive(), {"tools": []}))
        await call.get()


# -- which way --------------------------------------------------------------------------------


@both_eras
async def test_both_directions(revision: str, autojump_clock: MockClock) -> None:
    """TRAN-02: requests and notifications there, answers and notifications back."""
    heard: list[Any] = []

    async def hear(params: Any) -> None:
        heard.append(params)

    async with facing(revision) as to:
        to.client.on_notification("notifications/odd", hear)
        await to.client.notify("notifications/strange", {"a": 1})
        said = await to.line.receive()
        assert (said["method"], said["params"]) == ("notifications/strange", {"a": 1})
        await to.line.send(notification("notifications/odd", {"b": 2}))
        call = to.start(to.client.list_tools)
        await to.line.send(result(await to.line.receive(), {"tools": []}))
        await call.get()
    assert heard == [{"b": 2}]


# -- streams of other kinds -------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("door", ["tcp", "unix"])
async def test_sockets_use_the_same_framing(door: str, revision: str, tmp_path: Path) -> None:
    """TRAN-03, TRAN-04, TRAN-05: the messages, the handshake and the cancellation of stdio."""
    server = example()
    started, stopped = trio.Event(), trio.Event()

    @server.tool
    async def hang() -> None:
        try:
            started.set()
            await trio.sleep_forever()
        finally:
            stopped.set()

    async with trio.open_nursery() as nursery:
        stream: trio.abc.Stream
        if door == "tcp":
            [(host, port)] = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
            stream = await trio.open_tcp_stream(host, port)
        else:
            path = tmp_path / "server.sock"
            await nursery.start(server.serve_unix, path)
            stream = await trio.open_unix_socket(str(path))
        async with stream:
            script = Script(stream, revision, {})
            if not script.is_stateless:
                await script.shake_hands()
            assert text_of(await script.call("fail", {"text": ODD})) == ODD
            asked = script.calling("hang")
            await script.send(asked)
            params = {"requestId": asked["id"]}
            with trio.fail_after(30):
                # A call that is cancelled before it starts never runs.
                await started.wait()
                await script.send(notification("notifications/cancelled", params))
                await stopped.wait()
            assert text_of(await script.call("fail", {"text": "on"})) == "on"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("door", ["tcp", "unix", "websocket"])
async def test_clients_of_sockets(door: str, tmp_path: Path) -> None:
    """TRAN-04, TRAN-05: the client's side of the same."""
    async with trio.open_nursery() as nursery:
        server = example()
        if door == "tcp":
            [(host, port)] = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
            way = open_tcp_client(host, port)
        elif door == "websocket":
            [(host, port)] = await nursery.start(server.serve_websocket, "127.0.0.1", 0)
            way = open_websocket_client(f"ws://{host}:{port}/ws")
        else:
            path = tmp_path / "server.sock"
            await nursery.start(server.serve_unix, path)
            way = open_unix_client(path)
        with trio.fail_after(30):
            async with way as client:
                answer = await client.call_tool("fail", {"text": ODD})
        assert answer.content == (TextContent(ODD),)
        nursery.cancel_scope.cancel()


# -- a process --------------------------------------------------------------------------------

NOISY = """
import sys, trio
from trimcp import Server
server = Server("noisy")

@server.tool
async def complain() -> str:
    for turn in range(50):
        print("error: everything is lost", file=sys.stderr, flush=True)
    return "fine"

print("fatal error", file=sys.stderr, flush=True)
trio.run(server.serve_stdio)
"""


SECRET = """
import os, trio
from trimcp import Server
server = Server("secret")

@server.tool
async def credentials() -> str:
    return os.environ["CREDENTIALS"]

trio.run(server.serve_stdio)
"""


async def test_credentials_come_from_the_environment() -> None:
    """TRAN-07: the client hands them to the process, and nothing about them to the wire."""
    argv = [sys.executable, "-c", SECRET]
    with trio.fail_after(60):
        async with open_stdio_client(argv, env={"CREDENTIALS": "open sesame"}) as client:
            answer = await client.call_tool("credentials")
    assert answer.content == (TextContent("open sesame"),)


async def test_standard_error_is_no_error() -> None:
    """STDIO-04, TRAN-06: a client reads it, keeps it away from the wire, and concludes nothing."""
    said: list[str] = []
    argv = [sys.executable, "-c", NOISY]
    with trio.fail_after(60):
        async with open_stdio_client(argv, on_stderr=said.append) as client:
            answer = await client.call_tool("complain")
            assert answer.content == (TextContent("fine"),)
            await client.ping()
    assert said.count("error: everything is lost") == 50
    assert "fatal error" in said
