"""`trimcp dev`: a file is served again after each change, with the Inspector beside it."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from tests.ports import free_port
from trimcp import open_client

from .harness import run_here, running
from .test_reload import SERVER, wait_for

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

#: In place of npx: tells how it was called, and has a child as npx has.
NPX = """#!{python}
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("npx", child.pid, *sys.argv[1:], flush=True)
child.wait()
"""


async def who(port: int) -> str:
    async with open_client(f"http://127.0.0.1:{port}/mcp") as client:
        return (await client.call_tool("who")).text


async def lines_with(process: subprocess.Popen[str], *texts: str) -> list[str]:
    """Read standard error until each text has come; the line of each."""
    assert process.stderr is not None
    found: dict[str, str] = {}
    with trio.fail_after(30):
        while len(found) < len(texts):
            line = await trio.to_thread.run_sync(process.stderr.readline)
            assert line, f"only {list(found)} came"
            found |= {text: line for text in texts if text in line}
    return [found[text] for text in texts]


def put(directory: Path, text: str) -> str:
    """Put a program called npx into a directory; the PATH on which it is the first."""
    npx = directory / "npx"
    npx.write_text(text)
    npx.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def is_alive(process: int) -> bool:
    """Whether a process still runs; a zombie, which nobody has waited for, does not."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def write(file: Path, name: str) -> None:
    """Write a server whose tool tells a name."""
    file.write_text(SERVER.format(name=name))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a server."""
    path = tmp_path / "app.py"
    write(path, "first")
    return path


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
async def test_the_inspector_is_opened_on_it_and_ends_with_it(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", put(tmp_path, NPX.format(python=sys.executable)))
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    with running("dev", "--http", str(port), file) as process:
        said, _ = await lines_with(process, "npx ", "listening on")
        called = "--yes @modelcontextprotocol/inspector@2 --transport http --server-url"
        _, child, words = said.rstrip().split(" ", 2)
        assert words == f"{called} {url}"
        assert await who(port) == "first"
        write(file, "second")
        await wait_for(process, "app.py changed: starting again")
        await wait_for(process, "listening on")
        assert await who(port) == "second"
        assert is_alive(int(child))
        process.send_signal(signal.SIGINT)
        with trio.fail_after(30):
            assert await trio.to_thread.run_sync(process.wait) == 0
    assert not is_alive(int(child))


async def test_without_npx_it_serves_and_says_what_is_missing(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    port = free_port()
    with running("dev", "--http", f":{port}", file) as process:
        await wait_for(process, "the Inspector is not opened: npx is not here")
        await wait_for(process, "listening on")
        assert await who(port) == "first"


async def test_the_server_goes_on_without_the_inspector(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", put(tmp_path, "#!/bin/sh\nexit 7\n"))
    port = free_port()
    with running("dev", "--http", str(port), file) as process:
        await wait_for(process, "the Inspector has ended with status 7; the server goes on")
        assert await who(port) == "first"


def test_no_such_file() -> None:
    done = run_here("dev", "nowhere.py")
    assert (done.returncode, done.stderr) == (1, "trimcp: no such file: nowhere.py\n")
