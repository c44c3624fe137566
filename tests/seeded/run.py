"""Put deliberate faults into copies of the project, one at a time, and see whether tests fail.

Usage: ``python tests/seeded/run.py [NAME …] [--jobs N]``

A fault is a patch beside this file, and ``NAME`` its path without the suffix: `answered-twice`,
`survivors/state-of-another-method`; a directory's name stands for all that are in it. Without
names all are tried. A patch begins with two fields::

    Fault: One sentence: what is wrong with it, seen from outside.
    Found by: tests/path/test_file.py tests/other/test_file.py::test_name

The tests named there run first on a copy without a fault, where they have to pass, then on a copy
with it, with the examples of the profile `ci`. The exit status is 1 if a fault was not found or a
patch does not apply any more.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent

#: Seconds for the tests of one fault.
_PATIENCE: Final = 900

#: Seconds for a single test: a fault that stops everything is found too, only later.
_PATIENCE_OF_A_TEST: Final = 120

#: pytest's exit status when a test has failed.
_TESTS_FAILED: Final = 1

#: What is printed when a test hangs. Trio does not survive how it is stopped, nor does pytest.
_HANGS: Final = "from pytest-timeout"


@attrs.frozen
class Fault:
    """A deliberate fault.

    Attributes:
        name: Where its patch is, without the suffix.
        summary: What is wrong with it.
        tests: What finds it, as arguments for pytest.
    """

    name: str
    summary: str
    tests: tuple[str, ...]

    @property
    def patch(self) -> Path:
        return HERE / f"{self.name}.patch"

    @classmethod
    def read(cls, patch: Path) -> Fault:
        """Read a patch's fields.

        Raises:
            ValueError: A field is missing.
        """
        header, _, _ = patch.read_text().partition("\ndiff --git ")
        fields: dict[str, str] = {}
        name = ""
        for line in header.splitlines():
            key, colon, value = line.partition(": ")
            if colon and key in {"Fault", "Found by"}:
                name = key
                fields[name] = value
            elif name and line.strip():
                fields[name] += " " + line.strip()
        if missing := {"Fault", "Found by"} - fields.keys():
            raise ValueError(f"{patch}: a field is missing: {', '.join(sorted(missing))}")
        path = str(patch.relative_to(HERE).with_suffix(""))
        return cls(path, fields["Fault"], tuple(fields["Found by"].split()))


@attrs.frozen
class Trial:
    """How the tests went on one copy.

    Attributes:
        verdict: `found`, or what else became of it.
        seconds: How long they took.
        output: What they printed.
    """

    verdict: str
    seconds: float
    output: str


def faults(names: Sequence[str] = ()) -> list[Fault]:
    """The faults of these names, or all, in the order of their names.

    Raises:
        ValueError: There is none of a name, or a patch has no fields.
    """
    known = [Fault.read(patch) for patch in sorted(HERE.rglob("*.patch"))]
    if not names:
        return known
    chosen = []
    for name in names:
        found = [fault for fault in known if (fault.name + "/").startswith(name.rstrip("/") + "/")]
        if not found:
            raise ValueError(f"there is no fault {name!r} in {HERE}")
        chosen += found
    return chosen


def applies(fault: Fault) -> str:
    """Why a patch does not apply to the project as it is; empty if it does."""
    command = ["git", "apply", "--check", str(fault.patch)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr


def make_copy(place: Path) -> None:
    """Copy what belongs to the project to a directory: what git has or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in map(os.fsdecode, filter(None, listed.split(b"\0"))):
        if (ROOT / name).is_file():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


async def run_tests(place: Path, tests: Iterable[str]) -> tuple[int | None, str]:
    """Run tests on the copy in a directory.

    Returns:
        pytest's exit status, None if it took too long, and what was printed.
    """
    command = [sys.executable, "-m", "pytest", "-x", f"--timeout={_PATIENCE_OF_A_TEST}", *tests]
    environment = {
        **os.environ,
        "PYTHONPATH": str(place),
        # The examples of `ci`; that there is a failure is enough, and it need not be small.
        "HYPOTHESIS_PROFILE": "first",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }
    with trio.move_on_after(_PATIENCE):
        done = await trio.run_process(
            command,
            cwd=place,
            env=environment,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")
    return None, f"the tests did not end within {_PATIENCE} s"


async def attempt(fault: Fault, clean: Path) -> Trial:
    """Put a fault into a copy of a copy, and run the tests that have to fail."""
    began = trio.current_time()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "trimcp"
        await trio.to_thread.run_sync(shutil.copytree, clean, place)
        patched = await trio.run_process(
            ["git", "apply", str(fault.patch)],
            cwd=place,
            # Else git would look for a repository around the copy, and apply nothing in it.
            env={**os.environ, "GIT_CEILING_DIRECTORIES": scratch},
            capture_stderr=True,
            check=False,
        )
        if patched.returncode:
            return Trial("does not apply", 0, patched.stderr.decode())
        status, output = await run_tests(place, fault.tests)
    seconds = trio.current_time() - began
    if status == _TESTS_FAILED or (status and _HANGS in output):
        return Trial("found", seconds, output)
    return Trial("NOT FOUND" if status == 0 else f"NO VERDICT ({status})", seconds, output)


async def passes_without(chosen: Iterable[Fault], clean: Path) -> bool:
    """Whether all tests that find something pass while there is no fault."""
    tests = dict.fromkeys(test for fault in chosen for test in fault.tests)
    status, output = await run_tests(clean, tests)
    if status:
        print(f"Tests fail without a fault:\n{output}")
    return status == 0


async def main(chosen: list[Fault], jobs: int) -> bool:
    """Try faults, a number of them at a time, and print what became of each."""
    limiter = trio.CapacityLimiter(jobs)
    found = 0

    async def take(fault: Fault, clean: Path) -> None:
        nonlocal found
        async with limiter:
            trial = await attempt(fault, clean)
        found += trial.verdict == "found"
        verdict = f"{trial.verdict:9} {trial.seconds:4.0f} s"
        print(f"{verdict}  {fault.name}: {fault.summary}", flush=True)
        if trial.verdict != "found":
            print(trial.output)

    with tempfile.TemporaryDirectory() as scratch:
        clean = Path(scratch) / "trimcp"
        make_copy(clean)
        if not await passes_without(chosen, clean):
            return False
        async with trio.open_nursery() as nursery:
            for fault in chosen:
                nursery.start_soon(take, fault, clean)
    print(f"{found} of {len(chosen)} found")
    return found == len(chosen)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Put deliberate faults in, and see tests fail.")
    parser.add_argument("name", nargs="*", help="a fault, or a directory of them; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time (default: 1)")
    options = parser.parse_args()
    sys.exit(not trio.run(main, faults(options.name), options.jobs))
