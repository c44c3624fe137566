"""docs/conformance.md: every row has a test that exists, or a reason; every test has a row."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Final

import attrs
import pytest

from .harness import REVISIONS

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "conformance.md"
SPEC: Final = Path(__file__).resolve().parent

COLUMNS: Final = ["id", "requirement", "level", "side", "revisions", "shown by"]
LEVELS: Final = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT"}
SIDES: Final = {"server", "client", "both"}
_ID: Final = re.compile(r"[A-Z]+-\d\d")
_NODE: Final = re.compile(r"`(tests/[^`]*)`")
_REASON: Final = re.compile(r"\b(deviation|not met): \S.{20,}")


@attrs.frozen
class Row:
    """One requirement.

    Attributes:
        id: Its name.
        cells: What stands in its columns.
    """

    id: str
    cells: tuple[str, ...]

    @property
    def nodes(self) -> list[str]:
        """The tests that it names."""
        return _NODE.findall(self.cells[-1])

    @property
    def has_reason(self) -> bool:
        """Whether it says why there is no test, or not one for everything."""
        return _REASON.search(self.cells[-1]) is not None


def rows_of(text: str) -> list[Row]:
    """The rows of all tables whose first column is `id`."""
    rows = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells == COLUMNS:
            inside = True
        elif inside and not set(line) <= set("|- :"):
            rows.append(Row(cells[0], tuple(cells)))
    return rows


@functools.cache
def found_in(path: Path) -> dict[str, str]:
    """The tests of a file, `test_x` or `TestClass::test_x`, with their docstrings."""
    if not path.is_file():
        return {}
    found = {}
    for node in ast.parse(path.read_text()).body:
        group = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            functions = (ast.FunctionDef, ast.AsyncFunctionDef)
            if isinstance(inner, functions) and inner.name.startswith("test_"):
                found[group + inner.name] = ast.get_docstring(inner) or ""
    return found


def flaws_of(text: str) -> list[str]:
    """Everything that is wrong with a page."""
    rows = rows_of(text)
    flaws = [f"{each.id}: {flaw}" for each in rows for flaw in flaws_of_row(each)]
    ids = [each.id for each in rows]
    flaws += [f"{each}: repeated" for each in sorted({x for x in ids if ids.count(x) > 1})]
    return flaws + flaws_of_tests(rows)


def flaws_of_row(row: Row) -> list[str]:
    if len(row.cells) != len(COLUMNS):
        return ["has another number of columns"]
    _, requirement, level, side, revisions, shown = row.cells
    flaws = []
    if not _ID.fullmatch(row.id):
        flaws.append("is no id")
    if not requirement:
        flaws.append("requires nothing")
    if level not in LEVELS:
        flaws.append(f"unknown level {level!r}")
    if side not in SIDES:
        flaws.append(f"unknown side {side!r}")
    if not is_range(revisions):
        flaws.append(f"unknown revisions {revisions!r}")
    if "deviation:" in shown and not level.startswith("SHOULD"):
        flaws.append("deviates, though it must not")
    if not row.nodes and not row.has_reason:
        flaws.append(f"has neither a test nor a reason: {shown!r}")
    for node in row.nodes:
        name, _, test = node.partition("::")
        if test not in found_in(ROOT / name):
            flaws.append(f"there is no {node}")
    return flaws


def is_range(text: str) -> bool:
    """`all`, one revision, `to …`, `since …`, or from one to another."""
    dates = [word for word in text.split() if word in REVISIONS]
    shapes = ["all"]
    if len(dates) == 1:
        shapes = [dates[0], f"to {dates[0]}", f"since {dates[0]}"]
    elif len(dates) == 2 and dates == sorted(dates):
        shapes = [f"{dates[0]} to {dates[1]}"]
    return text in shapes


def flaws_of_tests(rows: list[Row]) -> list[str]:
    """What the tests here say about themselves, held against the table."""
    flaws = []
    named: dict[str, set[str]] = {}
    for row in rows:
        for node in row.nodes:
            named.setdefault(node, set()).add(row.id)
    for path in sorted(SPEC.glob("test_*.py")):
        if path == Path(__file__).resolve():
            continue
        for test, docstring in found_in(path).items():
            node = f"tests/spec/{path.name}::{test}"
            claimed = set(_ID.findall(docstring.partition(":")[0]))
            expected = named.get(node, set())
            if not expected:
                flaws.append(f"{node}: no row names it")
            elif claimed != expected:
                flaws.append(f"{node}: claims {sorted(claimed)}, but shows {sorted(expected)}")
    return flaws


def test_the_page() -> None:
    assert len(rows_of(PAGE.read_text())) > 200
    assert flaws_of(PAGE.read_text()) == []


def test_every_area_is_there() -> None:
    areas = {each.id.partition("-")[0] for each in rows_of(PAGE.read_text())}
    assert areas >= {
        *("BASE", "ERR", "JSON", "STATE", "VER", "LIFE", "BATCH", "TIME", "CANC", "PROG", "PING"),
        *("MRTR", "SUB", "STDIO", "TRAN", "TOOL", "RES", "PROM", "COMP", "PAGE", "LOG", "CACHE"),
        *("ELIC", "SAMP", "ROOT", "DEPR", "HTTP", "HTTPC"),
    }


# -- each of these checks can fail ------------------------------------------------------------

HEAD = "| id | requirement | level | side | revisions | shown by |\n|---|---|---|---|---|---|\n"
GOOD = "`tests/spec/test_ping.py::test_the_server_answers_at_once`"


def row(**changed: str) -> str:
    cells = {
        "id": "PING-01",
        "requirement": "Something.",
        "level": "MUST",
        "side": "both",
        "revisions": "all",
        "shown": GOOD,
    }
    return HEAD + "| " + " | ".join((cells | changed).values()) + " |\n"


@pytest.mark.parametrize(
    ("changed", "flaw"),
    [
        ({"shown": ""}, "neither a test nor a reason"),
        ({"shown": "soon"}, "neither a test nor a reason"),
        ({"shown": "deviation:"}, "neither a test nor a reason"),
        ({"shown": "deviation: no"}, "neither a test nor a reason"),
        ({"shown": "`tests/spec/test_ping.py`"}, "there is no tests/spec/test_ping.py"),
        ({"shown": "`tests/spec/test_ping.py::test_no`"}, "there is no"),
        ({"shown": "`tests/spec/test_no.py::test_no`"}, "there is no"),
        ({"shown": f"{GOOD}, `tests/spec/test_ping.py::test_no`"}, "there is no"),
        ({"shown": "`tests/spec/harness.py::talking`"}, "there is no"),
        ({"shown": "deviation: the reason, in a sentence that says it"}, "deviates"),
        ({"id": "ping"}, "is no id"),
        ({"requirement": ""}, "requires nothing"),
        ({"level": "MAY"}, "unknown level"),
        ({"side": "host"}, "unknown side"),
        ({"revisions": "2024"}, "unknown revisions"),
        ({"revisions": "2025-11-25 to 2024-11-05"}, "unknown revisions"),
        ({"requirement": "a | b"}, "another number of columns"),
    ],
)
def test_a_row_that_will_not_do(changed: dict[str, str], flaw: str) -> None:
    found = [
        each for each in flaws_of(row(**changed)) if each.startswith(changed.get("id", "PING"))
    ]
    assert any(flaw in each for each in found), found


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"level": "SHOULD", "shown": "deviation: the reason, in a sentence that says it"},
        {"shown": f"{GOOD}; not met: the other half is missing, since nobody wrote it"},
        {"revisions": "to 2025-11-25"},
        {"revisions": "since 2025-06-18"},
        {"revisions": "2025-03-26"},
        {"revisions": "2025-06-18 to 2025-11-25"},
    ],
)
def test_a_row_that_will_do(changed: dict[str, str]) -> None:
    [each] = rows_of(row(**changed))
    assert flaws_of_row(each) == []


def test_an_id_that_is_repeated() -> None:
    assert "PING-01: repeated" in flaws_of(row() + row())


def test_a_test_without_a_row() -> None:
    node = "tests/spec/test_ping.py::test_nobody_pings_by_itself"
    assert f"{node}: no row names it" in flaws_of(row())


def test_a_test_that_claims_something_else() -> None:
    [flaw] = [each for each in flaws_of(row(id="PING-09")) if "claims" in each]
    assert "PING-01" in flaw
    assert "PING-09" in flaw
