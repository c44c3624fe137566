"""The log of `trimcp run`: text or JSON, with a line for each HTTP request."""

from __future__ import annotations

import json
import re
import signal
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import open_client

from .harness import is_one_line, run, running, screen

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


#: Calls of `logging` and `warnings` that are hard to write as JSON.
ODD = """
import warnings
log = logging.getLogger("odd")

@server.on_startup
async def say_it() -> None:
    log.error("bad %d", "x")
    log.error("a number", extra={"number": float("nan")})
    log.warning("names", extra={"level": 3})
    warnings.warn("be careful")
"""


EVIL = """
@server.on_startup
async def say_it() -> None:
    logging.getLogger("mine").error("a \\x1b[31m word")
"""


async def log_of(file: Path, *options: str) -> list[str]:
    """The lines that a server writes to standard error while it is called."""
    with running("run", "--http", "0", *options, file) as process:
        assert process.stderr is not None
        before: list[str] = []
        found = None
        while found is None:
            before.append(process.stderr.readline())
            assert before[-1], before
            found = re.search(r"http://[\w.:/]+", before[-1])
        async with open_client(found[0]) as client:
            await client.call_tool("add", {"a": 1, "b": 2})
            await client.call_tool("fail")
        process.send_signal(signal.SIGINT)
        return [*before, *process.stderr.read().splitlines()]


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


async def test_json_whatever_is_logged(tmp_path: Path) -> None:
    """Each line, also what Python's own `logging` would write pages about."""
    file = tmp_path / "app.py"
    file.write_text(f"{SERVER}\n{ODD}")
    lines = [json.loads(each) for each in await log_of(file, "--log-format", "json")]
    odd = [each for each in lines if each["logger"] in ("odd", "py.warnings")]
    assert [each["message"].partition(" ")[0] for each in odd][:1] == ["bad"]
    assert "TypeError" in odd[0]["message"]
    assert odd[1]["number"] == "nan"
    assert odd[2]["level"] == "WARNING"
    assert odd[2]["extra_level"] == 3
    assert "be careful" in odd[3]["message"]


@pytest.mark.parametrize("text", ["1 / 0", "if:", "import nothing_like_this", "x = 1"])
def test_json_when_the_file_cannot_be_served(tmp_path: Path, text: str) -> None:
    file = tmp_path / "app.py"
    file.write_text(text)
    done = run("run", "-v", "--log-format", "json", "--http", "0", file)
    [line] = [json.loads(each) for each in done.stderr.splitlines()]
    assert (done.returncode, line["level"], line["logger"]) == (1, "ERROR", "trimcp.cli")
    assert "app.py" in line["message"]


def test_a_terminal_gets_no_control_characters_of_a_client(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(SERVER + EVIL)
    with screen("run", file) as terminal:
        terminal.wait_for("serving on standard input")
        terminal.type("\x04")
        assert terminal.finish() == 0
    assert r"a \x1b[31m word" in terminal.text


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
