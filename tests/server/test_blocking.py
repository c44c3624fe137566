"""`server.run()` is a whole program: it starts Trio, serves, and ends without a traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import Server, open_client

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "docs/examples/running.py"

HTTP_PROGRAM = """
from trimcp import Server
server = Server("program")

@server.tool
def double(n: int) -> int:
    return 2 * n

server.run("http", port=0)
print("the line after it")
"""


@contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program, killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


async def test_stdio_is_the_default() -> None:
    async with open_client([sys.executable, str(EXAMPLE)]) as client:
        result = await client.call_tool("fahrenheit", {"celsius": 100})
    assert result.structured_content == 212.0


async def test_http_tells_its_url_and_ctrl_c_is_a_normal_end() -> None:
    with program("-c", HTTP_PROGRAM) as process:
        assert process.stderr is not None
        line = await trio.to_thread.run_sync(process.stderr.readline)
        assert line.startswith("listening on http://127.0.0.1:")
        async with open_client(line.removeprefix("listening on ").strip()) as client:
            assert (await client.call_tool("double", {"n": 4})).structured_content == 8
        process.send_signal(signal.SIGINT)
        stdout, stderr = await trio.to_thread.run_sync(process.communicate)
    assert (process.returncode, stdout, stderr) == (0, "the line after it\n", "")


@pytest.mark.parametrize("grouped", [False, True])
def test_ctrl_c_while_the_server_starts_is_an_end_too(
    monkeypatch: pytest.MonkeyPatch, grouped: bool
) -> None:
    server: Server[None] = Server("interrupted")

    async def serve_stdio() -> None:
        interrupt = KeyboardInterrupt()
        raise BaseExceptionGroup("", [interrupt, KeyboardInterrupt()]) if grouped else interrupt

    monkeypatch.setattr(server, "serve_stdio", serve_stdio)
    server.run()


def test_an_error_beside_ctrl_c_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    server: Server[None] = Server("interrupted")

    async def serve_stdio() -> None:
        raise BaseExceptionGroup("", [KeyboardInterrupt(), OSError("the disk is full")])

    monkeypatch.setattr(server, "serve_stdio", serve_stdio)
    with pytest.raises(BaseExceptionGroup):
        server.run()


def test_an_address_that_cannot_be_bound_is_one_error() -> None:
    with pytest.raises(OSError):  # noqa: PT011  the system's words differ
        Server("no address").run("http", host="192.0.2.1")


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    """The system would listen at the remainder."""
    with pytest.raises(ValueError, match=f"a port is 0 to 65535, not {port}"):
        Server[None]("s").run("http", port=port)


async def test_inside_trio_it_says_what_to_write() -> None:
    with pytest.raises(RuntimeError, match=r"write `await server\.serve_stdio\(…\)`"):
        Server("inside").run()
    with pytest.raises(RuntimeError, match=r"write `await server\.serve_http\(…\)`"):
        Server("inside").run("http", port=1)


def test_inside_asyncio_it_says_where_to_call_it() -> None:
    async def main() -> None:
        Server("inside").run()

    with pytest.raises(RuntimeError, match=r"from synchronous code, without asyncio\.run\(\)"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("transport", "options", "words"),
    [
        ("streamable-http", {}, "write 'http'"),
        ("sse", {"port": 80}, "write 'http'"),
        ("carrier pigeon", {}, "transport is 'stdio' or 'http', not 'carrier pigeon'"),
        ("stdio", {"port": 8000}, "for run('http')"),
        ("stdio", {"allowed_hosts": ["*"]}, "for run('http')"),
    ],
)
def test_what_does_not_fit_is_refused(transport: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Server("refused").run(transport, **options)
    assert words in str(caught.value)


def test_without_standard_error_it_serves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    server: Server[None] = Server("in the background")

    async def serve_http(host: str, port: int, *, task_status: Any) -> None:
        task_status.started([f"http://{host}:{port}"])

    monkeypatch.setattr(server, "serve_http", serve_http)
    monkeypatch.setattr(sys, "stderr", None)
    server.run("http", port=os.getpid())
