"""`trimcp list`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from trimcp.cli._colours import as_text
from trimcp.cli._table import table

from .harness import is_one_line, run, run_here, screen
from .servers import Modest

if TYPE_CHECKING:
    from pathlib import Path


def test_json_is_what_the_wire_says(demo: Path) -> None:
    done = run("list", demo)
    assert (done.returncode, done.stderr) == (0, "")
    tools = {tool["name"]: tool for tool in json.loads(done.stdout)["tools"]}
    assert tools["add"]["inputSchema"]["required"] == ["a"]
    assert tools["echo"]["title"] == "Echo"
    assert done.stdout.count("\n") == 1


def test_the_table_on_a_terminal(demo_address: str) -> None:
    with screen("list", demo_address, columns=100) as terminal:
        assert terminal.finish() == 0
    lines = terminal.lines
    assert lines[0].split() == ["TOOL", "ARGUMENTS", "DESCRIPTION"]
    assert lines[1].split("  ")[0] == "add"
    assert "a*: integer" in lines[1]
    assert lines[1].endswith("Add two integers.")
    assert lines[2].strip() == "b: integer = 1"
    text = "\n".join(lines)
    assert "Echo: Say what came in." in text
    assert "text*: string" in text
    assert 'level: low | high = "low"' in text
    assert "words: array of string = []" in text
    assert "more: object or null" in text
    assert "second line" not in text


@pytest.mark.parametrize("columns", [40, 60])
def test_the_table_fits_the_terminal(demo_address: str, columns: int) -> None:
    with screen("list", demo_address, columns=columns) as terminal:
        assert terminal.finish() == 0
    assert max(map(len, terminal.lines)) <= columns
    assert "b: integer" in terminal.text
    assert len(terminal.lines) > 15


def test_output_may_be_chosen(demo_address: str) -> None:
    assert run("list", "--output", "text", demo_address).stdout.startswith("TOOL")
    with screen("list", "--output", "json", demo_address) as terminal:
        assert terminal.finish() == 0
    document = json.loads(terminal.text)
    assert document["tools"][0]["name"] == "add"
    assert terminal.text.count("\n") > 1


def test_no_tools(tmp_path: Path) -> None:
    file = tmp_path / "empty.py"
    file.write_text("from trimcp import Server\nserver = Server('empty')\n")
    done = run("list", "--output", "text", f"{file}:server")
    assert (done.returncode, done.stdout) == (0, "The server has no tools.\n")


def test_a_command(demo: Path) -> None:
    done = run("list", "--output", "text", "--", sys.executable, demo)
    assert done.stdout.startswith("TOOL")


def test_the_revision_may_be_pinned(demo_address: str) -> None:
    """Titles of tools came with 2025-06-18; structured output too."""
    tools = json.loads(run("list", "--revision", "2025-03-26", demo_address).stdout)["tools"]
    assert not any("title" in tool or "outputSchema" in tool for tool in tools)


def test_an_unknown_revision_is_wrong_usage(demo_address: str) -> None:
    done = run("list", "--revision", "2020-01-01", demo_address)
    assert done.returncode == 2
    assert is_one_line(done.stderr)
    assert "2025-11-25" in done.stderr


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("nowhere.py", 1, "no such file: nowhere.py"),
        ("nowhere", 2, "cannot tell how to reach 'nowhere'"),
        ("http://127.0.0.1:1/", 1, "the HTTP request failed: "),
        ("http:///", 2, "not the URL of an HTTP server"),
        ("tcp://127.0.0.1:1", 1, "cannot reach tcp://127.0.0.1:1: "),
        ("tcp://127.0.0.1:x", 2, "x"),
        ("ws://127.0.0.1:1/ws", 1, "cannot reach ws://127.0.0.1:1/ws: "),
        ("ws://127.0.0.1:x/ws", 2, "x"),
        ("wss:///ws", 2, "not ws://HOST[:PORT]/PATH"),
        ("unix:/nowhere/at/all", 1, "cannot reach unix:/nowhere/at/all: No such file"),
    ],
)
def test_servers_that_cannot_be_reached(target: str, status: int, words: str) -> None:
    done = run_here("list", target)
    assert done.returncode == status
    assert is_one_line(done.stderr), done.stderr
    assert words in done.stderr


def test_tables_wrap_the_widest_column() -> None:
    rows = [("A", "B"), ("x", "one two three four"), ("yy", "")]
    assert as_text(table(rows, 14, headings="row")).splitlines() == [
        "A   B",
        "x   one two",
        "      three",
        "      four",
        "yy",
    ]


def test_an_empty_cell_has_its_line() -> None:
    shown = as_text(table([("A", "B"), ("", "")], 20, headings="row"))
    assert shown.split("\n") == ["A  B", "", ""]


# -- all that a server offers -----------------------------------------------------------------


def test_sections(library_address: str) -> None:
    done = run("list", "--output", "text", library_address)
    assert (done.returncode, done.stderr) == (0, "")
    tools, resources, templates, prompts = done.stdout.split("\n\n")
    assert tools == "The server has no tools."
    assert resources.splitlines()[:3] == [
        "RESOURCE       TYPE           DESCRIPTION",
        "book://rules   text/markdown  The Rules: What is allowed.",
        "book://cover   image/png      cover",
    ]
    assert templates.splitlines() == [
        "RESOURCE TEMPLATE  TYPE  DESCRIPTION",
        "shelf://{number}         Shelf: One shelf.",
    ]
    assert prompts.splitlines()[:3] == [
        "PROMPT  ARGUMENTS  DESCRIPTION",
        "greet   name*      Greeting: Greet somebody.",
        "        mood",
    ]


def test_sections_for_programs(library_address: str) -> None:
    document = json.loads(run("list", library_address).stdout)
    assert list(document) == ["tools", "resources", "resourceTemplates", "prompts"]
    assert document["tools"] == []
    assert document["resources"][1]["mimeType"] == "image/png"
    assert [each["uriTemplate"] for each in document["resourceTemplates"]] == ["shelf://{number}"]
    assert document["prompts"][0]["arguments"][0] == {"name": "name", "required": True}


PROMPTS = {"prompts": [{"name": "one\x1b[31m"}]}
RESOURCES = {"resources": [{"uri": "x://1", "name": "one"}]}


@pytest.mark.parametrize(
    ("capabilities", "asked", "document"),
    [
        ({}, [], {}),
        ({"prompts": {}}, ["prompts/list"], PROMPTS),
        (
            # There is no capability for templates, so a server may not know what they are.
            {"resources": {}},
            ["resources/list", "resources/templates/list"],
            {**RESOURCES, "resourceTemplates": []},
        ),
    ],
)
def test_what_is_not_declared_is_not_asked_for(
    tmp_path: Path, capabilities: dict[str, Any], asked: list[str], document: dict[str, Any]
) -> None:
    answers = {"prompts/list": PROMPTS, "resources/list": RESOURCES}
    modest = Modest(tmp_path, capabilities, answers)
    done = run_here("list", "--", *modest.command)
    assert json.loads(done.stdout) == document
    assert modest.asked == asked


def test_nothing_at_all(tmp_path: Path) -> None:
    modest = Modest(tmp_path, {}, {})
    done = run_here("list", "--output", "text", "--", *modest.command)
    assert done.stdout == "The server declares nothing that could be listed.\n"


def test_names_cannot_command_the_terminal(tmp_path: Path) -> None:
    modest = Modest(tmp_path, {"prompts": {}}, {"prompts/list": PROMPTS})
    done = run("list", "--output", "text", "--", *modest.command)
    assert "one [31m" in done.stdout


def test_an_error_of_the_server_cannot_either(tmp_path: Path) -> None:
    modest = Modest(tmp_path, {"prompts": {}}, {})
    done = run_here("list", "--", *modest.command)
    assert done.returncode == 1
    assert done.stderr == "trimcp: no such [31m method: prompts/list (code -32601)\n"
