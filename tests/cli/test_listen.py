"""`trimcp listen`."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from .conftest import served
from .harness import PATIENCE, is_one_line, run_here, running, screen
from .servers import CHANGING, Modest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

REVISIONS = ["2025-11-25", "2026-07-28"]

by_era = pytest.mark.parametrize("revision", REVISIONS)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where a server of its own listens, since it changes."""
    with served(tmp_path, CHANGING) as address:
        yield address


def call(address: str, tool: str, *words: str) -> None:
    done = run_here("call", address, tool, *words)
    assert done.returncode == 0, done.stderr


def said(process: subprocess.Popen[str]) -> str:
    """The next line on standard error."""
    assert process.stderr is not None
    return process.stderr.readline().rstrip("\n")


def wait_until_it_listens(process: subprocess.Popen[str]) -> None:
    """Read what it says first."""
    while not (line := said(process)).startswith("listening for changes of "):
        assert line.startswith("trimcp: the server does not tell of changes of "), line


def told(process: subprocess.Popen[str]) -> str:
    """The next line on standard output."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The status, and what else was written."""
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return process.returncode, stdout, stderr


@by_era
def test_resources(address: str, revision: str) -> None:
    words = ("--revision", revision, "--output", "text", address, "page://a", "page://b")
    with running("listen", *words) as process:
        assert said(process) == "listening for changes of page://a, page://b"
        call(address, "touch", 'names=["b","c"]')
        assert told(process) == "updated page://b"
        call(address, "touch", 'names=["a"]')
        assert told(process) == "updated page://a"


def test_lists_by_default(address: str) -> None:
    with running("listen", "--output", "text", "--count", "3", address) as process:
        assert said(process) == "listening for changes of tools, prompts, resources"
        call(address, "touch", 'names=["a"]')
        call(address, "grow")
        status, stdout, stderr = finished(process)
    lines = sorted(stdout.splitlines())
    assert lines == ["prompts changed", "resources changed", "tools changed"]
    assert (status, stderr) == (0, "")


def test_programs_get_an_object_a_line(address: str) -> None:
    with running("listen", "--lists", "--count", "4", address, "page://a") as process:
        assert said(process) == "listening for changes of page://a, tools, prompts, resources"
        call(address, "touch", 'names=["a"]')
        assert json.loads(told(process)) == {"changed": "resource", "uri": "page://a"}
        call(address, "grow")
        status, stdout, _ = finished(process)
    changes = sorted(json.loads(line)["changed"] for line in stdout.splitlines())
    assert (status, changes) == (0, ["prompts", "resources", "tools"])


def test_what_the_server_does_not_agree_to(address: str) -> None:
    """In the stateless era the rest is told of."""
    with running("listen", address, "page://a", "nobody://a\x1b[31m") as process:
        refusal = "the server does not tell of changes of nobody://a [31m"
        assert said(process) == f"trimcp: {refusal}"
        assert said(process) == "listening for changes of page://a"
    done = run_here("listen", address, "nobody://a")
    refusal = "trimcp: the server does not tell of changes of nobody://a\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", refusal)


def test_lists_that_are_not_declared(tmp_path: Path) -> None:
    """In the handshake era nobody agrees: capabilities say what is told."""
    answers = {"ping": {}}
    modest = Modest(tmp_path, {"tools": {"listChanged": True}, "prompts": {}}, answers)
    with running("listen", "--", *modest.command) as process:
        refusal = "the server does not tell of changes of prompts, resources"
        assert said(process) == f"trimcp: {refusal}"
        assert said(process) == "listening for changes of tools"
    done = run_here("listen", "--", *Modest(tmp_path, {"tools": {}}, answers).command)
    assert done.returncode == 1
    assert is_one_line(done.stderr)
    assert "does not tell of changes of tools, prompts, resources" in done.stderr


def test_a_server_of_the_handshake_era_refuses(address: str) -> None:
    words = ("--revision", "2025-11-25", address, "page://a", "nobody://a")
    done = run_here("listen", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_line(done.stderr)
    assert "nobody://a" in done.stderr


def test_the_server_ends_gracefully(address: str) -> None:
    with running("listen", address) as process:
        wait_until_it_listens(process)
        call(address, "stop")
        expected = (0, "", "the server has ended the subscription\n")
        assert finished(process) == expected


@pytest.mark.parametrize(
    ("revision", "how"), [("2025-11-25", "stop"), ("2025-11-25", "crash"), ("2026-07-28", "crash")]
)
def test_a_lost_connection_is_an_error(address: str, revision: str, how: str) -> None:
    with running("listen", "--revision", revision, address) as process:
        wait_until_it_listens(process)
        run_here("call", address, how)
        status, stdout, stderr = finished(process)
    assert (status, stdout) == (1, "")
    assert is_one_line(stderr), stderr


@by_era
def test_ctrl_c(address: str, revision: str) -> None:
    with screen("listen", "--revision", revision, address, "page://a") as terminal:
        terminal.wait_for("listening for changes of page://a")
        call(address, "touch", 'names=["a"]')
        terminal.wait_for("updated page://a")
        terminal.interrupt()
        assert terminal.finish() == 130
    assert terminal.lines == ["listening for changes of page://a", "updated page://a", ""]


def test_ctrl_c_with_a_server_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(CHANGING)
    with running("listen", f"{file}:server") as process:
        assert said(process) == "listening for changes of tools, prompts, resources"
        process.send_signal(signal.SIGINT)
        assert finished(process) == (130, "", "")
