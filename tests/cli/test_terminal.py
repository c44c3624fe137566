"""`trimcp call` at a terminal: the progress bar, questions, Ctrl-C."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from trimcp.cli._terminal import progress_line

from .harness import screen

if TYPE_CHECKING:
    from pathlib import Path

REVISIONS = ["2025-11-25", "2026-07-28"]


# -- progress ---------------------------------------------------------------------------------


def test_the_bar_shows_how_far_it_is_and_goes_away(demo_address: str, tmp_path: Path) -> None:
    with screen("call", demo_address, "steps", "total=4") as terminal:
        assert terminal.finish() == 0
    assert "[###############.....]  75%  3/4  step 3" in terminal.text
    assert terminal.lines == ["done", ""]


def test_the_bar_without_a_total(demo_address: str) -> None:
    with screen("call", demo_address, "steps") as terminal:
        assert terminal.finish() == 0
    assert "[...###..............] 3  step 3" in terminal.text
    assert "%" not in terminal.text
    assert terminal.lines == ["done", ""]


def test_a_server_cannot_command_the_terminal(demo_address: str) -> None:
    with screen("call", demo_address, "steps", "total=4") as terminal:
        assert terminal.finish() == 0
    assert "\x1b" not in terminal.text


def test_the_bar_is_beside_the_result(demo_address: str) -> None:
    """Standard output may be a pipe while people watch standard error."""
    reading, writing = os.pipe()
    with open(reading) as result:
        with screen("call", demo_address, "steps", "total=4", stdout=writing) as terminal:
            os.close(writing)
            assert terminal.finish() == 0
        document = json.load(result)
    assert document["content"][0]["text"] == "done"
    assert "75%" in terminal.text
    assert terminal.lines == [""]


def test_the_bar_fits_the_terminal(demo_address: str) -> None:
    with screen("call", demo_address, "steps", "total=4", columns=30) as terminal:
        assert terminal.finish() == 0
    drawn = [piece for line in terminal.text.split("\n") for piece in line.split("\r")]
    assert max(map(len, drawn)) < 30


def test_verbose_has_no_bar(demo: Path) -> None:
    with screen("call", "-v", demo, "steps", "total=4") as terminal:
        assert terminal.finish() == 0
    assert "75%" not in terminal.text


@pytest.mark.parametrize(
    ("progress", "total", "line"),
    [
        (0, 4, "[....................]   0%  0/4"),
        (4, 4, "[####################] 100%  4/4"),
        (9, 4, "[####################] 100%  9/4"),
        (-1, 4, "[....................]   0%  -1/4"),
        (2.5, 5, "[##########..........]  50%  2.5/5"),
        (1234567, 10000000, "[##..................]  12%  1,234,567/10,000,000"),
        (0, None, "[###.................] 0"),
        (17, None, "[.................###] 17"),
        (18, 0, "[###.................] 18"),
    ],
)
def test_bars(progress: float, total: float | None, line: str) -> None:
    assert progress_line(progress, total, None, 79) == line


# -- questions --------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_form_is_filled_in_field_by_field(demo: Path, revision: str) -> None:
    answers = [
        ("sure (really now; yes or no): ", "maybe"),
        ("'maybe' is not a boolean\r\n  sure (really now; yes or no): ", ""),
        ("a value is needed\r\n  sure (really now; yes or no): ", "yes"),
        ("How many (integer, 1 to 10): ", "many"),
        ("'many' is not an integer\r\n  How many (integer, 1 to 10): ", "11"),
        ("11 is more than 10\r\n  How many (integer, 1 to 10): ", "3"),
        ("price (number) [2.5]: ", "4"),
        ("size (small | large) [small]: ", "huge"),
        ("'huge' is not one of small, large\r\n  size (small | large) [small]: ", "large"),
        ("extras (some of milk | sugar, with commas) []: ", "milk, sugar"),
    ]
    with screen("call", "--revision", revision, demo, "ask") as terminal:
        terminal.wait_for("The server asks (Ctrl-D declines): What may it be?")
        for prompt, answer in answers:
            terminal.wait_for(prompt)
            terminal.type(f"{answer}\n")
        assert terminal.finish() == 0
    # The result, laid out for people.
    order = json.loads("".join(terminal.lines[terminal.lines.index("{") :]))
    assert order == {
        "sure": True,
        "count": 3,
        "price": 4.0,
        "size": "large",
        "extras": ["milk", "sugar"],
    }


def test_an_empty_line_takes_the_default(demo_address: str) -> None:
    with screen("call", demo_address, "ask") as terminal:
        # Typed ahead: the lines are kept for the questions to come.
        terminal.wait_for("sure (")
        terminal.type("no\n1\n\n\n\n")
        assert terminal.finish() == 0
    order = json.loads(terminal.text[terminal.text.index("{") :])
    assert order == {"sure": False, "count": 1, "price": 2.5, "size": "small", "extras": []}


@pytest.mark.parametrize("revision", REVISIONS)
def test_ctrl_d_declines(demo_address: str, revision: str) -> None:
    with screen("call", "--revision", revision, demo_address, "ask") as terminal:
        terminal.wait_for("sure (")
        terminal.type("yes\n")
        terminal.wait_for("How many (")
        terminal.type("\x04")
        assert terminal.finish() == 1
    assert terminal.lines[-2] == "The user answered the question with: decline."


@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("no", 1)])
def test_a_form_without_fields_asks_for_consent(
    demo_address: str, answer: str, status: int
) -> None:
    with screen("call", demo_address, "agree") as terminal:
        terminal.wait_for("agreed (yes or no): ")
        terminal.type(f"{answer}\n")
        assert terminal.finish() == status


@pytest.mark.parametrize("revision", REVISIONS)
def test_questions_wait_for_their_turn(demo_address: str, revision: str) -> None:
    with screen("call", "--revision", revision, demo_address, "ask_twice") as terminal:
        for _ in range(2):
            name = terminal.wait_for("value (string): ").partition("Question ")[2][0]
            terminal.type(f"answer {name}\n")
        assert terminal.finish() == 0
    assert terminal.lines[-2] == "A got answer A, B got answer B"


def test_what_the_form_refuses_is_asked_again(demo_address: str) -> None:
    prompt = "  code (string, at least 3 characters): "
    with screen("call", demo_address, "unlock") as terminal:
        terminal.wait_for(prompt)
        terminal.type("ab\n")
        terminal.wait_for(f'"ab" is shorter than 3 characters\r\n{prompt}')
        terminal.type("abc\n")
        terminal.wait_for("note (string) []: ")
        terminal.type("\n")
        assert terminal.finish() == 0
    assert terminal.lines[-2] == "Code(code='abc', note='')"


@pytest.mark.parametrize(
    ("revision", "answer", "status", "result"),
    [
        ("2025-11-25", "yes\n", 0, "agreed"),
        ("2026-07-28", "no\n", 1, "The user answered the question with: decline."),
        ("2025-11-25", "\x04", 1, "The user answered the question with: decline."),
    ],
)
def test_the_url_is_shown_and_consent_asked_for(
    demo_address: str, revision: str, answer: str, status: int, result: str
) -> None:
    with screen("call", "--revision", revision, demo_address, "pay") as terminal:
        terminal.wait_for("The server asks (Ctrl-D declines): Pay [2J there.\r\n")
        terminal.wait_for("  Please visit https://pay.example/orders/1\r\n")
        terminal.wait_for("agreed (yes or no): ")
        terminal.type(answer)
        assert terminal.finish() == status
    assert terminal.lines[-2] == result


@pytest.mark.parametrize("revision", REVISIONS)
def test_people_answer_for_a_model(demo_address: str, revision: str) -> None:
    with screen("call", "--revision", revision, demo_address, "sample") as terminal:
        terminal.wait_for(
            "The server asks a model, and you answer (Ctrl-D refuses):\r\n"
            "  system: Be brief.\r\n"
            "  user: What [2J is\r\n"
            "    this?\r\n"
            "  assistant: A test.\r\n"
            "  user: Sure?\r\n"
            "  assistant: "
        )
        terminal.type("I am\n")
        assert terminal.finish() == 0
    assert terminal.lines[-2] == "the model said 'I am'"


@pytest.mark.parametrize("revision", REVISIONS)
def test_people_may_refuse_to_answer_for_a_model(demo_address: str, revision: str) -> None:
    with screen("call", "--revision", revision, demo_address, "sample") as terminal:
        terminal.wait_for("assistant: A test.")
        terminal.wait_for("assistant: ")
        terminal.type("\x04")
        assert terminal.finish() == 1
    assert "the user refused to answer for a model" in terminal.lines[-2]


def test_given_answers_answer_instead_of_people(demo_address: str) -> None:
    words = ("--answer", "value=given", "--sample", "given too")
    with screen("call", *words, demo_address, "ask_twice") as terminal:
        assert terminal.finish() == 0
    assert terminal.lines == ["A got given, B got given", ""]
    with screen("call", *words, demo_address, "sample") as terminal:
        assert terminal.finish() == 0
    assert terminal.lines == ["the model said 'given too'", ""]


def test_readers_are_asked(library_address: str) -> None:
    with screen("read", library_address, "book://mine") as terminal:
        terminal.wait_for("name (string): ")
        terminal.type("Ada\n")
        assert terminal.finish() == 0
    assert terminal.lines[-2] == "The book of Ada"


def test_nobody_is_asked_who_does_not_type(demo: Path) -> None:
    with screen("call", demo, "ask", stdin=subprocess.DEVNULL) as terminal:
        assert terminal.finish() == 1
    assert "asks" not in terminal.text
    assert terminal.lines[-2].startswith("trimcp: ")
    assert "elicitation" in terminal.lines[-2]


# -- Ctrl-C -----------------------------------------------------------------------------------


def test_ctrl_c_cancels_the_call_quietly(demo: Path, tmp_path: Path) -> None:
    with screen("call", demo, "hang", f"mark={tmp_path / 'mark'}") as terminal:
        terminal.wait_for("hanging")
        terminal.interrupt()
        assert terminal.finish() == 130
    assert terminal.lines == [""]
    assert (tmp_path / "mark").read_text() == "cleaned up"


def test_ctrl_c_at_a_question(demo_address: str) -> None:
    with screen("call", demo_address, "ask") as terminal:
        terminal.wait_for("sure (")
        terminal.interrupt()
        assert terminal.finish() == 130
    assert "Traceback" not in terminal.text
    assert "Fatal" not in terminal.text
