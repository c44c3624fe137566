"""`trimcp inspect`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .harness import run, run_here, screen
from .servers import Modest

if TYPE_CHECKING:
    from pathlib import Path


def test_people_read_facts_counts_and_names(library_address: str) -> None:
    with screen("inspect", library_address) as terminal:
        assert terminal.finish() == 0
    assert terminal.lines == [
        "name          library",
        "title         The Library",
        "version       2.1",
        "website       https://library.example",
        "revision      2026-07-28",
        "capabilities  logging, prompts (listChanged), resources (subscribe,",
        "                listChanged), tools (listChanged)",
        "tools         0",
        "resources     5: rules, cover, both, broken, mine",
        "templates     1: shelf",
        "prompts       3: greet, plain, ask",
        "instructions  Be quiet.",
        "              Bring [31m books back.",
        "",
    ]


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_programs_get_everything(library_address: str, revision: str) -> None:
    done = run("inspect", "--revision", revision, library_address)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["serverInfo"] == {
        "name": "library",
        "title": "The Library",
        "version": "2.1",
        "websiteUrl": "https://library.example",
    }
    assert document["protocolVersion"] == revision
    assert document["capabilities"].keys() == {"logging", "prompts", "resources", "tools"}
    assert document["instructions"] == "Be quiet.\n\nBring\x1b[31m books back."
    listed = json.loads(run_here("list", "--revision", revision, library_address).stdout)
    assert {key: document[key] for key in listed} == listed
    assert len(document) == 4 + len(listed)


def test_schemas_are_whole(demo_address: str) -> None:
    document = json.loads(run_here("inspect", demo_address).stdout)
    (add,) = [tool for tool in document["tools"] if tool["name"] == "add"]
    assert add["inputSchema"]["properties"]["b"] == {"default": 1, "type": "integer"}
    assert "outputSchema" in add
    assert "instructions" not in document


def test_parts_of_capabilities(tmp_path: Path) -> None:
    declared = {
        "tools": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": False},
    }
    answers = {"tools/list": {"tools": []}, "resources/list": {"resources": []}}
    modest = Modest(tmp_path, declared, answers)
    done = run("inspect", "--output", "text", "--", *modest.command)
    assert done.stdout.splitlines() == [
        "name          modest",
        "version       0",
        "revision      2025-11-25",
        "capabilities  resources (subscribe), tools (listChanged)",
        "tools         0",
        "resources     0",
        "templates     0",
    ]
