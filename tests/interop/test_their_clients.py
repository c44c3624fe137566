"""Clients made with other SDKs against a trimcp server, over stdio, WebSocket and HTTP, in both
eras.

Each client runs once and tells in JSON what it saw; the tests are about what it told.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import HERE, OUR_SERVER, SDKS, client_command

if TYPE_CHECKING:
    from collections.abc import Iterator

HANDSHAKE, STATELESS = "2025-11-25", "2026-07-28"

Facts = dict[str, Any]


@contextmanager
def our_url(way: str) -> Iterator[str]:
    """The URL of our server on a WebSocket (`ws`) or over HTTP (`http`)."""
    command = [*OUR_SERVER, f"--{way}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture(
    scope="module",
    params=[
        *(f"{sdk}:{era}" for sdk in SDKS for era in ("handshake", "stateless", "auto")),
        # Over a WebSocket; the Python SDK has none.
        "typescript:handshake:ws",
        "typescript:stateless:ws",
        *(f"{sdk}:{era}:http" for sdk in SDKS for era in ("handshake", "stateless", "auto")),
    ],
)
def facts(request: pytest.FixtureRequest, node_modules: None) -> Facts:
    """What one client saw."""
    sdk, era, *way = request.param.split(":")
    with our_url(way[0]) if way else nullcontext() as url:
        ran = subprocess.run(
            client_command(sdk, era, url),
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    told: Facts = json.loads(ran.stdout)
    assert (told["sdk"], told["era"]) == (sdk.partition("-")[0], era)
    return told


def is_handshake(facts: Facts) -> bool:
    return bool(facts["era"] == "handshake")


def text_of(outcome: Facts) -> str:
    """The text of a tool result that has one block of it, and is no error."""
    assert not outcome["result"].get("isError")
    return only_text(outcome)


def only_text(outcome: Facts) -> str:
    (block,) = outcome["result"]["content"]
    assert block["type"] == "text"
    text: str = block["text"]
    return text


def test_connects(facts: Facts) -> None:
    assert facts["connect"] == {"result": None}
    assert facts["unexpected_errors"] == []


def test_revision(facts: Facts) -> None:
    """Left to itself, the client finds the newest revision."""
    assert facts["protocol_version"] == (HANDSHAKE if is_handshake(facts) else STATELESS)


def test_identity(facts: Facts) -> None:
    assert facts["server_info"] == {"name": "trimcp-peer", "version": "1.0.0"}
    assert facts["instructions"] == "A peer for interoperability tests."
    assert "tools" in facts["capabilities"]


def takes(**types: str) -> Facts:
    """The input schema of a tool with these arguments, all required."""
    schema: Facts = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in types.items()},
        "additionalProperties": False,
    }
    return schema | ({"required": list(types)} if types else {})


def test_tools(facts: Facts) -> None:
    listed = {tool["name"]: tool for tool in facts["tools"]["result"]}
    assert list(listed) == ["add", "slow", "countdown", "fail", "ask", "forever", "cancelled"]
    add = listed.pop("add")
    assert add["description"] == "Add two integers."
    assert add["inputSchema"] == takes(a="integer", b="integer")
    # The handshake era knows objects only.
    assert add["outputSchema"] == (
        {"type": "object", "properties": {"result": {"type": "integer"}}, "required": ["result"]}
        if is_handshake(facts)
        else {"type": "integer"}
    )
    assert listed.pop("countdown")["inputSchema"] == takes(steps="integer")
    for tool in listed.values():
        assert set(tool) == {"name", "description", "inputSchema"}
        assert tool["inputSchema"] == takes()


@pytest.mark.parametrize(("step", "total"), [("add", 5), ("after_cancel", 42)])
def test_result(facts: Facts, step: str, total: int) -> None:
    assert text_of(facts[step]) == str(total)
    structured = {"result": total} if is_handshake(facts) else total
    assert facts[step]["result"]["structuredContent"] == structured


def test_results_say_who_answers(facts: Facts) -> None:
    stamp = {"io.modelcontextprotocol/serverInfo": facts["server_info"]}
    assert facts["add"]["result"].get("_meta") == (None if is_handshake(facts) else stamp)


def test_tool_error(facts: Facts) -> None:
    assert facts["fail"]["result"]["isError"] is True
    assert only_text(facts["fail"]) == "this tool always fails"


def test_invalid_arguments(facts: Facts) -> None:
    assert facts["invalid_arguments"]["result"]["isError"] is True
    assert "\n$.a: " in only_text(facts["invalid_arguments"])


def test_unknown_tool(facts: Facts) -> None:
    error = facts["unknown_tool"]["error"]
    assert (error["code"], error["data"]) == (-32602, None)
    assert "no-such-tool" in error["message"]


def test_progress(facts: Facts) -> None:
    assert text_of(facts["countdown"]) == "liftoff"
    assert facts["countdown"]["progress"] == [
        {"progress": step, "total": 3, "message": f"step {step}"} for step in (1, 2, 3)
    ]


def test_elicitation(facts: Facts) -> None:
    assert text_of(facts["ask"]) == "yes"
    (question,) = facts["ask"]["questions"]
    assert question.pop("mode", "form") == "form"
    assert question == {
        "message": "Go on?",
        "requestedSchema": {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
        },
    }


def test_cancellation(facts: Facts) -> None:
    assert facts["forever"]["cancelled"] is True
    assert "result" not in facts["forever"]
    assert text_of(facts["cancelled"]) == "1"


def test_sign_of_life(facts: Facts) -> None:
    if is_handshake(facts):
        assert facts["ping"] == {"result": {}}
        return
    discovered = facts["discover"]["result"]
    assert discovered["supportedVersions"] == [STATELESS]
    assert discovered["capabilities"] == facts["capabilities"]
    assert discovered["instructions"] == facts["instructions"]
    assert (discovered["ttlMs"], discovered["cacheScope"]) == (0, "private")


def test_close(facts: Facts) -> None:
    """The server ends when its input does: no SDK has to use force, which takes 2 s."""
    assert facts["close"] == {"result": None}
    assert facts["close_seconds"] < 1.5
