"""The verdict of `benchmarks/soak.py` can fail: each fault that it watches for makes it bad."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

BENCHMARKS: Final = Path(__file__).resolve().parents[2] / "benchmarks"


def _report() -> Any:
    """The module that judges, as the script finds it beside itself."""
    spec = importlib.util.spec_from_file_location("soak_report", BENCHMARKS / "soak_report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look for their own module.
    sys.modules["soak_report"] = module
    spec.loader.exec_module(module)
    return module


judge: Final = _report()

KIND: Final = ("http", "calls")


def a_run() -> Any:
    """A run in which everything is as it should be."""
    held = {"memory": 1_000_000, "tasks": 5, "descriptors": 7, "blocks": 1000}
    watched = judge.Watched(
        "http",
        before=judge.Holdings(**held, statistics={"connections": 1}),
        after=judge.Holdings(**held, statistics={"connections": 1}),
        done=100,
        status=0,
    )
    return judge.Run(60, [watched], Counter({KIND: 100}), {KIND})


def grown(**what: Any) -> Callable[[Any], None]:
    """The server holds this in the end."""

    def change(run: Any) -> None:
        [watched] = run.watched
        watched.after = dataclasses.replace(watched.after, **what)

    return change


FAULTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a task more": ("http, tasks", grown(tasks=6)),
    "a task less": ("http, tasks", grown(tasks=4)),
    "a descriptor more": ("http, descriptors", grown(descriptors=8)),
    "a connection more": ("http, statistics", grown(statistics={"connections": 2})),
    "memory": ("http, memory", grown(memory=1_000_000 + judge.MEMORY_SLACK + 1)),
    "objects": ("http, objects", grown(blocks=1000 + judge.BLOCKS_SLACK + 51)),
    "an error in the log": ("http, errors in the log", lambda run: run.watched[0].log.append("x")),
    "an exit status": ("http, exit status", lambda run: setattr(run.watched[0], "status", -9)),
    "nothing seen": ("http", lambda run: setattr(run.watched[0], "after", None)),
    "a kind left out": ("kinds of work done", lambda run: run.expected.add(("http", "streams"))),
    "work that failed": ("work that failed", lambda run: setattr(run, "failed", 1)),
    "an orphan": ("processes left behind", lambda run: run.orphans.append("python")),
}


def bad(run: Any) -> list[str]:
    return [each.what for each in judge.findings(run) if not each.is_good]


def test_a_good_run() -> None:
    run = a_run()
    assert bad(run) == []
    assert "all 10 are good" in judge.report(run, judge.findings(run))


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_noticed(name: str) -> None:
    what, spoil = FAULTS[name]
    run = a_run()
    spoil(run)
    assert bad(run) == [what]
    assert f"- {what}: " in judge.report(run, judge.findings(run))
    assert "1 of " in judge.report(run, judge.findings(run))


def test_growth_is_allowed_for_work() -> None:
    """A bound for each piece of work, and a slack."""
    run = a_run()
    run.watched[0].done = 1_000_000
    grown(memory=100_000_000, blocks=400_000)(run)
    assert bad(run) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(600)
def test_a_server_with_leaks_fails() -> None:
    """The whole program against servers that leak in each way: status 1, and each is named."""
    command = [sys.executable, str(BENCHMARKS / "soak.py"), "--seconds", "4", "--patience", "5"]
    command += ["--leak", "memory,tasks,descriptors,log,answers"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line for line in ran.stdout.splitlines() if line.endswith(": BAD")]
    assert ran.returncode == 1
    assert "Verdict: " in ran.stdout, ran.stderr
    for what in ("tasks", "descriptors", "memory", "errors in the log"):
        assert any(f", {what}: " in line for line in found), ran.stdout
    assert any(line.startswith("- work that failed: ") for line in found), ran.stdout
    assert not any(line.startswith("- client, tasks") for line in found), ran.stdout
