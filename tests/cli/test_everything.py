"""The command against `server-everything`, the reference server, as a user would run it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..interop.conftest import HERE, NODE, node_modules  # noqa: F401
from .harness import run, screen

pytestmark = pytest.mark.usefixtures("node_modules")

EVERYTHING = HERE / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
SERVER = ("--", str(NODE), str(EVERYTHING), "stdio")


@pytest.fixture(autouse=True)
def node_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Node keeps what it has compiled, and so starts in a third of the time."""
    monkeypatch.setenv("NODE_COMPILE_CACHE", str(HERE / "node_modules" / ".cache"))


def text_of(command: str, *words: str) -> str:
    """What a command prints as text; it must not fail."""
    done = run(command, "--output", "text", *words, *SERVER)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def document_of(command: str, *words: str) -> Any:
    """What a command prints as JSON; it must not fail."""
    done = run(command, *words, *SERVER)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def after(label: str, text: str) -> Any:
    """The JSON that a text has after its label."""
    _, found, tail = text.partition(label)
    assert found, text
    return json.loads(tail)


def test_list() -> None:
    tools, resources, templates, prompts = text_of("list").split("\n\n")
    assert tools.startswith("TOOL ")
    assert "echo " in tools
    assert resources.startswith("RESOURCE ")
    assert templates.count("\ndemo://") == 2
    assert "\ncompletable-prompt  department*" in prompts


def test_inspect() -> None:
    document = document_of("inspect")
    assert document["serverInfo"]["title"] == "Everything Reference Server"
    assert document["protocolVersion"] == "2025-11-25"
    assert document["capabilities"]["resources"] == {"subscribe": True, "listChanged": True}
    assert document["instructions"].startswith("# Everything Server")
    (total,) = [tool for tool in document["tools"] if tool["name"] == "get-sum"]
    assert total["inputSchema"]["properties"]["a"]["type"] == "number"
    assert {each["name"] for each in document["prompts"]} >= {"simple-prompt", "args-prompt"}


def test_progress() -> None:
    words = ("trigger-long-running-operation", "duration=1", "steps=3")
    with screen("call", *words, *SERVER) as terminal:
        terminal.wait_for("[#######.............]  33%  1/3")
        assert terminal.finish() == 0
    assert "67%  2/3" in terminal.text
    assert terminal.lines == [
        "Long running operation completed. Duration: 1 seconds, Steps: 3.",
        "",
    ]


def test_sampling() -> None:
    text = text_of("call", "trigger-sampling-request", "prompt=Hi", "--sample", "Hello, too.")
    answer = after("LLM sampling result: \n", text)
    assert answer["content"] == {"type": "text", "text": "Hello, too."}


def test_elicitation() -> None:
    words = (
        *("--answer", "name=Ada", "--answer", "integer=7", "--answer", "check=no"),
        *("--answer", "titledMultipleSelectEnum=fish-2,fish-3"),
    )
    result = after("Raw result: ", text_of("call", "trigger-elicitation-request", *words))
    assert result["action"] == "accept"
    content = result["content"]
    assert (content["name"], content["integer"], content["check"]) == ("Ada", 7, False)
    assert content["titledMultipleSelectEnum"] == ["fish-2", "fish-3"]
    assert content["untitledSingleSelectEnum"] == "Monica"


def test_roots() -> None:
    text = text_of("call", "get-roots-list", "--root", str(HERE))
    assert f"URI: {HERE.as_uri()}" in text


def test_read() -> None:
    text = text_of("read", "demo://resource/static/document/features.md")
    assert text.startswith("# Everything Server")
    blob = run("read", "--output", "raw", "demo://resource/dynamic/blob/8", *SERVER)
    assert blob.stdout.startswith("Resource 8: This is a base64 blob")
    missing = run("read", "demo://nowhere", *SERVER)
    assert missing.returncode == 1
    assert "demo://nowhere" in missing.stderr
    assert missing.stderr.count("\n") == 1


def test_prompt() -> None:
    text = text_of("prompt", "args-prompt", "city=Kraków", "state=B")
    assert text == "user: What's weather in Kraków, B?\n"
    missing = run("prompt", "args-prompt", *SERVER)
    assert missing.returncode == 1
    assert missing.stderr == "trimcp: missing: city; args-prompt takes city (required), state\n"
