"""Under an event loop that is not Trio one sentence says what to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import NotServing, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WANTED = "hypercorn -k trio module:app"

APPS: list[Callable[[Server[Any]], Any]] = [
    lambda server: server.http_app(),
    lambda server: server.sse_app(),
    lambda server: server.asgi_app(),
    lambda server: server.websocket_app(),
]


@pytest.mark.parametrize("kind", ["lifespan", "http", "websocket"])
@pytest.mark.parametrize("make", APPS)
def test_each_application_says_so(
    make: Callable[[Server[Any]], Any], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.startup"}

    async def send(event: dict[str, Any]) -> None:
        said.append(event)

    scope = {"type": kind, "path": "/mcp", "method": "POST", "headers": []}
    asyncio.run(make(Server("x"))(scope, receive, send))
    if kind == "lifespan":
        assert said[0]["type"] == "lifespan.startup.failed"
        assert WANTED in said[0]["message"]
    elif kind == "http":
        assert said[0]["status"] == 500
    else:
        assert said == [{"type": "websocket.close", "code": 1011}]
    assert len(caplog.records) == (kind != "lifespan")
    assert kind == "lifespan" or WANTED in caplog.text


@pytest.mark.parametrize("door", ["application", "asgi_lifespan", "serve_stdio", "serve_http"])
def test_each_door_says_so(door: str) -> None:
    async def enter() -> None:
        found = getattr(Server("x"), door)()
        if hasattr(found, "__aenter__"):
            async with found:
                pass
        else:
            await found

    with pytest.raises(NotServing, match=WANTED):
        asyncio.run(enter())


def test_hypercorn_without_its_trio_worker(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("from trimcp import Server\napp = Server('x').http_app()\n")
    command = [sys.executable, "-m", "hypercorn", "-w", "0", "--bind", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, "program:app"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert WANTED in done.stderr
    assert done.returncode != 0
