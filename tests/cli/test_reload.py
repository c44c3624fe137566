"""`trimcp run --reload`: a new process for each change of the files."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import open_client

from .harness import run_here, running

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

SERVER = """
from trimcp import Server
server = Server("one")

@server.tool
async def who() -> str:
    return {name!r}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read standard error until a line has this text."""
    assert process.stderr is not None
    with trio.fail_after(30):
        while text not in (line := await trio.to_thread.run_sync(process.stderr.readline)):
            assert line, f"{text!r} never came"


async def who(port: int) -> str:
    async with open_client(f"tcp://127.0.0.1:{port}") as client:
        return (await client.call_tool("who")).text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_every_change_is_served(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "app.py"
    file.write_text(SERVER.format(name="first"))
    port = free_port()
    with running("run", "--reload", "--tcp", f"127.0.0.1:{port}", file) as process:
        await wait_for(process, "listening on")
        assert await who(port) == "first"

        file.write_text(SERVER.format(name="second"))
        await wait_for(process, "app.py changed: starting again")
        await wait_for(process, "listening on")
        assert await who(port) == "second"

        file.write_text("if:")
        await wait_for(process, "SyntaxError")
        await wait_for(process, "ended with status 1; waiting for a change")

        (tmp_path / "other.py").write_text("NAME = 'third'")
        file.write_text("from other import NAME\n" + SERVER.replace("{name!r}", "NAME"))
        await wait_for(process, "listening on")
        assert await who(port) == "third"

        process.send_signal(number)
        with trio.fail_after(10):
            assert await trio.to_thread.run_sync(process.wait) == 0
    with pytest.raises(OSError, match=r"refused|failed"):
        await who(port)


def test_not_on_standard_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_here("run", "--reload", tmp_path / "app.py")
    assert caught.value.code == 2


def test_no_such_file(tmp_path: Path) -> None:
    done = run_here("run", "--reload", "--tcp", "127.0.0.1:0", tmp_path / "app.py")
    assert done.returncode == 1
    assert "no such file" in done.stderr
