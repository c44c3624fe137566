"""Change the protocol floor and the driver at random places, one at a time, and see tests fail.

Usage: ``python -m tests.seeded.mutants [--sample N] [--seed S] [--keep DIRECTORY] [PATH …]``

A *mutant* is the code with one small change, which is probably a fault: `<` is `<=`, `and` is `or`,
a number is greater by one, a condition is negated, a statement or a keyword argument is removed,
two arguments are swapped, a function returns None, an `except` catches something else. A mutant
that no test notices *survives*: it is equivalent to the code, or a test is missing.

The tests are imported once. They run in a new process for each mutant, which is forked from the
first and replaces the code of the functions that exist already. So only the inside of functions is
changed, and a change has no effect on what was computed during the import. At first all tests run
without a mutant, to see which functions each of them enters. A mutant is tried with the tests that
enter its function; and with all others if they are few, since what the function returns may be
remembered from test to test.

The same sample and seed give the same mutants of the same code. With `--keep`, what was found is
kept in that directory, and is not tried again. The exit status is 0, whatever survives.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest
from hypothesis import Phase, settings

from tests.seeded.mutation import ROOT, Mutant, install, sampled

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

TARGETS: Final = (
    "trimcp/protocol",
    *(
        f"trimcp/runtime/_{name}.py"
        for name in ("boundary", "calls", "channels", "connected", "handler", "life", "parking")
    ),
    "trimcp/runtime/_peer.py",
    "trimcp/runtime/_round.py",
    "trimcp/transports/_channel.py",
    "trimcp/transports/_lines.py",
)

#: Tests in memory; what needs processes and sockets is slow, and tests other code besides.
TESTS: Final = (
    "tests/protocol",
    "tests/auth/test_challenges.py",
    "tests/runtime",
    "tests/server",
    "tests/transports/test_lines.py",
    "tests/transports/test_outbox.py",
    "tests/machines/test_in_memory.py",
)

#: So few tests may enter a function because what it returns is remembered.
_FEW: Final = 20


def _sleeps(pid: int) -> bool:
    """Whether a process waits; one that only gets no processor does not. Known on Linux."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] == "S"


def forked(work: Callable[[], str], patience: int, cpu_seconds: int) -> str | None:
    """What a function returns in a forked process; empty if it crashed, None if it hung.

    Args:
        work: The function.
        patience: For so many seconds it may wait without a break.
        cpu_seconds: For so many seconds it may work.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
            with open(writer, "w") as pipe:
                pipe.write(work())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        waited = 0
        while not (is_ready := select.select([pipe], [], [], 1)[0]) and waited < patience:
            waited = waited + 1 if _sleeps(pid) else 0
        said = pipe.read() if is_ready else None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return said


class Runner:
    """A pytest plugin that runs the tests of each mutant, in place of pytest's own loop.

    Attributes:
        verdicts: What became of each mutant: `killed`, `hangs`, `survived` or `not reached`.
    """

    def __init__(self, mutants: list[Mutant], keep: Path, seconds: int, patience: int) -> None:
        self.verdicts: dict[Mutant, str] = {}
        self._mutants = mutants
        self._entered = keep / "entered.json"
        self._kept = keep / "verdicts.jsonl"
        self._seconds = seconds
        self._patience = patience
        self._failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed = report.nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        session.config.get_terminal_writer()._file = open(os.devnull, "w")  # noqa: SIM115
        if session.testsfailed:
            raise pytest.UsageError("a test cannot be imported")
        entered = json.loads(self._entered.read_text()) if self._entered.exists() else {}
        if new := [item for item in session.items if item.nodeid not in entered]:
            entered |= json.loads(forked(lambda: self._watch(new), 300, 7200) or "{}")
            self._entered.write_text(json.dumps(entered))
        kept = self._kept.read_text().splitlines() if self._kept.exists() else []
        known = {Mutant(**fields): verdict for fields, verdict in map(json.loads, kept)}
        for mutant in self._mutants:
            if mutant not in known:
                known[mutant] = self._try(mutant, session.items, entered)
                with self._kept.open("a") as file:
                    file.write(json.dumps([attrs.asdict(mutant), known[mutant]]) + "\n")
                os.write(2, f"{known[mutant]}  {mutant}\n".encode())
            self.verdicts[mutant] = known[mutant]
        return True

    def _watch(self, items: list[pytest.Item]) -> str:
        """The functions that each test enters, if it passes."""
        entered: set[str] = set()
        prefix, skipped = str(ROOT / "trimcp"), len(str(ROOT)) + 1

        def note(frame: FrameType, event: str, _: object) -> None:
            code = frame.f_code
            if event == "call" and code.co_filename.startswith(prefix):
                entered.add(f"{code.co_filename[skipped:]}:{code.co_firstlineno}")

        found = {}
        for item, following in zip(items, [*items[1:], None], strict=True):
            entered.clear()
            self._failed = ""
            sys.setprofile(note)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            sys.setprofile(None)
            found[item.nodeid] = sorted(entered)
            if self._failed:
                del found[item.nodeid]
                os.write(2, f"fails without a mutant: {self._failed}\n".encode())
        return json.dumps(found)

    def _try(self, mutant: Mutant, items: list[pytest.Item], entered: dict[str, list[str]]) -> str:
        place = f"{mutant.path}:{mutant.function}"
        passing = [item for item in items if item.nodeid in entered]
        chosen = [item for item in passing if place in entered[item.nodeid]]
        if not chosen:
            return "not reached"
        # One test of each file, then another of each: those first that enter the fewest functions.
        chosen.sort(key=lambda item: len(entered[item.nodeid]))
        ranks: Counter[Path] = Counter()
        rank = {}
        for item in chosen:
            rank[item] = ranks[item.path]
            ranks[item.path] += 1
        chosen.sort(key=rank.__getitem__)
        if len(chosen) < _FEW:
            chosen += [item for item in passing if item not in chosen]
        said = forked(lambda: self._killer(mutant, chosen), self._patience, self._seconds + 30)
        return said or "hangs"

    def _killer(self, mutant: Mutant, items: list[pytest.Item]) -> str:
        try:
            install(mutant)
        except ValueError:
            return "killed by the compiler"
        for count, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
            if time.process_time() > self._seconds:
                return f"survived {count} of {len(items)} tests"
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                return f"killed by {self._failed}"
        return f"survived {len(items)} tests"


def report(verdicts: dict[Mutant, str]) -> None:
    """Print a line for each file, and what survives."""
    counts = Counter((mutant.path, verdict.split()[0]) for mutant, verdict in verdicts.items())
    print(f"{'killed':>8}{'hangs':>8}{'survived':>10}{'not reached':>13}")
    for path in [*sorted({mutant.path for mutant in verdicts}), ""]:
        killed, hangs, survived, not_reached = (
            sum(n for (each, name), n in counts.items() if name == kind and path in ("", each))
            for kind in ("killed", "hangs", "survived", "not")
        )
        print(f"{killed:8}{hangs:8}{survived:10}{not_reached:13}  {path or 'all'}")
    for mutant, verdict in verdicts.items():
        if not verdict.startswith(("killed", "hangs")):
            print(f"{verdict}  {mutant}")
    noticed = sum(verdict.startswith(("killed", "hangs")) for verdict in verdicts.values())
    print(f"{noticed} of {len(verdicts)} noticed")


def main() -> int:
    parser = argparse.ArgumentParser(description="Change the code, and see tests fail.")
    parser.add_argument("path", nargs="*", help="files and directories; all by default")
    parser.add_argument("--sample", type=int, default=300, help="how many (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="which of them (default: 1)")
    parser.add_argument("--examples", type=int, default=100, help="of a property (default: 100)")
    parser.add_argument("--seconds", type=int, default=60, help="for a mutant (default: 60 s)")
    parser.add_argument("--patience", type=int, default=20, help="before it hangs (default: 20 s)")
    parser.add_argument("--keep", type=Path, help="a directory for what was found")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="what may notice a mutant")
    options = parser.parse_args()
    # That there is a failure is enough, and it need not be small.
    settings.register_profile(
        "mutants",
        max_examples=options.examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
    )
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        keep = options.keep or Path(scratch)
        keep.mkdir(parents=True, exist_ok=True)
        mutants = sampled(options.path or TARGETS, options.sample, options.seed)
        runner = Runner(mutants, keep.resolve(), options.seconds, options.patience)
        arguments = [*options.tests, "--timeout=600", "-p", "no:cacheprovider"]
        # Hypothesis is imported already, for its profile.
        arguments += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
        status = pytest.main(arguments, [runner])
    report(runner.verdicts)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
