"""Files as targets: programs that serve, and files that hold a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from trimcp.cli._targets import reachable

from .harness import run, run_here
from .servers import Modest

EXAMPLES = Path(__file__).parents[2] / "docs/examples"

SERVER = """\
import trio
from trimcp import Server
server = Server("one")

@server.tool
def who() -> str:
    return "one"

async def main() -> None:
    await server.serve_stdio()
"""

RUN = ["-m", "trimcp", "run"]


@pytest.mark.parametrize(
    ("more", "serves_itself"),
    [
        ("", False),
        ("if __name__ == '__main__':\n    trio.run(main)\n", True),
        ("trio.run(main)\n", True),
        ("def later():\n    trio.run(main)\n", False),
        ("server.tool(name='more')(lambda: '')\n", False),
    ],
)
def test_who_serves(tmp_path: Path, more: str, serves_itself: bool) -> None:
    file = tmp_path / "app.py"
    file.write_text(SERVER + more)
    command = [sys.executable, *([] if serves_itself else RUN), str(file)]
    assert reachable(str(file)) == command


@pytest.mark.parametrize(
    ("call", "serves_itself"),
    [
        ("server.run()", True),
        ("server.run('stdio')", True),
        ("server.run(transport='stdio')", True),
        ("server.run('http')", False),
        ("server.run(transport='http', port=80)", False),
        ("trio.run(other)", False),
    ],
)
def test_who_serves_with_run(tmp_path: Path, call: str, serves_itself: bool) -> None:
    file = tmp_path / "app.py"
    file.write_text(f"from trimcp import Server\nif __name__ == '__main__':\n    {call}\n")
    command = [sys.executable, *([] if serves_itself else RUN), str(file)]
    assert reachable(str(file)) == command


@pytest.mark.parametrize(
    "text",
    ["from other import mcp\nmcp.run()\n", "this is no Python", "", "\0", "from .trimcp import x"],
)
def test_a_program_that_does_not_know_us_is_run(tmp_path: Path, text: str) -> None:
    file = tmp_path / "app.py"
    file.write_text(text)
    assert reachable(str(file)) == [sys.executable, str(file)]


def test_a_file_without_a_main_block(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(SERVER)
    done = run("call", "--output", "text", file, "who")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\n", "")


def test_a_file_that_only_runs_a_demo() -> None:
    done = run("inspect", EXAMPLES / "extension.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["serverInfo"]["name"] == "extended"


def test_a_file_without_a_server_says_so() -> None:
    done = run("list", EXAMPLES / "http_client.py")
    assert done.returncode == 1
    assert "has no Server among its global names" in done.stderr


# -- what is asked before the command itself --------------------------------------------------


def test_verbose_before_the_command(demo_address: str) -> None:
    for words in (("-v", "call"), ("call", "-v")):
        done = run(*words, demo_address, "complain")
        assert "kitchen: a word for the log" in done.stderr
        assert "a detail" not in done.stderr
    assert "a detail" in run("-v", "call", "-v", demo_address, "complain").stderr


def test_a_server_that_refuses_a_level_is_used_all_the_same(tmp_path: Path) -> None:
    modest = Modest(tmp_path, {"tools": {}, "logging": {}}, {"tools/list": {"tools": []}})
    done = run("list", "-v", "--", *modest.command)
    assert done.returncode == 0
    assert "does not accept a log level" in done.stderr
    assert modest.asked == ["logging/setLevel", "tools/list"]


ASKS_LATE = """\
import json, sys, threading, time

def send(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

roots = []
for line in sys.stdin:
    message = json.loads(line)
    method, id = message.get("method"), message.get("id")
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
        send({"id": id, "result": {**result, "serverInfo": {"name": "late", "version": "0"}}})
    elif method == "notifications/initialized":
        ask = {"id": "roots", "method": "roots/list"}
        threading.Timer(0.2, send, (ask,)).start()
    elif id == "roots":
        roots = [each["uri"] for each in message["result"]["roots"]]
    elif method == "tools/list":
        send({"id": id, "result": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}})
    elif method == "tools/call":
        send({"id": id, "result": {"content": [{"type": "text", "text": " ".join(roots)}]}})
    elif id is not None:
        send({"id": id, "error": {"code": -32601, "message": "unknown"}})
"""


def test_a_server_that_asks_for_the_roots_late_has_them_when_it_is_called(tmp_path: Path) -> None:
    program = tmp_path / "late.py"
    program.write_text(ASKS_LATE)
    words = ("call", "--output", "text", "--root", tmp_path, "t", "--", sys.executable, program)
    assert run_here(*words).stdout == f"{tmp_path.as_uri()}\n"
