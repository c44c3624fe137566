"""Standard streams that are closed, full, or not read."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from .harness import COMMAND, PATIENCE, environment

if TYPE_CHECKING:
    from pathlib import Path


def shell(words: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `trimcp` with words of the shell behind it."""
    return subprocess.run(
        ["bash", "-c", f'"$@" {words}', "bash", *COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )


def test_a_result_that_cannot_be_written_is_not_asked_for(demo_address: str) -> None:
    done = shell(">&-", "call", demo_address, "add", "a=1")
    assert done.returncode == 1
    assert done.stderr == (
        "trimcp: standard output is closed: send it to /dev/null if the result is not wanted\n"
    )


@pytest.mark.parametrize("words", ["2>&-", "<&-", "<&- 2>&-"])
def test_the_others_need_not_be_open(demo: Path, words: str) -> None:
    """The server's pipes do not get the numbers that are free."""
    done = shell(words, "call", "--output", "text", demo, "add", "a=1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def test_nothing_is_open(demo: Path) -> None:
    done = shell("<&- >&- 2>&-", "call", demo, "add", "a=1")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_full_disk_is_told(demo_address: str) -> None:
    done = shell("> /dev/full", "call", demo_address, "add", "a=1")
    assert done.returncode == 1
    assert done.stderr == "trimcp: [Errno 28] No space left on device\n"


def test_nobody_reads(demo_address: str) -> None:
    done = shell("| true; exit ${PIPESTATUS[0]}", "list", demo_address)
    assert done.returncode in (0, 141)
    assert done.stderr == ""
