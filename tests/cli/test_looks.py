"""What people see at a terminal: colours, layout, a sign of life, chunks as they come."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import JSON_VALUES
from trimcp.cli._bounds import bounds
from trimcp.cli._colours import as_text, coloured, of_json
from trimcp.cli._terminal import waiting_line

from .conftest import served
from .harness import run, screen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = '''
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import trio
from pydantic import BaseModel, Field

from trimcp import Context, Final, Server

server = Server("looks", version="1.0")
opened = trio.Event()


@server.tool
async def report() -> str:
    """A report as JSON, which is text."""
    rows = [{"name": "Ada \\x1b[31m", "age": 36, "is_here": True, "note": None}]
    return json.dumps({"rows": rows})


@server.tool
async def fail() -> str:
    raise ValueError


@server.tool
async def dawdle(ctx: Context) -> str:
    """Say nothing until the other tool opens."""
    await opened.wait()
    return "done"


@server.tool
async def open_it() -> str:
    opened.set()
    return "opened"


@server.tool
async def words() -> AsyncIterator[str]:
    for word in ["one", "two", "three"]:
        yield word


@server.tool
async def many(count: int) -> AsyncIterator[dict[str, int]]:
    for number in range(count):
        yield {"row": number}


@server.tool
async def hang(ctx: Context) -> str:
    await ctx.report_progress(1, 4, "x" * 200)
    await trio.sleep_forever()
    return ""


@server.tool
async def sleep() -> str:
    await trio.sleep_forever()
    return ""


@server.tool
async def rows() -> AsyncIterator[dict[str, int]]:
    for number in range(2):
        yield {"row": number}


@server.tool
async def summed() -> AsyncIterator[int | Final[str]]:
    yield 1
    yield 2
    yield Final("3 in all")


class Order(BaseModel):
    count: int = Field(ge=1, le=10)
    name: str = Field(min_length=3, max_length=8)
    share: float = Field(gt=0, lt=1)
    pin: str = Field(min_length=4, max_length=4)


@server.tool
async def order(ctx: Context) -> str:
    return (await ctx.elicit("What may it be?", Order)).model_dump_json()
'''


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("looks"), SERVER) as where:
        yield where


class Picture:
    """What a terminal shows in the end, with the colours.

    Attributes:
        lines: The lines with something in them.
    """

    def __init__(self, text: str, columns: int) -> None:
        self._screen = pyte.Screen(columns, 60)
        pyte.Stream(self._screen).feed(text)
        self.lines = [line.rstrip() for line in self._screen.display if line.strip()]

    def colours_of(self, text: str) -> set[tuple[str, bool]]:
        """The colour and the weight of the letters of a text, where it stands first."""
        for number, line in enumerate(self._screen.display):
            if (place := line.find(text)) >= 0:
                row = self._screen.buffer[number]
                letters = (row[place + each] for each in range(len(text)) if text[each] != " ")
                return {(letter.fg, letter.bold) for letter in letters}
        raise AssertionError(f"{text!r} is not on the screen: {self.lines}")


def picture(*words: str, columns: int = 80) -> Picture:
    """The screen after a command."""
    with screen(*words, columns=columns, colours=True) as terminal:
        terminal.finish()
    return Picture(terminal.text, columns)


@pytest.mark.parametrize("columns", [60, 120])
def test_results_are_laid_out_and_coloured(address: str, columns: int) -> None:
    shown = picture("call", address, "report", columns=columns)
    assert shown.lines == [
        "{",
        '  "rows": [',
        "    {",
        r'      "name": "Ada \u001b[31m",',
        '      "age": 36,',
        '      "is_here": true,',
        '      "note": null',
        "    }",
        "  ]",
        "}",
    ]
    assert shown.colours_of('"age"') == {("cyan", False)}
    assert shown.colours_of("36") == {("magenta", False)}
    assert shown.colours_of('"Ada') == {("green", False)}
    assert shown.colours_of("true") == {("magenta", False)}


@pytest.mark.parametrize("columns", [60, 120])
def test_headings_stand_out(address: str, columns: int) -> None:
    shown = picture("list", address, columns=columns)
    assert shown.lines[0].split() == ["TOOL", "ARGUMENTS", "DESCRIPTION"]
    assert shown.colours_of("TOOL") == {("default", True)}
    assert shown.colours_of("report") == {("default", False)}
    assert max(map(len, shown.lines)) <= columns
    facts = picture("inspect", address, columns=columns)
    assert facts.colours_of("revision") == {("default", True)}
    assert facts.colours_of("2026-07-28") == {("default", False)}


def test_failures_stand_out(address: str) -> None:
    assert picture("call", address, "fail").colours_of("failed") == {("red", False)}
    shown = picture("call", address, "fial")
    assert shown.colours_of("trimcp:") == {("red", False)}
    assert shown.colours_of("did you mean") == {("default", False)}


def test_pipes_get_no_colours_and_texts_unchanged(address: str) -> None:
    done = run("call", address, "report", "--output", "text")
    assert done.stdout.startswith('{"rows": [{"name": "Ada')
    assert "\x1b" not in run("list", address, "--output", "text").stdout


def test_who_wants_no_colours_gets_none(address: str) -> None:
    with screen("list", address, "--color", "never", colours=True) as terminal:
        terminal.finish()
    assert "\x1b" not in terminal.text
    with screen("list", address) as terminal:
        terminal.finish()
    assert "\x1b" not in terminal.text, "NO_COLOR is set"
    with screen("list", address, "--color", "always") as terminal:
        terminal.finish()
    assert "\x1b[1mTOOL" in terminal.text
    done = run("call", address, "report", "--color", "always", "--output", "text")
    assert '\n    {\n      \x1b[36m"name"' in done.stdout
    done = run("call", address, "report", "--color", "always", "--output", "json")
    assert '\x1b[36m"content"\x1b[0m' in done.stdout
    assert run("list", address, "--color", "sometimes").returncode == 2


@given(st.text() | JSON_VALUES.map(repr))
def test_colours_change_no_text(text: str) -> None:
    assert as_text(of_json(text)) == text
    painted = "".join(coloured(piece, style) for piece, style in of_json(text))
    assert re.sub(r"\x1b\[\d*m", "", painted) == re.sub(r"\x1b\[\d*m", "", text)


# -- while it works ---------------------------------------------------------------------------


def test_something_turns_while_nothing_is_reported(address: str) -> None:
    with screen("call", address, "dawdle", columns=60) as terminal:
        terminal.wait_for("/ waiting for the answer, 1 s")
        assert run("call", address, "open_it").returncode == 0
        assert terminal.finish() == 0
    assert Picture(terminal.text, 60).lines == ["done"]


@pytest.mark.parametrize("columns", [20, 60, 120])
@pytest.mark.parametrize(("tool", "shown"), [("hang", "[#####"), ("sleep", "waiting")])
def test_ctrl_c_leaves_the_line_clean(address: str, columns: int, tool: str, shown: str) -> None:
    """Also of `^C`, which the terminal itself shows."""
    with screen("call", address, tool, columns=columns) as terminal:
        terminal.wait_for(shown)
        terminal.type("\x03")
        # Then comes the signal, where the terminal is that of the process.
        terminal.wait_for("^C")
        terminal.interrupt()
        assert terminal.finish() == 130
    assert Picture(terminal.text, columns).lines == []


@pytest.mark.parametrize("width", [1, 20, 60])
def test_the_sign_of_life_fits(width: int) -> None:
    shown = [waiting_line(step, 12.3, width) for step in range(5)]
    assert [line[0] for line in shown] == list("|/-\\|")
    assert max(map(len, shown)) <= width


# -- streams ----------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_chunks_are_shown_as_they_come(address: str, revision: str) -> None:
    def lines_of(tool: str) -> list[str]:
        return picture("call", "--revision", revision, address, tool).lines

    assert lines_of("words") == ["one", "two", "three"], "the result is the last chunk"
    assert lines_of("rows") == ["{", '  "row": 0', "}", "{", '  "row": 1', "}"]
    assert lines_of("summed") == ["1", "2", "3 in all"]


def test_as_many_chunks_as_the_connection_brings(address: str) -> None:
    """A consumer that takes one at a time would be slower than the connection."""
    with screen("call", address, "many", "count=15000") as terminal:
        assert terminal.finish() == 0
    assert [int(each) for each in re.findall(r'"row": (\d+)', terminal.text)] == [*range(15_000)]


def test_pipes_get_the_result_of_a_stream_only(address: str) -> None:
    assert run("call", address, "words", "--output", "text").stdout == "three\n"
    assert run("call", address, "summed", "--output", "text").stdout == "3 in all\n"


# -- questions --------------------------------------------------------------------------------


def test_questions_show_their_bounds(address: str) -> None:
    with screen("call", address, "order") as terminal:
        for prompt, answer in [
            ("count (integer, 1 to 10): ", "3"),
            ("name (string, 3 to 8 characters): ", "Anna"),
            ("share (number, more than 0, less than 1): ", "0.5"),
            ("pin (string, exactly 4 characters): ", "1234"),
        ]:
            terminal.wait_for(prompt)
            terminal.type(f"{answer}\n")
        assert terminal.finish() == 0


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 0}, "at least 0"),
        ({"type": "integer", "maximum": 10**400}, ""),
        ({"type": "number", "multipleOf": 0.5, "minimum": 1.5}, "at least 1.5, a multiple of 0.5"),
        ({"type": "string", "minLength": 1}, "at least 1 character"),
        ({"type": "string", "minLength": 0, "maxLength": 1}, "at most 1 character"),
        ({"type": "string", "minLength": 1, "format": "email"}, "at least 1 character, email"),
        ({"type": "array", "minItems": 1, "maxItems": 3}, "1 to 3 values"),
        ({"type": "string", "minimum": 3}, ""),
        ({"type": "integer", "minimum": "3", "maximum": True}, ""),
        (True, ""),
    ],
)
def test_bounds_in_words(schema: object, words: str) -> None:
    assert bounds(schema, {}) == words


# -- completion -------------------------------------------------------------------------------

COMPLETE = """
source /dev/stdin <<< "$(%s -m trimcp --completion bash)"
COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_trimcp
printf '%%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("trimcp l", {"list", "listen", "login", "logout"}),
        ("trimcp call --a", {"--answer", "--auth", "--assertion-env", "--assertion-file"}),
        ("trimcp run --log-format ", {"text", "json"}),
        ("trimcp run ap", {"app.py"}),
        ("trimcp install cl", {"claude-desktop", "claude-code"}),
        ("trimcp install cursor ap", {"app.py"}),
    ],
)
def test_words_are_completed(tmp_path: Path, words: str, expected: set[str]) -> None:
    (tmp_path / "app.py").touch()
    last = '""' if words.endswith(" ") else ""
    done = subprocess.run(
        ["bash", "-c", COMPLETE % (sys.executable, words + last)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (set(done.stdout.split()), done.stderr) == (expected, "")


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells(shell: str) -> None:
    done = run("--completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "install" in done.stdout
