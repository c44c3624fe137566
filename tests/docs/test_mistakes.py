"""The page about mistakes: each of its programs says what the page quotes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.cli.harness import PATIENCE, environment, screen

from .pages import DOCS, blocks

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = (DOCS / "when-something-goes-wrong.md").read_text()

#: Columns of the terminal on which the page's output was written.
COLUMNS: Final = 120

#: What the page writes for the interpreter.
PYTHON: Final = "/usr/bin/python3"


class Mistake(NamedTuple):
    """One mistake.

    Attributes:
        name: Its heading.
        program: The text of `server.py`.
        command: What is typed.
        lines: What is said then; `...` stands for anything, alone for any lines.
    """

    name: str
    program: str
    command: str
    lines: list[str]


def mistakes(page: str) -> list[Mistake]:
    """The mistakes of a page; one without a program has the page's first."""
    found = []
    first = ""
    for section in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        name = section.splitlines()[0]
        program = "".join(blocks(section, "python"))
        first = first or program
        for block in blocks(section, "text"):
            command, *lines = block.splitlines()
            found.append(Mistake(name, program or first, command.removeprefix("$ "), lines))
    return found


MISTAKES: Final = mistakes(PAGE)


def said(command: str) -> list[str]:
    """What a command says, on a terminal if it is ours."""
    program, *words = shlex.split(command)
    words = [sys.executable if word == "python" else word for word in words]
    if program == "trimcp":
        with screen(*words, columns=COLUMNS) as terminal:
            terminal.finish()
        lines = terminal.lines
    else:
        done = subprocess.run(
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(),
            check=False,
        )
        lines = done.stderr.splitlines()
    return [line.replace(sys.executable, PYTHON) for line in lines]


def pattern(lines: list[str]) -> str:
    """What matches a page's lines."""
    each = [re.escape(line).replace(r"\.\.\.", ".*") for line in lines]
    return "".join(r"(?:.*\n)*" if line == ".*" else f"{line}\n" for line in each)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_answered_as_the_page_says(
    mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.py").write_text(mistake.program)
    lines = said(mistake.command)
    text = "\n".join(lines).rstrip("\n") + "\n"
    assert re.fullmatch(pattern(mistake.lines), text), text


def test_there_are_many() -> None:
    assert len({mistake.name for mistake in MISTAKES}) >= 20


def test_other_words_are_noticed() -> None:
    page = "### One\n\n```python\nx\n```\n\n```text\n$ trimcp run\na\n...\nb (...)\n```\n"
    [mistake] = mistakes(page)
    assert (mistake.program, mistake.command) == ("x\n", "trimcp run")
    for text, is_same in [
        ("a\nb (1)\n", True),
        ("a\n1\n2\nb (2)\n", True),
        ("a\nb\n", False),
        ("b (1)\n", False),
        ("a\nb (1)\nc\n", False),
    ]:
        assert bool(re.fullmatch(pattern(mistake.lines), text)) is is_same
