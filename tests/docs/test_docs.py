"""What the pages show is true: excerpts, links, commands and their output."""

from __future__ import annotations

import inspect
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from trimcp import Limits, Server, Statistics, errors
from trimcp.client import ClientOptions

from .pages import DOCS, EXAMPLES, ROOT, blocks, broken_links, commands, is_excerpt, links, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

#: Pages with tests of their own, since not all of their programs are in docs/examples.
ELSEWHERE = {"testing.md", "conformance.md", "benchmarks.md", "when-something-goes-wrong.md"}

PAGES = sorted(DOCS.glob("*.md"))
OURS = [page for page in PAGES if page.name not in ELSEWHERE]

#: Seconds for one command of a page.
PATIENCE = 60.0


def names(pages: list[Path]) -> list[str]:
    return [page.name for page in pages]


@pytest.mark.parametrize("page", OURS, ids=names(OURS))
def test_programs_are_excerpts(page: Path) -> None:
    programs = [path.read_text() for path in EXAMPLES.rglob("*.py")]
    strangers = [
        block
        for block in blocks(page.read_text(), "python")
        if not any(is_excerpt(block, program) for program in programs)
    ]
    assert strangers == []


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("a = 1\n", True),
        ("b = 2\nc = 3\n", True),
        ("b = 2\n\nc = 3\n", False),
        ("= 1\n", False),
        ("c = \n", False),
    ],
)
def test_excerpts_are_whole_lines(block: str, found: bool) -> None:
    assert is_excerpt(block, "a = 1\nif a:\n    b = 2\n    c = 3\n") is found


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=["README.md", *names(PAGES)])
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Some *words*: here\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Top\n[a](other.md) [b](other.md#some-words-here) [c](#top) [d](https://e.org/nowhere)\n"
        "[e](no.md) [f](other.md#no)\n[g](#no)\n```\n[h](no.md)\n```\n"
    )
    assert broken_links(page) == ["no.md", "other.md#no", "#no"]


def test_every_page_is_on_the_map() -> None:
    mapped = set(links((DOCS / "index.md").read_text()))
    assert {page.name for page in PAGES} - mapped - ELSEWHERE - {
        "index.md",
        "changelog.md",
    } == set()


def test_every_program_is_on_a_page() -> None:
    shown = {link for page in [ROOT / "README.md", *PAGES] for link in links(page.read_text())}
    shown_names = {link.rpartition("/")[2] for link in shown}
    unseen = {path.name for path in EXAMPLES.rglob("*.py")} - shown_names
    assert unseen <= {"quickstart.py"}


def parameters(function: Callable[..., Any]) -> set[str]:
    """What can be given to a function by name."""
    named = inspect.signature(function).parameters.values()
    return {each.name for each in named if each.kind is not each.POSITIONAL_ONLY} - {"self"}


@pytest.mark.parametrize(
    ("page", "heading", "expected"),
    [
        ("tools.md", "Options", parameters(Server.tool)),
        ("resources.md", "Options", parameters(Server.resource)),
        ("lifespan.md", "Options of `Server`", parameters(Server)),
        ("client.md", "Options", set(ClientOptions.__annotations__)),
        ("limits-and-errors.md", "Limits", {field.name for field in attrs.fields(Limits)}),
    ],
)
def test_every_option_is_in_its_table(page: str, heading: str, expected: set[str]) -> None:
    assert set(rows((DOCS / page).read_text(), heading)) == expected


def test_limits_have_the_defaults_that_the_page_says() -> None:
    units = {"": 1, "KiB": 1024, "MiB": 1024**2}
    table = rows((DOCS / "limits-and-errors.md").read_text(), "Limits")
    said: dict[str, float] = {}
    for name, (default, *_) in table.items():
        if default == "none":
            said[name] = math.inf
            continue
        number, unit = re.match(r"(\d+)(?: ([KM]iB))?", default).groups("")  # type: ignore[union-attr]
        said[name] = int(number) * units[unit]
    assert said == attrs.asdict(Limits())


def test_statistics_are_all_named() -> None:
    page = (DOCS / "limits-and-errors.md").read_text()
    (sentence,) = re.findall(r"how much is in use: ([^.]*)\.", page)
    assert re.findall(r"`(\w+)`", sentence) == [each.name for each in attrs.fields(Statistics)]


def test_every_exception_is_in_the_tree() -> None:
    page = (DOCS / "limits-and-errors.md").read_text()
    (tree,) = blocks(page, "")
    assert set(re.findall(r"^[│├└─ ]*(\w+)", tree, re.MULTILINE)) == set(errors.__all__)


#: Pages with commands to run.
CONSOLES = [page for page in OURS if commands(page.read_text())]


@pytest.mark.parametrize("page", CONSOLES, ids=names(CONSOLES))
def test_commands_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "docs" / "examples")
    for command, output in commands(page.read_text()):
        program, *arguments = shlex.split(command)
        if program == "rm":
            for name in arguments:
                (tmp_path / name).unlink()
            continue
        if program == "trimcp":
            # Text is the default on a terminal only.
            arguments = ["-m", "trimcp", *arguments, "--output", "text"]
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "NOTES"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert program in ("python", "trimcp")
        assert (done.returncode, done.stdout) == (0, output), done.stderr
