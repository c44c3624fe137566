"""`trimcp prompt`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .harness import is_one_line, run, run_here, screen
from .servers import Modest

if TYPE_CHECKING:
    from pathlib import Path

REVISIONS = ["2025-11-25", "2026-07-28"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_programs_get_json(library_address: str, revision: str) -> None:
    done = run_here(
        "prompt", "--revision", revision, library_address, "greet", "name=Ada=1", "mood="
    )
    assert (done.returncode, done.stderr) == (0, "")
    text, image = json.loads(done.stdout)["messages"]
    assert text == {
        "role": "user",
        "content": {"type": "text", "text": "Greet Ada=1,\nwho is .\n"},
    }
    assert image["content"]["data"] == "aGVsbG8="


def test_people_read_who_says_what(library_address: str) -> None:
    with screen("prompt", library_address, "greet", "name=7") as terminal:
        assert terminal.finish() == 0
    assert terminal.lines == [
        "user: Greet 7,",
        "  who is well.",
        "assistant: [image: image/png, 5 bytes]",
        "",
    ]


def test_without_arguments(library_address: str) -> None:
    done = run("prompt", "--output", "text", library_address, "plain")
    assert (done.returncode, done.stdout) == (0, "user: Say something.\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["greet"], "missing: name; greet takes name (required), mood"),
        (["greet", "name=1", "z=1"], "unknown: z; greet takes name (required), mood"),
        (["plain", "a=1"], "unknown: a; plain takes no arguments"),
        (["reet"], "no prompt 'reet'; did you mean 'greet'? The server has greet, plain, ask"),
        (
            ["greet", "nam=1"],
            "unknown: nam; did you mean 'name'? greet takes name (required), mood",
        ),
    ],
)
def test_wrong_arguments(library_address: str, words: list[str], complaint: str) -> None:
    done = run_here("prompt", library_address, *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"trimcp: {complaint}\n")


def test_wrong_arguments_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    listed = {"prompts": [{"name": "one", "arguments": [{"name": "a", "required": True}]}]}
    modest = Modest(tmp_path, {"prompts": {}}, {"prompts/list": listed})
    done = run_here("prompt", "one", "--", *modest.command)
    assert is_one_line(done.stderr)
    assert modest.asked == ["prompts/list"]


@pytest.mark.parametrize(("command", "kind"), [("prompt", "prompt"), ("call", "tool")])
def test_what_is_not_declared_is_not_asked_for(tmp_path: Path, command: str, kind: str) -> None:
    modest = Modest(tmp_path, {"resources": {}}, {})
    done = run_here(command, "one", "--", *modest.command)
    assert done.returncode == 1
    assert done.stderr == f"trimcp: no {kind} 'one'; the server has no {kind}s at all\n"
    assert modest.asked == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_questions_are_answered(library_address: str, revision: str) -> None:
    words = ("--revision", revision, "--answer", "name=Ada", library_address, "ask")
    assert run_here("prompt", "--output", "text", *words).stdout == "user: Praise Ada.\n"
