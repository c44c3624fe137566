"""The harness itself: what a test started does not outlive it, whatever stops the test."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .harness import PATIENCE, ROOT, started, witness

if TYPE_CHECKING:
    from pathlib import Path

#: A test that never ends, in one of two ways, with processes that would not either.
HANGING = """
import sys
import trio
from tests.guarantees.harness import started

async def test_hanging():
    script = "exec 3>{fifo}; trap '' TERM HUP; sleep 1000 & echo started >&3; wait; sleep 1000"
    async with started(["sh", "-c", script]):
        with open({fifo!r}, "w") as witness:
            witness.write("guarded\\n")
        {way}
"""

WAYS = {
    "waiting": "await trio.sleep_forever()",
    "busy": "while True: pass",
}


@pytest.mark.parametrize(
    ("way", "stop"), [("waiting", "signal"), ("busy", "thread"), ("waiting", "SIGKILL")]
)
async def test_a_test_that_is_stopped_leaves_no_processes(
    way: str, stop: str, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    path = tmp_path / "test_hanging.py"
    path.write_text(HANGING.format(fifo=str(fifo), way=WAYS[way]))
    method = (
        ["--timeout=1000"] if stop == "SIGKILL" else ["--timeout=5", f"--timeout-method={stop}"]
    )
    argv = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", "."]
    argv += ["-p", "no:cacheprovider", *method, str(path)]
    async with witness(fifo) as seen, started(argv) as tests:
        assert sorted(await seen.read_until(2, 3 * PATIENCE)) == ["guarded", "started"]
        if stop == "SIGKILL":
            tests.signal(signal.SIGKILL)
        await tests.wait_exit(2 * PATIENCE)
        await seen.wait_all_gone(PATIENCE)


def test_without_a_test_nobody_guards() -> None:
    """Importing the harness starts nothing."""
    program = "import tests.guarantees.harness as h; print(h.guardian._process)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert done.stdout == "None\n"
