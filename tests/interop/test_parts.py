"""Programs that people use with MCP servers, of today and of some years ago, on both sides of us.

The Python ones have environments of their own (`environments.py`), the others a lock file of their
own (`parts/package-lock.json`). docs/interop.md says what was connected with what.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from tests.ports import free_port
from trimcp import open_client
from trimcp.types import TextContent, TextResourceContents

from .conftest import HERE, NODE, OUR_SERVER
from .environments import install_node_modules, programs_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

PARTS: Final = HERE / "parts"
MODULES: Final = PARTS / "node_modules"
INSPECTOR: Final = MODULES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
SUPERGATEWAY: Final = MODULES / "supergateway/dist/index.js"

#: Seconds after which something that should have come is given up; nothing is timed by it.
PATIENCE: Final = 60.0

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="session")
def part_modules() -> None:
    """What npm installs, as the lock file says."""
    install_node_modules(PARTS)


def outcome(command: Sequence[object]) -> str:
    """What a program prints that ends well."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@asynccontextmanager
async def serving(port: int, *command: object) -> AsyncIterator[None]:
    """A program that listens on a port, with all that it starts."""
    process = await trio.lowlevel.open_process(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with trio.fail_after(PATIENCE):
            await wait_listening(port, process)
        yield
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            with trio.move_on_after(5):
                await process.wait()
            # The group lives on as long as one of its members does.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def wait_listening(port: int, process: trio.Process) -> None:
    while process.poll() is None:
        try:
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
        except OSError:
            await trio.sleep(0.05)
        else:
            return
    raise AssertionError(f"it ended with status {process.returncode}")


@contextmanager
def our_url() -> Iterator[str]:
    """Our server over HTTP."""
    command = [*OUR_SERVER, "--http"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


# -- our client, their servers ----------------------------------------------------------------


async def use_peer(target: Any, **options: Any) -> str:
    """Do a little of everything with `older_server.py` or `fastmcp_server.py`; the revision."""
    seen: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append(done)

    with trio.fail_after(PATIENCE):
        async with open_client(target, **options) as client:
            names = [tool.name for tool in await client.list_tools()]
            assert names == ["add", "steps", "fail"]
            assert (await client.call_tool("add", {"a": 2, "b": 3})).text == "5"
            assert (await client.call_tool("steps", progress=progress)).text == "done"
            # Reports that come together are told as one, the last.
            assert seen[-1] == 3
            failed = await client.call_tool("fail")
            assert failed.is_error
            assert "this tool always fails" in failed.text
            (contents,) = (await client.read_resource("note://one")).contents
            assert isinstance(contents, TextResourceContents)
            assert contents.text == "a note"
            (message,) = (await client.get_prompt("greet", {"name": "Ada"})).messages
            assert isinstance(message.content, TextContent)
            assert message.content.text == "Greet Ada."
            return client.revision


@pytest.mark.parametrize(
    ("environment", "server", "revision"),
    [
        # It knows no `server/discover`, and says so.
        ("mcp-1.30", "older_server.py", "2025-11-25"),
        # It answers such a request with nothing at all, or ends.
        ("mcp-1.8", "older_server.py", "2024-11-05"),
        ("fastmcp", "fastmcp_server.py", "2026-07-28"),
    ],
)
async def test_our_client(environment: str, server: str, revision: str) -> None:
    command = [str(programs_of(environment) / "python"), str(PARTS / server)]
    assert await use_peer(command) == revision


async def test_our_client_over_http() -> None:
    port = free_port()
    program = programs_of("fastmcp") / "python"
    async with serving(port, program, PARTS / "fastmcp_server.py", port):
        assert await use_peer(f"http://127.0.0.1:{port}/mcp") == "2026-07-28"


async def test_a_server_of_the_first_year() -> None:
    """`mcp-server-time` with an SDK that ends when it is asked what it does not know."""
    with trio.fail_after(PATIENCE):
        async with open_client([str(programs_of("time") / "mcp-server-time")]) as client:
            assert client.revision == "2024-11-05"
            names = [tool.name for tool in await client.list_tools()]
            assert names == ["get_current_time", "convert_time"]
            times = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
            result = json.loads((await client.call_tool("convert_time", times)).text)
            assert result["target"]["datetime"].endswith("T21:00:00+09:00")


# -- our server, their clients ----------------------------------------------------------------

TOOLS: Final = ["add", "slow", "countdown", "fail", "ask", "forever", "cancelled"]


@pytest.mark.parametrize("way", ["stdio", "http"])
def test_fastmcp_client(way: str) -> None:
    program = [programs_of("fastmcp") / "python", PARTS / "fastmcp_client.py"]
    with our_url() as url:
        told = json.loads(outcome([*program, *(OUR_SERVER if way == "stdio" else [url])]))
    assert told == {
        "tools": TOOLS,
        "add": 5,
        "ask": "yes",
        "progress": [1, 2, 3],
        "fail": "this tool always fails",
    }


def test_fastmcp_command() -> None:
    program, server = programs_of("fastmcp") / "fastmcp", " ".join(OUR_SERVER)
    listed = json.loads(outcome([program, "list", "--command", server, "--json"]))
    assert [tool["name"] for tool in listed["tools"]] == TOOLS
    words = ["--target", "add", "--input-json", '{"a": 2, "b": 3}', "--json"]
    assert (
        json.loads(outcome([program, "call", "--command", server, *words]))["content"][0]["text"]
        == "5"
    )


@pytest.mark.usefixtures("part_modules")
@pytest.mark.parametrize("way", ["stdio", "http"])
def test_typescript_client_of_the_first_generation(way: str) -> None:
    with our_url() as url:
        server = OUR_SERVER if way == "stdio" else [url]
        told = json.loads(outcome([NODE, PARTS / "first_client.mjs", *server]))
    assert told == {
        "tools": TOOLS,
        "add": {"result": 5},
        "ask": "yes",
        "progress": [1, 2, 3],
        "fail": True,
    }


@pytest.mark.usefixtures("part_modules")
def test_typescript_client_sees_the_last_report_of_progress() -> None:
    """It hears of progress in a microtask, so what comes with the answer comes too late.

    So the two are never written in one go, which does not quite mean that they are read apart.
    """
    server = [sys.executable, PARTS / "burst_server.py"]
    told = json.loads(outcome([NODE, PARTS / "burst_client.mjs", 100, "--", *server]))
    print(told)
    assert told["whole"] >= 90, told


@pytest.mark.usefixtures("part_modules")
@pytest.mark.parametrize("way", ["stdio", "http"])
def test_inspector(way: str) -> None:
    def inspect(*words: str) -> Any:
        return json.loads(outcome([NODE, INSPECTOR, "--cli", *server, *words]))

    with our_url() as url:
        server = [*OUR_SERVER] if way == "stdio" else [url]
        listed = inspect("--method", "tools/list")
        assert [tool["name"] for tool in listed["tools"]] == TOOLS
        call = ("--method", "tools/call", "--tool-name", "add", "--tool-arg", "a=2", "b=3")
        assert inspect(*call)["structuredContent"] == {"result": 5}


@pytest.mark.usefixtures("part_modules")
def test_inspector_is_opened_by_dev(tmp_path: Path) -> None:
    npx = tmp_path / "npx"
    npx.write_text(f'#!/bin/sh\nshift 2\nexec "{NODE}" "{INSPECTOR}" "$@"\n')
    npx.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "trimcp", "dev", "--http", "0", OUR_SERVER[-1]],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": path, "MCP_AUTO_OPEN_ENABLED": "false"},
    )
    with process:
        try:
            assert process.stderr is not None
            assert any("Inspector Web is up and running" in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            assert process.wait(PATIENCE) == 0, said
        finally:
            process.kill()


# -- bridges ----------------------------------------------------------------------------------


async def use_ours(target: Any, *, loses_progress: bool = False, **options: Any) -> str:
    """Use our own server through a bridge; the revision."""
    seen: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append(done)

    with trio.fail_after(PATIENCE):
        async with open_client(target, **options) as client:
            assert [tool.name for tool in await client.list_tools()] == TOOLS
            assert (await client.call_tool("add", {"a": 2, "b": 3})).text == "5"
            assert (await client.call_tool("fail")).is_error
            result = await client.call_tool("countdown", {"steps": 3}, progress=progress)
            assert result.text == "liftoff"
            assert loses_progress or seen[-1] == 3
            return client.revision


@pytest.mark.usefixtures("part_modules")
@pytest.mark.parametrize(
    ("transport", "path", "scheme"),
    [("streamableHttp", "/mcp", "http"), ("sse", "/sse", "http"), ("ws", "/message", "ws")],
)
async def test_supergateway_in_front_of_us(transport: str, path: str, scheme: str) -> None:
    port = free_port()
    words = ["--stdio", " ".join(OUR_SERVER), "--outputTransport", transport, "--port", port]
    stateful = ["--stateful"] if transport == "streamableHttp" else []
    async with serving(port, NODE, SUPERGATEWAY, *words, *stateful):
        await use_ours(f"{scheme}://127.0.0.1:{port}{path}")


@pytest.mark.usefixtures("part_modules")
@pytest.mark.parametrize("way", ["streamableHttp", "sse"])
async def test_supergateway_on_the_way_to_us(way: str) -> None:
    """It opens a session of its own for whatever comes first, so the handshake has to be first.

    Reports of progress end at its own client.
    """
    with our_url() as url:
        there = url if way == "streamableHttp" else url.replace("/mcp", "/sse")
        command = [str(NODE), str(SUPERGATEWAY), f"--{way}", there, "--logLevel", "none"]
        revision = await use_ours(command, loses_progress=True, revision="2025-11-25")
        assert revision == "2025-11-25"


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_mcp_proxy_in_front_of_us(path: str) -> None:
    port = free_port()
    program = programs_of("mcp-1.30") / "mcp-proxy"
    async with serving(port, program, "--port", port, "--", *OUR_SERVER):
        url = f"http://127.0.0.1:{port}{path}"
        # At `/mcp` it reports on the session's own stream, which may be behind the answer.
        assert await use_ours(url, loses_progress=path == "/mcp") == "2025-11-25"


@pytest.mark.parametrize("way", ["streamablehttp", "sse"])
async def test_mcp_proxy_on_the_way_to_us(way: str) -> None:
    with our_url() as url:
        there = url if way == "streamablehttp" else url.replace("/mcp", "/sse")
        command = [str(programs_of("mcp-1.30") / "mcp-proxy"), "--transport", way, there]
        assert await use_ours(command) == "2025-11-25"
