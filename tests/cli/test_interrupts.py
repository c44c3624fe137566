"""Ctrl-C, once and twice, while a server is busy."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING, Final

import pytest

from .harness import PATIENCE, screen

if TYPE_CHECKING:
    from pathlib import Path

#: A server that obeys nothing: no cancellation, no end of input, no SIGTERM.
STUBBORN: Final = """\
import json, os, signal, sys, time
from pathlib import Path

signal.signal(signal.SIGTERM, signal.SIG_IGN)
mark = Path(sys.argv[1])
mark.write_text(str(os.getpid()))
for line in sys.stdin:
    request = json.loads(line)
    method, id = request["method"], request.get("id")
    if method == "initialize" and "silent" not in sys.argv:
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
        result["serverInfo"] = {"name": "stubborn", "version": "0"}
        print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
    elif method == "tools/list":
        tools = [{"name": "hang", "inputSchema": {"type": "object"}}]
        print(json.dumps({"jsonrpc": "2.0", "id": id, "result": {"tools": tools}}), flush=True)
    elif method == "server/discover" and "silent" not in sys.argv:
        error = {"code": -32601, "message": "unknown"}
        print(json.dumps({"jsonrpc": "2.0", "id": id, "error": error}), flush=True)
    else:
        print("asked", method, file=sys.stderr, flush=True)
while True:
    time.sleep(1)
"""


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(pid: int) -> None:
    """Wait until a process that was killed has ended, which the system does in its own time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ready, _, _ = select.select([descriptor], [], [], PATIENCE)
    os.close(descriptor)
    assert ready


@pytest.fixture
def stubborn(tmp_path: Path) -> list[str]:
    file = tmp_path / "stubborn.py"
    file.write_text(STUBBORN)
    return [sys.executable, str(file), str(tmp_path / "pid")]


OBEDIENT: Final = """\
import sys, trio
from pathlib import Path
from trimcp import Server
server = Server("obedient")

@server.tool
async def hang() -> None:
    print("begun", file=sys.stderr, flush=True)
    await trio.sleep_forever()

async def main() -> None:
    await server.serve_stdio()
    Path(sys.argv[0]).with_name("mark").write_text("ended by itself")

if __name__ == "__main__":
    trio.run(main)
"""


def test_a_server_that_obeys_ends_by_itself(tmp_path: Path) -> None:
    """Its call is cancelled and its input closed; nothing of the grace for others passes."""
    file = tmp_path / "app.py"
    file.write_text(OBEDIENT)
    with screen("call", "-v", file, "hang") as terminal:
        terminal.wait_for("begun")
        terminal.interrupt()
        assert terminal.finish() == 130
    assert (tmp_path / "mark").read_text() == "ended by itself"


@pytest.mark.parametrize("words", [("-v", "call", "hang"), ("-v", "list")])
def test_a_second_ctrl_c_kills_the_server(
    stubborn: list[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Also while the connection is still being made."""
    silent = ["silent"] if "list" in words else []
    with screen(*words, "--", *stubborn, *silent) as terminal:
        terminal.wait_for("asked server/discover" if silent else "asked tools/call")
        pid = int((tmp_path / "pid").read_text())
        terminal.interrupt()
        assert is_running(pid)
        terminal.interrupt()
        assert terminal.finish() == 130
    wait_for_end(pid)
    assert "Traceback" not in terminal.text


def test_ctrl_c_while_nothing_is_asked(demo_address: str) -> None:
    with screen("listen", demo_address) as terminal:
        terminal.wait_for("listening for changes")
        terminal.interrupt()
        assert terminal.finish() == 130
    assert "Traceback" not in terminal.text
