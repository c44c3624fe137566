"""The example that serves every kind of client: all of them at once, on one application.

It is `docs/examples/websocket_and_sse.py`, as `hypercorn -k trio` serves it, alone and mounted in
Starlette.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import open_websocket_client

from .harness import Web, call, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "docs/examples/websocket_and_sse"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="passes descriptors")


@asynccontextmanager
async def by_hypercorn(name: str) -> AsyncIterator[Web]:
    """`hypercorn -k trio docs/examples/websocket_and_sse:NAME`, on a socket of ours."""
    with trio.socket.socket() as listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        command = [sys.executable, "-m", "hypercorn", "-k", "trio", "-w", "0"]
        command += ["--bind", f"fd://{listener.fileno()}", f"{PROGRAM}:{name}"]
        run = functools.partial(
            trio.run_process,
            command,
            cwd=ROOT,
            check=False,
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            web = Web(listener.getsockname()[1])
            with trio.fail_after(60):
                yield web
            nursery.cancel_scope.cancel()


async def ready(web: Web) -> None:
    """Our socket accepts before the program does, so the first answer is the sign."""
    stream = await web.connect()
    async with stream:
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("name", ["app", "site"])
async def test_all_clients_share_one_application(name: str) -> None:
    async with by_hypercorn(name) as web:
        await ready(web)
        wanted = {"notifications": {"resourceSubscriptions": ["messages://all"]}}
        async with (
            web.open_post(request("subscriptions/listen", wanted)) as by_post,
            web.open("GET", "/sse") as by_sse,
            open_websocket_client(f"ws://127.0.0.1:{web.port}/ws") as by_websocket,
            by_websocket.listen(resources=["messages://all"]) as events,
        ):
            assert "acknowledged" in (await by_post.message())["method"]
            path = (await by_sse.event()).data.decode()
            for message in subscribing():
                body = json.dumps(message).encode()
                async with web.open("POST", path, body, content_type="application/json") as sent:
                    assert sent.status == 202
                if "id" in message:
                    assert (await by_sse.message())["id"] == message["id"]

            reply = await web.post(call("add_message", {"content": "hello"}))
            assert reply.message["result"]["structuredContent"] == 1
            await by_websocket.call_tool("add_message", {"content": "again"})

            update = "notifications/resources/updated"
            assert (await by_post.message())["method"] == update
            assert (await by_sse.message())["method"] == update
            async for event in events:
                assert "messages://all" in repr(event)
                break
            [contents] = (await by_websocket.read_resource("messages://all")).contents
            assert json.loads(contents.text) == ["hello", "again"]
        if name == "site":
            assert (await web.send("GET", "/")).body == b"2 messages"


def subscribing() -> list[dict[str, Any]]:
    params = {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "old", "version": "1"},
    }
    return [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "resources/subscribe",
            "params": {"uri": "messages://all"},
        },
    ]
