"""Questions of the server that the command line answers, without a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .harness import is_one_line, run, run_here, screen

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

REVISIONS = ["2025-11-25", "2026-07-28"]
DECLINED = "The user answered the question with: decline.\n"


def call(*words: str, revision: str = "2026-07-28") -> subprocess.CompletedProcess[str]:
    return run_here("call", "--output", "text", "--revision", revision, *words)


def answered(**fields: str) -> list[str]:
    return [word for key, value in fields.items() for word in ("--answer", f"{key}={value}")]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_program_among_programs(demo: Path, revision: str) -> None:
    words = (*answered(value="x"), "--sample", "y", "--root", ".", "--revision", revision)
    done = run("call", "--output", "text", *words, demo, "ask_twice", stdin="nobody reads this\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "A got x, B got x\n", "")


# -- what is declared -------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize(
    ("words", "abilities"),
    [
        ([], "none"),
        (["--answer", "a=1"], "forms"),
        (["--sample", ""], "sampling"),
        (["--root", "."], "roots"),
    ],
)
def test_only_what_can_be_answered_is_declared(
    demo_address: str, revision: str, words: list[str], abilities: str
) -> None:
    done = call(*words, demo_address, "abilities", revision=revision)
    assert done.stdout == f"{abilities}\n"


def test_people_can_answer_all_but_roots(demo_address: str) -> None:
    with screen("call", demo_address, "abilities") as terminal:
        assert terminal.finish() == 0
    assert terminal.lines[0] == "forms urls sampling"


# -- forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
def test_fields_are_typed_by_the_form(demo_address: str, revision: str) -> None:
    words = answered(sure="yes", count="3", price="4", size="large", extras="milk, sugar")
    done = call(*words, demo_address, "ask", revision=revision)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "sure": True,
        "count": 3,
        "price": 4.0,
        "size": "large",
        "extras": ["milk", "sugar"],
    }


@pytest.mark.parametrize("revision", REVISIONS)
def test_fields_that_are_not_given_take_their_defaults(demo_address: str, revision: str) -> None:
    words = answered(sure="no", count="1")
    done = call(*words, demo_address, "ask", revision=revision)
    assert (done.returncode, done.stderr) == (0, "")
    order = json.loads(done.stdout)
    assert order == {"sure": False, "count": 1, "price": 2.5, "size": "small", "extras": []}


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_form_that_lacks_something_is_declined(demo_address: str, revision: str) -> None:
    done = call(*answered(count="many", price="4"), demo_address, "ask", revision=revision)
    assert (done.returncode, done.stdout) == (1, "")
    complaint = (
        "trimcp: declined: What may it be? "
        "(sure: a value is needed; count: 'many' is not an integer)\n"
    )
    assert done.stderr == complaint + DECLINED


def test_json_in_any_case(demo_address: str) -> None:
    words = ("--answer", "extras:=[]", "--answer", 'size:="large"')
    done = call(*answered(sure="y", count="1"), *words, demo_address, "ask")
    assert json.loads(done.stdout)["size"] == "large"
    done = call(*answered(sure="y"), "--answer", "count:=1.5", demo_address, "ask")
    assert 'count: 1.5 is not of type "integer"' in done.stderr


def test_what_the_form_refuses_is_declined(demo_address: str) -> None:
    done = call(*answered(code="ab"), demo_address, "unlock")
    assert done.returncode == 1
    assert done.stderr.startswith(
        'trimcp: declined: The code? (code: "ab" is shorter than 3 characters)\n'
    )


def test_an_empty_text_is_a_text(demo_address: str) -> None:
    done = call(*answered(code="abc", note=""), demo_address, "unlock")
    assert done.stdout == "Code(code='abc', note='')\n"
    done = call(*answered(code=""), demo_address, "unlock")
    assert 'code: "" is shorter' in done.stderr


def test_several_questions_take_the_same_answers(demo_address: str) -> None:
    done = call(*answered(value="x"), demo_address, "ask_twice")
    assert done.stdout == "A got x, B got x\n"


def test_answers_that_no_form_asked_for_are_named(demo_address: str) -> None:
    done = call(*answered(code="abc", nte="x"), demo_address, "unlock")
    assert (done.returncode, done.stdout) == (0, "Code(code='abc', note='')\n")
    assert done.stderr == "trimcp: --answer nte: no question has this field\n"
    # Without any question there is nothing to be said of them.
    assert call(*answered(nte="x"), demo_address, "add", "a=1").stderr == ""


@pytest.mark.parametrize(
    ("words", "status"),
    [(["agreed=yes"], 0), (["agreed=no"], 1), (["other=yes"], 1)],
)
def test_consent_has_to_be_given(demo_address: str, words: list[str], status: int) -> None:
    """A form without fields is not agreed to by answers to something else."""
    done = call("--answer", *words, demo_address, "agree")
    assert done.returncode == status
    assert done.stdout == ("Nothing()\n" if status == 0 else "")


# -- URLs, models, roots ----------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["--answer", "agreed=yes"]])
def test_nobody_agrees_to_a_url(demo_address: str, words: list[str]) -> None:
    done = call(*words, demo_address, "pay")
    assert done.returncode == 1
    assert is_one_line(done.stderr)
    assert "send its user to a URL" in done.stderr


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("text", ["I\nam sure", ""])
def test_the_model_says_what_was_given(demo_address: str, revision: str, text: str) -> None:
    done = call("--sample", text, demo_address, "sample", revision=revision)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"the model said {text!r}\n"


@pytest.mark.parametrize("revision", REVISIONS)
def test_roots_are_paths_and_uris(demo_address: str, revision: str, tmp_path: Path) -> None:
    roots = ("--root", str(tmp_path), "--root", "file:///else%20where")
    done = call(*roots, demo_address, "folders", revision=revision)
    assert done.stdout == f"{tmp_path.as_uri()} file:///else%20where\n"
