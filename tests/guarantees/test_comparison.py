"""The comparison with other libraries runs, and says whether a promise was kept."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import trio

from benchmarks.experiments.running import TRIMCP, Experiment, Outcome
from benchmarks.guarantees import EXPERIMENTS, carry_out, table

from .harness import PATIENCE, ROOT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.experiments.running import Peer


def test_a_run_with_trimcp_alone() -> None:
    command = [sys.executable, "benchmarks/guarantees.py", "--quick", "--only", "2,10,16"]
    done = subprocess.run(
        [*command, "--peers", "trimcp"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| **kept**: ") == 3
    assert "| 3 of 3 |" in done.stdout


def small(run: Callable[[Peer], Awaitable[Outcome]], seconds: float = PATIENCE) -> Experiment:
    return Experiment(1, "promise", "measured", run, seconds, is_quick=True)


async def cell(run: Callable[[Peer], Awaitable[Outcome]], seconds: float = PATIENCE) -> str:
    """What stands in the table for what an experiment does."""
    each = small(run, seconds)
    result = await carry_out(each, TRIMCP)
    return table([each], [TRIMCP], {(each.measured, TRIMCP.name): result})


async def test_what_stands_in_the_table() -> None:
    async def kept(peer: Peer) -> Outcome:
        return Outcome("1 s", True)

    async def broken(peer: Peer) -> Outcome:
        return Outcome("a | b", False)

    async def foreign(peer: Peer) -> Outcome:
        return Outcome("no such feature", None)

    async def fails(peer: Peer) -> Outcome:
        raise ExceptionGroup("", [ValueError("of the script")])

    assert "| **kept**: 1 s |" in await cell(kept)
    assert "| 1 of 1 |" in await cell(kept)
    assert "| **not kept**: a \\| b |" in await cell(broken)
    assert "| 0 of 1 |" in await cell(broken)
    assert "| no such feature |" in await cell(foreign)
    assert "| 0 of 0 |" in await cell(foreign)
    assert "| not carried out: ValueError: of the script |" in await cell(fails)


async def test_an_experiment_has_a_deadline(autojump_clock: trio.abc.Clock) -> None:
    async def endless(peer: Peer) -> Outcome:
        await trio.sleep_forever()
        raise AssertionError

    assert "| not carried out: TooSlowError" in await cell(endless, 10)


def test_an_experiment_is_in_the_table_once() -> None:
    measured = [each.measured for each in EXPERIMENTS]
    assert len(set(measured)) == len(measured)
