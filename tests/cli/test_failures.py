"""Who starts a server from the command line sees where its handler has failed; its client does not.

The server's log goes to standard error of its process, which only the starting command reads.
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import TYPE_CHECKING

import pytest

from trimcp.cli._traces import failure_in, traces_in

from .harness import is_one_line, run, screen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVER = '''\
import trio
from trimcp import Server, ToolError

server = Server("failing")


@server.tool
async def divide(by: int) -> float:
    """Divide one by a number."""
    return ratio(1, by)


def ratio(a: int, b: int) -> float:
    return a / b


@server.tool
async def nursery() -> None:
    """Fail in a child task."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)


async def child() -> None:
    raise LookupError("in a child")


@server.tool
def expected() -> None:
    """Fail as meant."""
    raise ToolError("as meant")


@server.prompt
def greet() -> str:
    return {}["nobody"]
'''

#: The same, as a program that serves itself, without any set-up of logging.
PROGRAM = f"{SERVER}\n\nif __name__ == '__main__':\n    trio.run(server.serve_stdio)\n"


@pytest.fixture(params=[SERVER, PROGRAM], ids=["served", "program"])
def failing(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / "failing.py"
    file.write_text(request.param)
    return file


@pytest.mark.parametrize("columns", [60, 120])
def test_the_user_s_own_frame_is_shown_beneath_the_sentence(failing: Path, columns: int) -> None:
    with screen("call", failing, "divide", "by=0", columns=columns) as terminal:
        assert terminal.finish() == 1
    assert terminal.lines == [
        "The tool failed unexpectedly.",
        f"  {failing}, line 14, in ratio",
        "    return a / b",
        "  ZeroDivisionError: division by zero",
        "",
    ]


def test_a_single_exception_is_not_shown_as_a_group(failing: Path) -> None:
    with screen("call", failing, "nursery") as terminal:
        assert terminal.finish() == 1
    assert terminal.lines == [
        "The tool failed unexpectedly.",
        f"  {failing}, line 25, in child",
        '    raise LookupError("in a child")',
        "  LookupError: in a child",
        "",
    ]


def test_prompts_too(failing: Path) -> None:
    with screen("prompt", failing, "greet") as terminal:
        assert terminal.finish() == 1
    assert terminal.lines[0] == "trimcp: Internal error (code -32603)"
    assert terminal.lines[-2] == "  KeyError: 'nobody'"


def test_what_the_author_meant_is_said_without_a_frame(failing: Path) -> None:
    with screen("call", failing, "expected") as terminal:
        assert terminal.finish() == 1
    assert terminal.lines == ["as meant", ""]


def test_programs_that_call_it_hear_nothing_of_it(failing: Path) -> None:
    done = run("call", failing, "divide", "by=0")
    assert done.stderr == "The tool failed unexpectedly.\n"
    assert "division" not in json.dumps(done.stdout)


# -- reading tracebacks -----------------------------------------------------------------------


def _bare() -> None:
    raise ValueError("two\nlines")


def _noted() -> None:
    error = ValueError("one")
    error.add_note("a note")
    raise error


def _caused() -> None:
    try:
        _bare()
    except ValueError as error:
        raise KeyError("second") from error


def _handled() -> None:
    try:
        raise ExceptionGroup("first", [ValueError("a"), ValueError("b")])
    except ExceptionGroup:
        _ = {}["second"]


def _several() -> None:
    raise ExceptionGroup("all", [ExceptionGroup("some", [OSError("a"), ValueError("b")]), _made()])


def _made() -> Exception:
    try:
        _caused()
    except KeyError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (_bare, [("_bare", ["ValueError: two", "lines"])]),
        (_noted, [("_noted", ["ValueError: one", "a note"])]),
        (_caused, [("_caused", ["KeyError: 'second'"])]),
        (_handled, [("_handled", ["KeyError: 'second'"])]),
        (
            _several,
            [("", ["OSError: a"]), ("", ["ValueError: b"]), ("_caused", ["KeyError: 'second'"])],
        ),
    ],
)
def test_tracebacks_are_read(
    fail: Callable[[], None], expected: list[tuple[str, list[str]]]
) -> None:
    try:
        fail()
    except Exception as error:
        text = "".join(traceback.format_exception(error))
    found = traces_in(text.splitlines())
    assert [(each.function, list(each.text)) for each in found] == expected
    assert all(each.where is None or "test_failures.py, line " in each.where for each in found)


def test_only_the_last_failure_of_a_handler_counts() -> None:
    lines = [
        "2026-01-01 10:00:00,000 ERROR trimcp.server: tools/call 'a' failed",
        "Traceback (most recent call last):",
        '  File "/srv/app.py", line 1, in a',
        "    1 / 0",
        "    ~~^~~",
        "ZeroDivisionError: division by zero",
        "2026-01-01 10:00:01,000 ERROR trimcp.server: tools/call 'b' failed",
        "Traceback (most recent call last):",
        '  File "/srv/app.py", line 7, in b',
        "    x",
        '  File "/usr/lib/python3.12/json/decoder.py", line 2, in raw_decode',
        "    y",
        "json.decoder.JSONDecodeError: Expecting value",
        "2026-01-01 10:00:02,000 INFO trimcp.server: the end",
    ]
    assert failure_in(lines) == (
        "  /srv/app.py, line 7, in b\n    x\n  json.decoder.JSONDecodeError: Expecting value"
    )
    assert failure_in(lines[1:6]) == ""


def test_a_traceback_of_which_only_the_end_is_there() -> None:
    lines = ['  File "/srv/app.py", line 1, in <module>', "ImportError: no", ""]
    [trace] = traces_in(lines)
    assert (trace.where, list(trace.text)) == ("/srv/app.py, line 1", ["ImportError: no"])


# -- programs that do not start ---------------------------------------------------------------


def test_a_program_that_dies_is_reported_with_its_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("import json\n\nimport nowhere_to_be_found\n")
    done = run("call", file, "tool")
    assert done.stderr == (
        "trimcp: the server process ended with status 1; it last wrote to standard error: "
        f"{file}, line 3: ModuleNotFoundError: No module named 'nowhere_to_be_found'\n"
    )


def test_a_program_that_does_not_serve_is_told_how(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("")
    done = run("call", "tool", "--", sys.executable, file)
    assert is_one_line(done.stderr)
    assert "`if __name__ == '__main__':`" in done.stderr
    done = run("call", file, "tool")
    assert is_one_line(done.stderr)
    assert f"write {file}:OBJECT" in done.stderr


def test_a_door_that_nobody_awaits_is_named(tmp_path: Path) -> None:
    """Python's last line about it is advice for something else."""
    file = tmp_path / "app.py"
    file.write_text(
        "from trimcp import Server\nserver = Server('s')\n"
        "if __name__ == '__main__':\n    server.serve_stdio()\n"
    )
    done = run("list", file)
    assert "coroutine 'Server.serve_stdio' was never awaited" in done.stderr
    assert "ends with `trio.run(server.serve_stdio)`" in done.stderr
