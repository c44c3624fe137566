"""The access log: one line for each HTTP request, with nothing in it that may be secret."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import trio

from trimcp import Server
from trimcp.http import _access

from .harness import call, request, served

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "someone", "version": "1"},
    },
}


def make_server() -> Server[None]:
    server: Server[None] = Server("logged")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @server.tool
    async def nap(seconds: float) -> str:
        await trio.sleep(seconds)
        return "rested"

    return server


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines without the port of the client and the time it took."""
    found = [each for each in caplog.records if each.name == "trimcp.access"]
    shown = []
    for each in found:
        line = each.getMessage()
        client, rest = line.split(" ", 1)
        assert client.startswith("127.0.0.1:")
        shown.append(rest.replace(f" {each.milliseconds:.1f} ms", ""))  # type: ignore[attr-defined]
    return shown


async def test_each_request_has_its_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trimcp.access")
    async with served(make_server()) as web:
        await web.post(call("add", {"a": 2, "b": 3}))
        await web.post(call("nothing"))
        await web.post(request("resources/read", {"uri": "file:///a?secret=1"}))
        begun = await web.post(INITIALIZE)
        session = {"mcp-session-id": begun.headers["mcp-session-id"]}
        told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await web.post(told, **session)
        await web.post({"jsonrpc": "2.0", "id": 1, "result": {}}, **session)
        await web.post([told, told], **session)
        await web.post(b"{")
        await web.send("GET", "/nothing?token=secret")
        await web.send("GET", "/healthz")
    assert lines_of(caplog) == [
        "POST /mcp 200 tools/call add",
        "POST /mcp 400 tools/call nothing",
        "POST /mcp 400 resources/read file:///a",
        "POST /mcp 200 initialize",
        "POST /mcp 202 notifications/initialized",
        "POST /mcp 202",
        "POST /mcp 400 a batch of 2",
        "POST /mcp 400",
        "GET /nothing 404",
        "GET /healthz 200",
    ]


async def test_the_time_is_that_of_the_whole_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trimcp.access")
    async with served(make_server()) as web:
        await web.post(call("nap", {"seconds": 0.05}))
        await web.post(call("add", {"a": 2, "b": 3}))
    slow, fast = (each.milliseconds for each in caplog.records)  # type: ignore[attr-defined]
    assert 50 <= slow < 10_000
    assert 0 < fast < 10_000


async def test_a_client_that_has_gone_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trimcp.access")
    async with served(make_server()) as web:
        stream = await web.connect()
        body = json.dumps(call("nap", {"seconds": 1000})).encode()
        head = (
            f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{web.port}\r\naccept: application/json, "
            "text/event-stream\r\ncontent-type: application/json\r\nmcp-method: tools/call\r\n"
            f"mcp-name: nap\r\nmcp-protocol-version: 2026-07-28\r\ncontent-length: {len(body)}\r\n"
        )
        await stream.send_all(head.encode() + b"\r\n" + body)
        await web.send("GET", "/healthz")
        await trio.aclose_forcefully(stream)
        with trio.fail_after(10):
            while len(caplog.records) < 2:
                await trio.lowlevel.checkpoint()
    assert lines_of(caplog) == ["GET /healthz 200", "POST /mcp - tools/call nap"]


async def test_without_a_reader_nothing_is_noted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING, "trimcp.access")
    monkeypatch.setattr(_access, "_about", None)
    async with served(make_server()) as web:
        answer = await web.post(call("add", {"a": 2, "b": 3}))
    assert answer.status == 200
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "shown"),
    [("two\nlines", r"'two\nlines'"), ("\x1b[31m", r"'\x1b[31m'"), ("a" * 5000, "a" * 100 + "…")],
)
async def test_what_a_client_chooses_stays_on_its_line(
    caplog: pytest.LogCaptureFixture, name: str, shown: str
) -> None:
    caplog.set_level(logging.INFO, "trimcp.access")
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}}
    async with served(make_server()) as web:
        await web.post(asked)
    assert lines_of(caplog) == [f"POST /mcp 400 tools/call {shown}"]


async def test_what_cannot_be_read_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trimcp.access")
    bad: list[Any] = [3, ["name"], {"name": 3}, None]
    async with served(make_server()) as web:
        for params in bad:
            asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            await web.post(json.dumps(asked).encode())
    lines = lines_of(caplog)
    assert len(lines) == len(bad)
    assert {*lines} <= {"POST /mcp 400", "POST /mcp 400 tools/call"}
