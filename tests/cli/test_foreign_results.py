"""What a server sends is printed as it came, also what we would not send ourselves."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from .harness import run

if TYPE_CHECKING:
    from pathlib import Path

#: URIs without a scheme, and with what must be percent-encoded.
CONTENTS: list[dict[str, Any]] = [
    {"uri": "file.txt", "text": "t"},
    {"uri": "a b://ä", "blob": "no base64"},
    {"uri": "", "text": ""},
]
CONTENT: list[dict[str, Any]] = [
    {"type": "text", "text": "done"},
    *({"type": "resource", "resource": each} for each in CONTENTS),
    {"type": "resource_link", "uri": "x", "name": "y"},
]
RESULTS: dict[str, dict[str, Any]] = {
    "server/discover": {
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
        "ttlMs": 0,
        "cacheScope": "private",
    },
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
        "serverInfo": {"name": "odd", "version": "1"},
    },
    "tools/list": {"tools": [{"name": "tool", "inputSchema": {"type": "object"}}]},
    "prompts/list": {"prompts": [{"name": "prompt"}]},
    "resources/list": {"resources": [{"uri": "no uri", "name": "n"}]},
    "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "{", "name": "n"}]},
    "tools/call": {"content": CONTENT},
    "prompts/get": {"messages": [{"role": "user", "content": each} for each in CONTENT]},
    "resources/read": {"contents": CONTENTS},
}

SERVER = """
import json, sys
results = json.loads({results!r})
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        found = results.get(asked["method"])
        answer = {{"result": found}} if found else {{"error": {{"code": -32601, "message": "no"}}}}
        print(json.dumps({{"jsonrpc": "2.0", "id": asked["id"], **answer}}), flush=True)
"""


@pytest.mark.parametrize("is_stateless", [False, True])
@pytest.mark.parametrize(
    ("words", "method", "member"),
    [
        (("call", "tool"), "tools/call", "content"),
        (("read", "no uri"), "resources/read", "contents"),
        (("prompt", "prompt"), "prompts/get", "messages"),
        (("list",), "resources/list", "resources"),
    ],
)
def test_json_is_what_the_server_sent(
    tmp_path: Path, words: tuple[str, ...], method: str, member: str, is_stateless: bool
) -> None:
    more = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if is_stateless else {}
    results = {name: {**result, **more} for name, result in RESULTS.items()}
    if not is_stateless:
        del results["server/discover"]
    program = tmp_path / "odd.py"
    program.write_text(SERVER.format(results=json.dumps(results)))
    ran = run(*words, "--", sys.executable, program)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)[member] == RESULTS[method][member]
