"""Building the site, in a copy of what it is made of and without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).resolve().parents[2]

#: Runs a program in a network of its own, in which nothing can be reached.
WITHOUT_NETWORK: Final = ("unshare", "--map-root-user", "--net")

#: As it is typed, but for the interpreter.
BUILD: Final = (sys.executable, "-m", "zensical", "build", "--strict")

#: What the generator says when all is well.
_EXPECTED: Final = re.compile(r"Build started|No issues found|Build finished in [\d.]+m?s|")

_PATIENCE: Final = 100.0


@attrs.frozen
class Built:
    """A site that was built, or could not be.

    Attributes:
        directory: Its files.
        status: The exit status of the generator.
        complaints: The lines of its output that are not said when all is well.
    """

    directory: Path
    status: int
    complaints: list[str]


def copy(directory: Path) -> Path:
    """What the site is made of, in a directory of its own."""
    without_bytecode = shutil.ignore_patterns("__pycache__")
    for name in ("docs", "trimcp"):
        shutil.copytree(ROOT / name, directory / name, ignore=without_bytecode)
    shutil.copy(ROOT / "mkdocs.yml", directory)
    # Pages link to these; that they are there is all that the site wants of them.
    for name in ("README.md", "benchmarks", "tests"):
        (directory / name).symlink_to(ROOT / name)
    return directory


def build(project: Path) -> Built:
    """Build a site as its users do, but without a network."""
    done = subprocess.run(
        [*WITHOUT_NETWORK, *BUILD],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    complaints = [line for line in lines if not _EXPECTED.fullmatch(line)]
    return Built(project / "site", done.returncode, complaints)
