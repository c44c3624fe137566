"""docs/errors.md has every code, status and exception that there is, and no others."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

import pytest

from trimcp import MCPError, RequestError, errors
from trimcp.errors import received_error
from trimcp.protocol import _revisions
from trimcp.protocol.http import status_of

from .pages import DOCS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import ModuleType

PAGE: Final = (DOCS / "errors.md").read_text()

#: Where an HTTP status is decided on.
SOURCES: Final = [
    *sorted((ROOT / "trimcp" / "http").rglob("*.py")),
    *sorted((ROOT / "trimcp" / "server").glob("*.py")),
    ROOT / "trimcp" / "protocol" / "http" / "_check.py",
    ROOT / "trimcp" / "transports" / "websocket" / "_accepting.py",
    ROOT / "trimcp" / "transports" / "websocket" / "_authorized.py",
]

#: Numbers there that look like statuses: sizes, and an answer that only other applications give.
NO_STATUSES: Final = {256, 384, 304}


def table(heading: str) -> dict[str, list[str]]:
    """The table under a heading: the first cell of each row, without backticks, and the others."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip("|") for line in section.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines[1:]]
    return {first.strip("` "): others for first, *others in cells}


def codes_in(module: ModuleType) -> set[int]:
    """The error codes that a module has as constants."""
    values = [value for name, value in vars(module).items() if name.strip("_").isupper()]
    return {value for value in values if type(value) is int and value < -30_000}


def statuses_in(sources: Iterable[Path]) -> set[int]:
    """The numbers in these files that can be HTTP statuses."""
    return {
        node.value
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and type(node.value) is int and 200 <= node.value <= 599
    }


CODES: Final = table("Codes of JSON-RPC")


def test_every_code_is_on_the_page() -> None:
    assert {int(code) for code in CODES} == codes_in(errors) | codes_in(_revisions)


@pytest.mark.parametrize("code", CODES)
def test_a_code_raises_the_class_that_the_page_says(code: str) -> None:
    data = {"requiredCapabilities": {}}
    first = re.findall(r"\w+", CODES[code][0])[0]
    assert type(received_error(int(code), "", data)).__name__ == first


@pytest.mark.parametrize("code", CODES)
def test_a_code_has_the_status_that_the_page_says(code: str) -> None:
    assert status_of(int(code)) == int(CODES[code][1])


@pytest.mark.parametrize("code", CODES)
def test_errors_of_handlers_have_the_status_that_the_page_says(code: str) -> None:
    excepted = code in {"-32601", "-32700", "-31002"}
    expected = 200 if excepted else int(CODES[code][1])
    assert status_of(int(code), by_handler=True) == expected


def test_every_status_is_on_the_page() -> None:
    said = {int(status) for status in table("HTTP statuses")}
    assert said == statuses_in(SOURCES) - NO_STATUSES


def test_every_exception_is_on_the_page() -> None:
    assert set(table("Exceptions")) == set(errors.__all__)


def test_every_exception_is_one_of_ours() -> None:
    classes = [getattr(errors, name) for name in table("Exceptions")]
    assert all(issubclass(each, MCPError) for each in classes)


def test_classes_with_a_code_are_on_the_page() -> None:
    named = {name for first, *_ in CODES.values() for name in re.findall(r"\w+", first)}
    kinds = {
        each.__name__
        for each in RequestError.__subclasses__()
        if each.__module__ == errors.__name__
    }
    assert named == {"RequestError"} | kinds
