"""The page of guarantees names tests and experiments that exist."""

from __future__ import annotations

import re

from benchmarks.guarantees import EXPERIMENTS

from .pages import DOCS, ROOT

PAGE = (DOCS / "guarantees.md").read_text()
NUMBERS = list(range(1, 25))

_SECTION = re.compile(r"^### (\d+)\. .*\n((?:(?!#).*\n)*)", re.MULTILINE)
_NAMED = re.compile(r"\]\(\.\./(tests/[\w/]+\.py)\)|`(test_\w+)`")


def sections() -> dict[int, str]:
    """What stands under each promise."""
    return {int(number): text for number, text in _SECTION.findall(PAGE)}


def named_tests(text: str) -> list[tuple[str, str]]:
    """The files that a text links to, each with the tests that are named after it."""
    found: list[tuple[str, str]] = []
    path = ""
    for link, name in _NAMED.findall(text):
        path = link or path
        found.append((path, name))
    return found


def test_every_promise_is_there_once() -> None:
    assert sorted(int(number) for number, _ in _SECTION.findall(PAGE)) == NUMBERS


def test_every_promise_names_tests_that_exist() -> None:
    missing = []
    for number, text in sections().items():
        named = named_tests(text)
        assert any(path for path, _ in named), f"{number} has no test"
        for path, name in named:
            file = ROOT / path
            source = file.read_text() if path and file.exists() else ""
            # A state machine is a test by the name that it is given.
            wanted = rf"^(async )?def {name}\(" if name else r"def test_|^Test\w+ = "
            if not re.search(wanted, source, re.M):
                missing.append((number, path, name))
    assert missing == []


def test_every_file_of_a_promise_is_named_there() -> None:
    texts = sections()
    for file in (ROOT / "tests" / "guarantees").glob("test_[0-9]*.py"):
        number = int(file.name.split("_")[1])
        assert f"guarantees/{file.name})" in texts[number]


def test_a_renamed_test_is_noticed() -> None:
    text = "[a](../tests/docs/test_guarantees.py) (`test_one`,\n`test_two`), [b](../tests/x.py)"
    file = "tests/docs/test_guarantees.py"
    assert named_tests(text) == [
        (file, ""),
        (file, "test_one"),
        (file, "test_two"),
        ("tests/x.py", ""),
    ]


def test_the_comparison_has_every_experiment() -> None:
    rows = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in PAGE.splitlines()]
    shown = [(row[0], row[2]) for row in rows if len(row) == 6 and row[0].isdecimal()]
    in_order = sorted(EXPERIMENTS, key=lambda each: each.number)
    assert shown == [(str(each.number), each.measured) for each in in_order]
