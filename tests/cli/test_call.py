"""`trimcp call`, without a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .harness import COMMAND, environment, is_one_line, run, run_here

if TYPE_CHECKING:
    from pathlib import Path


def text_of(*words: str | Path) -> str:
    """What a call prints as text; it must not fail."""
    done = run_here("call", "--output", "text", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# -- servers ----------------------------------------------------------------------------------


def test_a_file(demo: Path) -> None:
    done = run("call", "--output", "text", demo, "add", "a=2", "b=3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


def test_an_object_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(
        "from trimcp import Server\n"
        "one, two = Server('one'), Server('two')\n"
        "@two.tool\ndef who() -> str: return 'two'\n"
    )
    assert text_of(f"{file}:two", "who") == "two\n"


def test_a_command_after_two_dashes(demo: Path) -> None:
    assert text_of("add", "a=2", "b=3", "--", sys.executable, demo) == "5\n"


def test_a_file_that_does_not_serve_itself(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("server = object()\n")
    done = run("call", file, "who")
    assert done.returncode == 1
    assert is_one_line(done.stderr)
    assert f"write {file}:OBJECT" in done.stderr


def test_a_server_that_dies_says_why(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("raise SystemExit('no database')")
    done = run("call", file, "who")
    assert done.returncode == 1
    assert is_one_line(done.stderr), done.stderr
    assert "status 1" in done.stderr
    assert done.stderr.endswith("no database\n")


def test_a_program_that_does_not_exist() -> None:
    done = run("call", "who", "--", "no-such-program-anywhere")
    assert done.returncode == 1
    assert done.stderr == (
        "trimcp: cannot reach no-such-program-anywhere: No such file or directory\n"
    )


# -- arguments --------------------------------------------------------------------------------


def test_values_are_typed_by_the_schema(demo_address: str) -> None:
    words = ("text=12", "times=2.5", "loud=yes", 'words=["a", "b"]', 'more={"x": 1}', "level=high")
    assert (
        text_of(demo_address, "echo", *words) == "('12', 2.5, True, ['a', 'b'], {'x': 1}, 'high')\n"
    )


def test_json_in_any_case(demo_address: str) -> None:
    assert text_of(demo_address, "echo", 'text:="a\\u0062"', "more:=null").startswith("('ab', ")


def test_json_object_is_merged_and_words_win(demo_address: str) -> None:
    assert text_of(demo_address, "add", "--json", '{"a": 5, "b": 7}', "b=1") == "6\n"
    assert text_of(demo_address, "add", "--json", '{"a": 5}') == "6\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["add"], "missing: a; add takes a (integer, required), b (integer)"),
        (["add", "a=1", "z=1"], "unknown: z; add takes a (integer, required), b (integer)"),
        (["add", "a=1", "--json", '{"y": 1}'], "unknown: y; add takes a (integer, required)"),
        (["table", "a=1"], "unknown: a; table takes no arguments"),
        (["add", "a=two"], "argument a: 'two' is not an integer"),
        (["add", "a:=two"], "argument a: Expecting value"),
        (["add", "a:=NaN"], "argument a: NaN is no JSON"),
        (["echo", "text=x", "level=mid"], "argument level: 'mid' is not one of low, high"),
        (["sub"], "no tool 'sub'; the server has add, echo, "),
    ],
)
def test_wrong_arguments_are_refused_before_the_call(
    demo_address: str, words: list[str], complaint: str
) -> None:
    done = run_here("call", demo_address, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_line(done.stderr)
    assert done.stderr.startswith(f"trimcp: {complaint}")


# -- results ----------------------------------------------------------------------------------


def test_programs_get_json(demo_address: str) -> None:
    done = run("call", demo_address, "add", "a=2")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["content"] == [{"type": "text", "text": "3"}]
    assert document["structuredContent"] == 3


def test_content_that_is_no_text_is_described(demo_address: str) -> None:
    assert text_of(demo_address, "pictures").splitlines() == [
        "[image: image/png, 5 bytes]",
        "[audio: audio/wav, 5 bytes]",
        "in between",
        "[link: file:///a, a name]",
        "[resource: file:///b, 5 characters]",
        "[resource: file:///c, 5 bytes]",
    ]


def test_structure_without_text_is_shown_as_json(demo_address: str) -> None:
    text = text_of(demo_address, "silent")
    assert json.loads(text) == {"rows": ["ä"]}
    assert "ä" in text
    assert len(text.splitlines()) > 1


def test_a_failing_tool(demo_address: str) -> None:
    done = run("call", "--output", "text", demo_address, "fail")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "This is no good.\nTry something else.\n"


def test_a_failing_tool_for_programs(demo_address: str) -> None:
    done = run_here("call", demo_address, "fail")
    assert done.returncode == 1
    assert json.loads(done.stdout)["isError"] is True
    assert done.stderr == "This is no good.\nTry something else.\n"


def test_progress_is_not_shown_to_programs(demo_address: str) -> None:
    done = run("call", "--output", "text", demo_address, "steps", "total=3")
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_nobody_can_be_asked_without_a_terminal(demo_address: str) -> None:
    done = run("call", demo_address, "ask", stdin="yes\n2\n")
    assert done.returncode == 1
    assert is_one_line(done.stderr)
    assert "elicitation" in done.stderr


# -- options ----------------------------------------------------------------------------------


def test_a_deadline(demo: Path, tmp_path: Path) -> None:
    done = run("call", "--timeout", "5", demo, "hang", f"mark={tmp_path / 'mark'}")
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_line(done.stderr)
    assert "deadline" in done.stderr
    assert (tmp_path / "mark").read_text() == "cleaned up"


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    file = tmp_path / "silent.py"
    file.write_text("import sys\nsys.stdin.read()\n")
    done = run("call", "--timeout", "0.5", file, "who")
    assert done.returncode == 1
    assert is_one_line(done.stderr)
    assert "deadline" in done.stderr


@pytest.mark.parametrize("revision", ["2024-11-05", "2026-07-28"])
def test_a_pinned_revision(demo_address: str, revision: str) -> None:
    done = run_here("call", "--revision", revision, demo_address, "add", "a=1")
    document = json.loads(done.stdout)
    assert document["content"] == [{"type": "text", "text": "2"}]
    assert ("structuredContent" in document) == (revision == "2026-07-28")


@pytest.mark.parametrize(
    ("revision", "option", "has_details"),
    [("2025-11-25", "-v", False), ("2026-07-28", "-v", False), ("2026-07-28", "-vv", True)],
)
def test_logs_are_shown_if_wanted(
    demo: Path, revision: str, option: str, has_details: bool
) -> None:
    done = run("call", option, "--revision", revision, demo, "complain")
    assert "said" in done.stdout
    assert re.search(r"INFO trimcp\.process: .*: a word on standard error\n", done.stderr)
    assert "WARNING trimcp.peer: kitchen: a word for the log\n" in done.stderr
    assert ("DEBUG trimcp.peer: a detail for the log\n" in done.stderr) == has_details


def test_logs_are_not_shown_otherwise(demo: Path) -> None:
    done = run("call", demo, "complain")
    assert (done.returncode, done.stderr) == (0, "")


def test_verbose_errors_come_with_a_traceback() -> None:
    done = run("call", "-v", "tcp://127.0.0.1:1", "who")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("trimcp: cannot reach")


def test_nobody_reads(demo: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, "call", demo, "add", "a=1"],
            stdout=writing,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment(),
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_command_is_also_a_script() -> None:
    script = os.path.join(os.path.dirname(sys.executable), "trimcp")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == run("--version").stdout
    assert done.stdout.startswith("trimcp ")
