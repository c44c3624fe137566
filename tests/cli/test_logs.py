"""The log of `trimcp run`: text or JSON, with a line for each HTTP request."""

from __future__ import annotations

import json
import re
import signal
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import open_client

from .harness import is_one_line, run, running

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """
import logging
from trimcp import Server

server = Server("logged")

@server.tool
async def add(a: int, b: int) -> int:
    return a + b

@server.tool
async def fail() -> str:
    logging.getLogger("mine").warning("about to fail", extra={"why": "because"})
    raise ValueError("no\\ngood")
"""


async def log_of(file: Path, *options: str) -> list[str]:
    """The lines that a server writes to standard error while it is called."""
    with running("run", "--http", "0", *options, file) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        found = re.search(r"http://[\w.:/]+", first)
        assert found is not None, first
        async with open_client(found[0]) as client:
            await client.call_tool("add", {"a": 1, "b": 2})
            await client.call_tool("fail")
        process.send_signal(signal.SIGINT)
        return [first, *process.stderr.read().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(SERVER)
    return path


async def test_verbose_has_a_line_for_each_request(file: Path) -> None:
    lines = await log_of(file, "-v")
    line = next(each for each in lines if "tools/call add" in each)
    assert re.fullmatch(
        r"[-\d]+ [\d:,]+ INFO trimcp.access: "
        r"127.0.0.1:\d+ POST /mcp 200 [\d.]+ ms tools/call add",
        line,
    )


async def test_not_verbose_has_none(file: Path) -> None:
    assert not [each for each in await log_of(file) if "trimcp.access" in each]


async def test_json(file: Path) -> None:
    first, *lines = map(json.loads, await log_of(file, "-v", "--log-format", "json"))
    assert first["logger"] == "trimcp.cli"
    assert first["message"].startswith("listening on http://127.0.0.1:")
    assert datetime.fromisoformat(first["time"]).utcoffset() is not None

    def only(**parts: Any) -> dict[str, Any]:
        (line,) = [each for each in lines if parts.items() <= each.items()]
        return line

    called = only(logger="trimcp.access", about="tools/call add")
    assert (called["level"], called["method"], called["path"]) == ("INFO", "POST", "/mcp")
    assert (called["status"], called["milliseconds"] > 0) == (200, True)
    assert only(logger="mine")["why"] == "because"
    failed = [each for each in lines if each["level"] == "ERROR"]
    assert [each["exception"].splitlines()[-2:] for each in failed] == [["ValueError: no", "good"]]


async def test_without_verbose_json_has_warnings_and_errors(file: Path) -> None:
    lines = [json.loads(each) for each in await log_of(file, "--log-format", "json")]
    assert [each["level"] for each in lines] == ["INFO", "WARNING", "ERROR"]


async def test_it_replaces_what_the_file_sets_up(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("import logging\nlogging.basicConfig(format='mine: %(message)s')\n" + SERVER)
    assert "mine: about to fail" in await log_of(file)
    assert all(json.loads(each) for each in await log_of(file, "--log-format", "json"))


def test_a_file_that_serves_while_it_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(SERVER + "\nserver.run()\n")
    done = run("run", "--http", "0", file)
    assert done.returncode == 1
    assert is_one_line(done.stderr)
    assert "app.py, line 16: RuntimeError: server.run() is called while the file" in done.stderr
    assert "if __name__ == '__main__':" in done.stderr
    file.write_text(SERVER + "\nif __name__ == '__main__':\n    server.run()\n")
    assert run("run", file).returncode == 0


def test_an_object_is_suggested(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(SERVER)
    done = run("run", f"{file}:sever")
    assert f"{file} has no 'sever'; did you mean 'server'?; write FILE:server" in done.stderr
