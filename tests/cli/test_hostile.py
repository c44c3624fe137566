"""Whatever a server lists or answers: a command ends as documented, in linear work, and nothing
that a terminal would obey reaches one.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trimcp.cli import _schemas
from trimcp.cli._colours import as_text
from trimcp.cli._list import _describe_arguments
from trimcp.cli._schemas import choices, describe, kinds, properties, resolve
from trimcp.cli._screen import printable, visible
from trimcp.cli._stderr import telling_line
from trimcp.cli._table import table
from trimcp.cli._terminal import progress_line
from trimcp.cli._width import clip, width_of, wrap

from ..counting import calls_of
from .harness import run_here, screen
from .servers import Modest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What a terminal obeys: an escape sequence, BEL, backspace, a bare CR, C1 and DEL, a turn of the
#: direction of writing, a separator, a tag.
OBEYED = "\x1b]0;title\x07|\x08|\rX|\x9b31m|\x7f|\u202e|\u2066|\u200f|\u2028|\U000e0041"
SHOWN = "\\x1b]0;title\\x07|\\x08|\\rX|\\x9b31m|\\x7f|\\u202e|\\u2066|\\u200f|\\u2028|\\U000e0041"

PLAIN = "zażółć 界 👩\u200d🔬 \u3000 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"


def is_harmless(text: str) -> bool:
    """Whether a terminal shows it all: line breaks and the usual spaces are no commands."""
    rest = text.replace("\r\n", "\n").translate(dict.fromkeys(map(ord, "\n\t\u200c\u200d")))
    return all(each.isprintable() or (each.isspace() and each > "\x9f") for each in rest)


# -- the terminal -----------------------------------------------------------------------------

TOOL = {"name": f"tool{OBEYED}", "inputSchema": {"type": "object"}, "description": OBEYED}
CAPABILITIES: dict[str, Any] = {"tools": {}, "resources": {}, "prompts": {}, "logging": {}}
ANSWERS: dict[str, Any] = {
    "tools/list": {"tools": [TOOL, {**TOOL, "name": "bad"}, {**TOOL, "name": "good"}]},
    "tools/call": {"content": [{"type": "text", "text": f"{PLAIN}\n{OBEYED}\tend"}]},
    "resources/list": {"resources": [{"uri": f"x://{OBEYED}", "name": OBEYED}]},
    "resources/templates/list": {"resourceTemplates": []},
    "resources/read": {"contents": [{"uri": "x://a", "text": OBEYED}]},
    "prompts/list": {"prompts": [{"name": "p", "description": OBEYED}]},
    "prompts/get": {"messages": [{"role": "user", "content": {"type": "text", "text": OBEYED}}]},
}
FAILING = {
    **ANSWERS,
    "tools/call": {"content": [{"type": "text", "text": OBEYED}], "isError": True},
}

COMMANDS = [
    ("call", "good"),
    ("call", "-v", "good"),
    ("call", "no such tool"),
    ("read", "x://a"),
    ("prompt", "p"),
    ("prompt", "no such prompt"),
    ("list",),
    ("inspect",),
    ("inspect", "-vv"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_terminal_is_not_commanded(tmp_path: Path, command: tuple[str, ...]) -> None:
    modest = Modest(tmp_path, CAPABILITIES, ANSWERS)
    with screen(*command, "--", *modest.command) as terminal:
        assert terminal.finish() in (0, 1)
    assert is_harmless(terminal.text)
    if command in (("call", "good"), ("read", "x://a"), ("prompt", "p")):
        assert SHOWN in terminal.text


@pytest.mark.parametrize("command", [("call", "good"), ("call", "-v", "good")], ids=" ".join)
def test_nor_is_it_by_a_failure(tmp_path: Path, command: tuple[str, ...]) -> None:
    modest = Modest(tmp_path, CAPABILITIES, FAILING)
    with screen(*command, "--", *modest.command) as terminal:
        assert terminal.finish() == 1
    assert is_harmless(terminal.text)
    assert SHOWN in terminal.text


def test_nor_by_a_traceback_or_a_program_that_dies(tmp_path: Path) -> None:
    program = f"import sys; sys.exit({OBEYED!r})"
    with screen("list", "-vv", "--", sys.executable, "-c", program) as terminal:
        assert terminal.finish() == 1
    assert "Traceback" in terminal.text
    assert is_harmless(terminal.text)


def test_a_pipe_gets_everything_as_it_is(tmp_path: Path) -> None:
    modest = Modest(tmp_path, CAPABILITIES, ANSWERS)
    for command in (("read", "x://a"), ("call", "good"), ("prompt", "p")):
        done = run_here(*command, "--output", "text", "--", *modest.command)
        # The tests read with the line breaks of all systems.
        assert OBEYED.replace("\r", "\n") in done.stdout


def test_raw_is_raw_on_a_terminal_too(tmp_path: Path) -> None:
    modest = Modest(tmp_path, CAPABILITIES, ANSWERS)
    with screen("read", "--output", "raw", "x://a", "--", *modest.command) as terminal:
        assert terminal.finish() == 0
    assert terminal.text == OBEYED


@given(st.text())
def test_what_is_visible_is_harmless_and_stays(text: str) -> None:
    shown = visible(text)
    assert is_harmless(shown)
    assert visible(shown) == shown
    assert len(printable(text)) == len(text)
    assert is_harmless(printable(text))
    assert not set(printable(text)) & set("\n\t")


def test_people_read_their_own_scripts() -> None:
    assert visible(PLAIN) == printable(PLAIN) == PLAIN


# -- schemas ----------------------------------------------------------------------------------

KEYWORDS = ("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "items", "default")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*KEYWORDS, "properties", "required")), inner, max_size=3)
        | st.fixed_dictionaries({"$ref": st.sampled_from(["#", "#/properties/a", "#/items/0"])})
    ),
    max_leaves=10,
)


@given(JSON, JSON)
def test_every_schema_can_be_read(schema: Any, root: Any) -> None:
    root = root if isinstance(root, dict) else {"properties": root}
    assert describe(schema, root)
    assert all(isinstance(kind, str) for kind in kinds(schema, root))
    assert isinstance(choices(schema, root), list)
    resolve(schema, root).get("default")
    list(properties(schema))
    for line in _describe_arguments(root):
        assert ": " in line


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(schema=JSON)
def test_every_schema_can_be_listed(tmp_path: Path, schema: Any) -> None:
    """One odd schema does not fail the others."""
    odd = {"name": "odd", "inputSchema": {"type": "object", "properties": schema}}
    plain = {"name": "plain", "inputSchema": {"type": "object"}}
    modest = Modest(tmp_path, {"tools": {}}, {"tools/list": {"tools": [odd, plain]}})
    done = run_here("list", "--output", "text", "--", *modest.command)
    assert done.returncode == 0, done.stderr
    assert "plain" in done.stdout


def nested(depth: int) -> Mapping[str, Any]:
    """Twice as many alternatives with each level."""
    pair = [{"$ref": f"#/$defs/{depth - 1}"}] * 2 if depth else [{"type": "string"}]
    return {"anyOf": pair}


TWOFOLD = {"$defs": {str(depth): nested(depth) for depth in range(40)}}


def deep(levels: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = {"anyOf": [schema, schema], "items": schema, "type": "array"}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/39"},
        deep(60),
        {"anyOf": [{"type": "string"}] * 100_000},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}]},
        {"type": "array", "items": {"$ref": "#/$defs/loop"}},
    ],
    ids=["references", "nesting", "breadth", "itself", "circle", "items"],
)
def test_one_value_takes_few_steps(schema: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    step = _schemas._Walk._step

    def count(walk: _schemas._Walk) -> None:
        nonlocal steps
        steps += 1
        step(walk)

    monkeypatch.setattr(_schemas._Walk, "_step", count)
    root = {**TWOFOLD, **(schema if "$ref" not in schema else {})}
    root["$defs"] = {**TWOFOLD["$defs"], "loop": {"type": "array", "items": schema}}
    assert describe(schema, root)
    kinds(schema, root)
    choices(schema, root)
    assert steps <= 3 * (_schemas._STEPS + 1)


def test_what_stands_beside_a_reference_counts() -> None:
    schema = {
        "$defs": {"Size": {"enum": ["s", "m"], "type": "string", "default": "m"}},
        "properties": {
            "size": {"$ref": "#/$defs/Size", "default": "s"},
            "other": {"$ref": "#/$defs/Size"},
        },
    }
    assert list(_describe_arguments(schema)) == ['size: s | m = "s"', 'other: s | m = "m"']


def test_a_long_default_is_not_shown_whole() -> None:
    schema = {"properties": {"a": {"default": ["x" * 100] * 100_000}}}
    (line,) = _describe_arguments(schema)
    assert len(line) < 100
    assert line.endswith("…")


# -- tables -----------------------------------------------------------------------------------


LETTERS = st.lists(st.sampled_from(["a", "b ", "界", "é", "e\u0301", "👩\u200d🔬"]), max_size=20)


@example(["", "👩\u200d🔬aa"], "column")
@given(st.lists(LETTERS.map("".join), min_size=1), st.sampled_from(["row", "column"]))
def test_columns_stand_below_each_other(cells: list[str], headings: Any) -> None:
    rows = [(cell, "|") for cell in cells]
    lines = as_text(table(rows, 40, headings=headings)).splitlines()
    places = {width_of(line[: line.index("|")]) for line in lines if line.endswith("|")}
    assert len(places) == 1


@example("aaa界界a\u200d\u200d界界", 8)
@example("aaa\u200d\u200d界界界", 8)
@given(st.text("ab -界é\u0301\ufe0f👩\u200d🇦", max_size=300), st.integers(8, 40))
def test_wide_words_are_wrapped_and_clipped(text: str, width: int) -> None:
    assert all(width_of(piece) <= width for piece in wrap(text, width))
    assert width_of(clip(text, width)) <= width
    assert "".join("".join(wrap(text, width)).split()) == "".join(text.split())


@pytest.mark.parametrize("letter", ["x", "界", "🇦", "é -"])
def test_a_huge_cell_is_cut_and_costs_no_more_than_to_look_at_it(letter: str) -> None:
    def draw(size: int) -> int:
        rows = [("A", "B"), ("x", letter * size)]
        return calls_of(lambda: list(table(rows, 80, headings="row")))

    draw(10)
    assert draw(2_000_000 // len(letter)) < 2 * draw(10_100 // len(letter)) + 1000
    text = as_text(table([("A", "B"), ("x", "y" * 2_000_000)], 80, headings="row"))
    assert "… (2,000,000 characters)" in text.replace("\n", "").replace("   ", "")


# -- progress ---------------------------------------------------------------------------------


@given(
    st.integers() | st.floats(allow_nan=False) | st.just(10**400),
    st.none() | st.integers() | st.floats(allow_nan=False) | st.just(-(10**400)),
    st.none() | st.text(),
    st.integers(20, 100),
)
def test_every_progress_has_its_line(
    progress: float, total: float | None, message: str | None, width: int
) -> None:
    line = progress_line(progress, total, message, width)
    assert width_of(line) <= width
    assert is_harmless(line)


# -- the last words of a dead server ----------------------------------------------------------

GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "app.py", line 3, in <module>
  | ExceptionGroup: Exceptions from Trio nursery (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "app.py", line 2, in f
    |     raise ValueError("no database")
    | ValueError: no database
    +------------------------------------"""

NODE = """\
node:internal/modules/cjs/loader:1228
  throw err;
  ^

Error: Cannot find module '/nowhere.js'
    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)
    at node:internal/main/run_main_module:36:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: []
}

Node.js v24.11.1"""


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (GROUP, "ValueError: no database"),
        (NODE, "Error: Cannot find module '/nowhere.js'"),
        ("Traceback (most recent call last):\n  File …\nNoDatabase: gone", "NoDatabase: gone"),
        ("x.ValidationError: 1 flaw\nname\n  Field required", "x.ValidationError: 1 flaw"),
        ("usage: app [-h]\napp: error: no such option: -x", "app: error: no such option: -x"),
        ("panic: no database\n\ngoroutine 1 [running]:\nmain.main()", "panic: no database"),
        ("thread 'main' panicked at a.rs:2:5:\nno database\nnote: run with x", "no database"),
        ("starting\nno database", "no database"),
        ("  indented only\n}", "indented only"),
        ("+---\n^^^", "^^^"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_line_that_says_something(said: str, line: str) -> None:
    assert telling_line(said.splitlines()) == line


def test_a_dead_server_is_quoted_with_it(tmp_path: Path) -> None:
    program = f"import sys; print({GROUP!r}, file=sys.stderr); sys.exit(1)"
    done = run_here("list", "--", sys.executable, "-c", program)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ValueError: no database")


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    answers = {"tools/list": {"tools": [{"name": "n" * 99, "inputSchema": {}}] * 1000}}
    modest = Modest(tmp_path, {"tools": {}}, json.loads(json.dumps(answers)))
    done = run_here("call", "none", "--", *modest.command)
    assert done.returncode == 1
    assert len(done.stderr) < 5000
