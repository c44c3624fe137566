"""Everything a server can offer, seen by clients made with other SDKs, over stdio, in both eras.

Each client runs once: it takes all the steps and tells in JSON what it saw; the tests are about
what it told. What a client of another SDK cannot read it refuses, so a step without an error says
much already.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import attrs
import pytest

from .conftest import HERE, NODE, SDKS

Facts = dict[str, Any]

PLAIN_TOOLS = ("mixed", "nothing", "whole_result", "fails", "point", "points", "table", "number")
ASKING_TOOLS = ("order", "one_by_one", "side_by_side")
KINDS = ("text", "image", "audio", "text-resource", "blob-resource", "link")
LISTS = ("tools", "prompts", "resources", "resources/templates")
URIS = (
    *("memo://text", "memo://blob", "memo://json", "memo://many", "memo://asked"),
    *("dir://files", "dir://files/a.txt", "dir://files/inner", "dir://files/inner/b%20c.bin"),
    *("user://7/name", "search://notes?q=a%20b&limit=3", "search://notes"),
)
MISSING = (
    *("memo://nobody", "user://101/name", "user://seven/name", "dir://files/nothing.txt"),
    *("dir://files/../secret.txt", "dir://files/%2E%2E/secret.txt", "dir://files/link.txt"),
)


def call(name: str, /, **arguments: Any) -> Facts:
    return {"op": "call", "name": name, "arguments": arguments}


def prompt(name: str, /, **arguments: str) -> Facts:
    return {"op": "prompt", "name": name, "arguments": arguments}


def complete(ref: Facts, argument: str, value: str, **given: str) -> Facts:
    asked = {"op": "complete", "ref": ref, "argument": {"name": argument, "value": value}}
    return asked | ({"context": {"arguments": given}} if given else {})


GREET = {"type": "ref/prompt", "name": "greet"}
USER = {"type": "ref/resource", "uri": "user://{id}/{part}"}

#: Listed first: the SDKs check results against the output schemas of the tools that they know.
STEPS: dict[str, Facts] = {
    "tools": {"op": "tools"},
    "identity": {"op": "identify"},
    **{f"pages of {kind}": {"op": "pages", "method": f"{kind}/list"} for kind in LISTS},
    "malformed cursor": {"op": "page", "method": "tools/list", "cursor": "nonsense"},
    **{f"content {kind}": call("content", kind=kind) for kind in KINDS},
    **{f"call {name}": call(name) for name in (*PLAIN_TOOLS, *ASKING_TOOLS)},
    "call truth": call("truth"),
    "maybe something": call("maybe", given=True),
    "maybe nothing": call("maybe", given=False),
    "described": call("described.tool-1", text="ab", times=2),
    "described, at length": call("described.tool-1", text="abcdefg"),
    "thread": call("thread", text="in a"),
    "unforeseen": call("content", kind="no such kind"),
    "progress": call("progress") | {"at_total": "see_progress"},
    "refuse by declining": call("refuse", action="decline"),
    "refuse by dismissing": call("refuse", action="cancel"),
    **{f"read {uri}": {"op": "read", "uri": uri} for uri in (*URIS, *MISSING)},
    "kept": {"op": "read", "uri": "memo://kept"},
    "kept again": {"op": "read", "uri": "memo://kept"},
    "fresh": {"op": "read", "uri": "memo://fresh"},
    "fresh again": {"op": "read", "uri": "memo://fresh"},
    **{f"shown {kind}": prompt("shown", kind=kind) for kind in KINDS},
    "greet": prompt("greet", name="Ada", times="2", style="loud"),
    "greet by default": prompt("greet", name="Ada"),
    "talk": prompt("talk"),
    "interview": prompt("interview"),
    "prompt without argument": prompt("greet"),
    "prompt with one too many": prompt("greet", name="Ada", mood="good"),
    "prompt with a malformed one": prompt("greet", name="Ada", times="twice"),
    "unknown prompt": prompt("nobody"),
    "complete name": complete(GREET, "name", "A"),
    "complete style": complete(GREET, "style", "warm", name="Ada"),
    "complete times": complete(GREET, "times", "1"),
    "complete id": complete(USER, "id", "7"),
    "complete all ids": complete(USER, "id", ""),
    "complete part": complete(USER, "part", "name", id="7"),
    "complete of unknown prompt": complete({"type": "ref/prompt", "name": "nobody"}, "a", ""),
    "complete of unknown template": complete({"type": "ref/resource", "uri": "no:{a}"}, "a", ""),
    "log by default": call("log_all", logger="default"),
    "log own": call("log_all", logger="own") | {"level": "error"},
    "level error": {"op": "level", "level": "error"},
    "log error": call("log_all", logger="error"),
    "level debug": {"op": "level", "level": "debug"},
    "log debug": call("log_all", logger="debug") | {"level": "debug"},
    # What was notified before has arrived when these are answered.
    "last": call("nothing"),
    "very last": call("nothing"),
}

LABELS = {
    "errors": ("malformed cursor", "complete of unknown prompt", "complete of unknown template"),
    "prompt errors": (
        *("prompt without argument", "prompt with one too many", "prompt with a malformed one"),
        "unknown prompt",
    ),
}


@attrs.frozen
class Seen:
    """What one client saw.

    Attributes:
        sdk: Which SDK it was made with: one of `SDKS`.
        era: `handshake` or `stateless`.
        facts: What it told.
    """

    sdk: str
    era: str
    facts: Facts

    @property
    def is_handshake(self) -> bool:
        return self.era == "handshake"

    def result(self, label: str) -> Facts:
        """The result of a step, without what belongs to the era rather than to the result."""
        outcome = self.facts[label]
        assert "error" not in outcome, outcome["error"]
        result = dict(outcome["result"])
        if not self.is_handshake and label not in ("tools", "identity"):
            meta = dict(result.pop("_meta"))
            # With its pictures only in `server/discover`.
            plain = {key: value for key, value in IDENTITY.items() if key != "icons"}
            assert meta.pop("io.modelcontextprotocol/serverInfo") == plain
            result |= {"_meta": meta} if meta else {}
            result.pop("resultType", None)
        return result

    def pages(self, kind: str) -> list[Facts]:
        pages: list[Facts] = self.facts[f"pages of {kind}"]["result"]
        return pages

    def listed(self, kind: str) -> list[Facts]:
        """Everything on all pages."""
        key = "resourceTemplates" if kind == "resources/templates" else kind
        return [item for page in self.pages(kind) for item in page[key]]

    def structured(self, value: Any) -> Any:
        """How a value that is no object looks: the handshake era knows objects only."""
        return {"result": value} if self.is_handshake else value

    def hints(self, ttl_ms: int, scope: str) -> Facts:
        """The cache hints that a result has in this era."""
        return {} if self.is_handshake else {"ttlMs": ttl_ms, "cacheScope": scope}


def run_client(sdk: str, era: str, directory: str) -> Facts:
    if sdk == "typescript":
        program = [str(NODE), str(HERE / "features_client.mjs"), era]
    else:
        backend = sdk.removeprefix("python-")
        program = [sys.executable, str(HERE / "features_client_sdk.py"), era, backend]
    server = [sys.executable, str(HERE / "features_server.py"), directory]
    command = [*program, json.dumps(STEPS), "--", *server]
    ran = subprocess.run(command, cwd=HERE, capture_output=True, timeout=60, check=False)
    # One tool fails on purpose, and the server says so.
    errors = ran.stderr.decode()
    assert (ran.returncode, errors.count("Traceback")) == (0, 1), errors
    assert "KeyError: 'no such kind'" in errors
    told: Facts = json.loads(ran.stdout)
    return told


@pytest.fixture(
    scope="module", params=[f"{sdk}:{era}" for sdk in SDKS for era in ("handshake", "stateless")]
)
def seen(
    request: pytest.FixtureRequest,
    node_modules: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Seen:
    """What one client saw."""
    sdk, _, era = request.param.partition(":")
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("secret")
    files = outside / "files"
    (files / "inner").mkdir(parents=True)
    (files / "a.txt").write_text("żółć\n")
    (files / "inner" / "b c.bin").write_bytes(b"\xff\x00")
    (files / "link.txt").symlink_to(outside / "secret.txt")
    return Seen(sdk, era, run_client(sdk, era, str(files)))


# -- what the server says of itself -----------------------------------------------------------

ICON = {"src": "data:image/png;base64,AAEC", "mimeType": "image/png"} | {
    "sizes": ["16x16", "any"],
    "theme": "dark",
}
IDENTITY = {
    "name": "trimcp-features",
    "version": "2.0.0",
    "title": "Features",
    "websiteUrl": "https://example.org/features",
    "icons": [ICON],
}
ANNOTATIONS = {
    "audience": ["user", "assistant"],
    "priority": 0.5,
    "lastModified": "2026-01-02T03:04:05Z",
}


def test_identity(seen: Seen) -> None:
    identity = seen.result("identity")
    assert identity["revision"] == ("2025-11-25" if seen.is_handshake else "2026-07-28")
    assert identity["info"] == IDENTITY
    assert identity["instructions"] == "Use one of each."
    offered = {"completions", "logging", "prompts", "resources", "tools"}
    assert offered <= set(identity["capabilities"])


def test_nothing_unexpected(seen: Seen) -> None:
    assert seen.facts["unexpected"] == []


# -- lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            "tools",
            [
                *("content", "mixed", "nothing", "whole_result", "fails", "point", "points"),
                *("table", "number", "truth", "maybe", "described.tool-1", "thread", "log_all"),
                *("progress", "see_progress", "order", "refuse", "one_by_one", "side_by_side"),
            ],
        ),
        ("prompts", ["interview", "greet", "shown", "talk"]),
        (
            "resources",
            ["asked", "text", "blob", "json", "many", "kept_count", "fresh_count", "files"],
        ),
        ("resources/templates", ["files", "user", "search"]),
    ],
)
def test_pages(seen: Seen, kind: str, names: list[str]) -> None:
    """Two on each page, none twice, none lost, in order."""
    assert [item["name"] for item in seen.listed(kind)] == names
    pages = seen.pages(kind)
    assert len(pages) == (len(names) + 1) // 2
    assert ["nextCursor" in page for page in pages] == [True] * (len(pages) - 1) + [False]
    for page in pages:
        hints = {key: page[key] for key in ("ttlMs", "cacheScope") if key in page}
        assert hints == seen.hints(60_000, "public")


def test_whole_list(seen: Seen) -> None:
    """The way that an SDK's user would take gives the same as turning pages."""
    assert seen.result("tools")["tools"] == seen.listed("tools")


def test_errors(seen: Seen) -> None:
    for label in LABELS["errors"]:
        assert seen.facts[label]["error"]["code"] == -32602, label
    assert "cursor" in seen.facts["malformed cursor"]["error"]["message"]
    assert "nobody" in seen.facts["complete of unknown prompt"]["error"]["message"]
    assert "no:{a}" in seen.facts["complete of unknown template"]["error"]["message"]


# -- tools: content ---------------------------------------------------------------------------

BLOCKS: dict[str, Facts] = {
    "text": {"type": "text", "text": "żółć \U0001f389 \u2028\x00", "_meta": {"kind": "text"}},
    "image": {
        "type": "image",
        "data": "AAEC",
        "mimeType": "image/png",
        "_meta": {"kind": "image"},
    },
    "audio": {
        "type": "audio",
        "data": "AwQF",
        "mimeType": "audio/wav",
        "_meta": {"kind": "audio"},
    },
    "text-resource": {
        "type": "resource",
        "resource": {
            "uri": "memo://inner",
            "text": "inner",
            "mimeType": "text/plain",
            "_meta": {"kind": "contents"},
        },
        "_meta": {"kind": "resource"},
    },
    "blob-resource": {
        "type": "resource",
        "resource": {"uri": "memo://inner", "blob": "BgcI", "mimeType": "image/gif"},
    },
    "link": {
        "type": "resource_link",
        "uri": "memo://elsewhere",
        "name": "elsewhere",
        "title": "Elsewhere",
        "description": "Not here.",
        "mimeType": "text/csv",
        "size": 3,
        "icons": [ICON],
        "_meta": {"kind": "link"},
    },
}
for kind in KINDS[:4] + KINDS[5:]:
    BLOCKS[kind]["annotations"] = ANNOTATIONS


@pytest.mark.parametrize("kind", KINDS)
def test_content(seen: Seen, kind: str) -> None:
    assert seen.result(f"content {kind}") == {"content": [BLOCKS[kind]]}


def test_mixed_content(seen: Seen) -> None:
    first = {"type": "text", "text": "first"}
    assert seen.result("call mixed") == {"content": [first, *BLOCKS.values()]}


def test_no_content(seen: Seen) -> None:
    assert seen.result("call nothing") == {"content": []}


def test_whole_result(seen: Seen) -> None:
    assert seen.result("call whole_result") == {
        "content": [{"type": "text", "text": "whole"}],
        "structuredContent": {"whole": True},
        "isError": True,
        "_meta": {"own": "meta"},
    }


def text_of(result: Facts) -> str:
    """The text of a result that is one text."""
    (block,) = result["content"]
    assert block.keys() == {"type", "text"}
    text: str = block["text"]
    return text


def test_failing_tool(seen: Seen) -> None:
    result = seen.result("call fails")
    assert result["isError"] is True
    assert text_of(result) == "failed on purpose"


def test_unforeseen_failure(seen: Seen) -> None:
    """Says that it failed, and nothing of what is inside."""
    result = seen.result("unforeseen")
    assert result["isError"] is True
    assert "no such kind" not in text_of(result)


def test_synchronous_tool(seen: Seen) -> None:
    assert text_of(seen.result("thread")) == "in a worker"


# -- tools: structured output -----------------------------------------------------------------

POINT = {"x": 1, "y": 0.5, "label": None, "allTags": ["a"]}
POINTS = [{**POINT, "allTags": []}, {**POINT, "x": 2, "label": "two", "allTags": []}]


@pytest.mark.parametrize(
    ("label", "value"),
    [("call point", POINT), ("call table", {"a": 1, "b": 2})],
)
def test_structured_object(seen: Seen, label: str, value: Facts) -> None:
    result = seen.result(label)
    assert result["structuredContent"] == value
    assert json.loads(text_of(result)) == value


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("call points", POINTS),
        ("call number", 2.5),
        ("call truth", False),
        ("maybe something", 7),
        ("maybe nothing", None),
    ],
)
def test_structured_value(seen: Seen, label: str, value: Any) -> None:
    """The text is the value; the handshake era wraps the structured one."""
    result = seen.result(label)
    assert result["structuredContent"] == seen.structured(value)
    assert json.loads(text_of(result)) == value


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("number", {"type": "number"}),
        ("truth", {"type": "boolean"}),
        ("maybe", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    ],
)
def test_output_schema(seen: Seen, name: str, schema: Facts) -> None:
    (tool,) = [tool for tool in seen.listed("tools") if tool["name"] == name]
    wrapped = {"type": "object", "properties": {"result": schema}, "required": ["result"]}
    assert tool["outputSchema"] == (wrapped if seen.is_handshake else schema)


def test_output_schema_with_definitions(seen: Seen) -> None:
    (tool,) = [tool for tool in seen.listed("tools") if tool["name"] == "points"]
    schema = tool["outputSchema"]
    items = schema["properties"]["result"] if seen.is_handshake else schema
    assert items == items | {"type": "array", "items": {"$ref": "#/$defs/Point"}}
    assert set(schema["$defs"]["Point"]["properties"]) == set(POINT)


# -- tools: what they say of themselves -------------------------------------------------------


def test_described_tool(seen: Seen) -> None:
    (tool,) = [tool for tool in seen.listed("tools") if tool["name"] == "described.tool-1"]
    assert tool == {
        "name": "described.tool-1",
        "title": "Described",
        "description": "Says all.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "maxLength": 5, "description": "What is repeated."},
                "times": {"type": "integer", "default": 1, "description": "How often."},
            },
            "required": ["text"],
            "additionalProperties": False,
        },
        "annotations": {
            "title": "Hinted",
            "readOnlyHint": False,
            "destructiveHint": True,
            "idempotentHint": True,
            "openWorldHint": False,
        },
        "icons": [ICON],
        "_meta": {"example.org/owner": {"team": 7}},
    }
    assert text_of(seen.result("described")) == "abab"


def test_invalid_arguments(seen: Seen) -> None:
    result = seen.result("described, at length")
    assert result["isError"] is True
    assert "\n$.text: " in text_of(result)


# -- progress, logging, questions -------------------------------------------------------------


def test_progress(seen: Seen) -> None:
    assert text_of(seen.result("progress")) == "done"
    assert seen.facts["progress"]["progress"] == [
        {"progress": step, "total": 2, "message": f"step {step}"} for step in (0.5, 1.0, 2.0)
    ]


LOGS = {
    "debug": "text",
    "info": {"an": "object"},
    "notice": ["a", "list"],
    "warning": 1.5,
    "error": True,
    "critical": "żółć",
    "alert": None,
    "emergency": "",
}


def logs_from(level: str | None, logger: str) -> list[Facts]:
    """What a logger sends to a client that wants this level and up; None wants nothing."""
    levels = list(LOGS)
    wanted = [] if level is None else levels[levels.index(level) :]
    return [{"level": each, "logger": logger, "data": LOGS[each]} for each in wanted]


def test_logging(seen: Seen) -> None:
    """Handshake era: a level until the next. Stateless era: one for each request, or none."""
    expected = (
        {"default": "info", "own": "info", "error": "error", "debug": "debug"}
        if seen.is_handshake
        else {"default": None, "own": "error", "error": None, "debug": "debug"}
    )
    for logger, level in expected.items():
        logs = [log for log in seen.facts["logs"] if log["logger"] == logger]
        assert logs == logs_from(level, logger)


def test_set_level(seen: Seen) -> None:
    """There is no such request in the stateless era."""
    for label in ("level error", "level debug"):
        if seen.is_handshake:
            assert seen.result(label) == {}
        else:
            assert "error" in seen.facts[label]


def questions(seen: Seen, message: str) -> list[Facts]:
    """The forms with this message, without the mode, which may be left out."""
    asked = [dict(form) for form in seen.facts["questions"] if form["message"] == message]
    assert all(form.pop("mode", "form") == "form" for form in asked)
    return [form["requestedSchema"] for form in asked]


def test_form(seen: Seen) -> None:
    """Every kind of field arrives as it was declared, and every answer as it was given."""
    (form,) = questions(seen, "Please fill in the form.")
    assert form == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Who orders.", "minLength": 1},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "weight": {"type": "number"},
            "gift": {"type": "boolean"},
            "size": {"type": "string", "enum": ["small", "large"]},
            "colours": {"type": "array", "items": {"type": "string", "enum": ["red", "green"]}},
            "note": {"type": "string", "default": "none"},
        },
        "required": ["name", "count", "weight", "gift", "size", "colours"],
    }
    assert json.loads(text_of(seen.result("call order"))) == {
        "name": "text",
        "count": 3,
        "weight": 1.5,
        "gift": True,
        "size": "large",
        "colours": ["red", "green"],
        "note": "none",
    }


def test_refused_questions(seen: Seen) -> None:
    assert text_of(seen.result("refuse by declining")) == "refused: decline"
    assert text_of(seen.result("refuse by dismissing")) == "refused: cancel"


def test_several_questions(seen: Seen) -> None:
    """One after another, and two at a time; each is asked once."""
    assert text_of(seen.result("call one_by_one")) == "2 answers"
    assert text_of(seen.result("call side_by_side")) == "Left? Right?"
    for message in ("First?", "Second?", "Left?", "Right?", "Read?", "Interview?"):
        assert len(questions(seen, message)) == 1


def test_questions_of_prompts_and_resources(seen: Seen) -> None:
    (message,) = seen.result("interview")["messages"]
    assert message["content"]["text"] == "The answer is True."
    (contents,) = seen.result("read memo://asked")["contents"]
    assert contents["text"] == "The answer is True."


# -- resources --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "contents"),
    [
        ("memo://text", {"text": "*text*", "mimeType": "text/markdown"}),
        ("memo://blob", {"blob": "AAEC/w==", "mimeType": "image/png"}),
        ("memo://json", {"text": '{"a":[1,null,"ż"]}', "mimeType": "application/json"}),
        ("dir://files/a.txt", {"text": "żółć\n", "mimeType": "text/plain"}),
        (
            "dir://files/inner/b%20c.bin",
            {"blob": "/wA=", "mimeType": "application/octet-stream"},
        ),
        ("search://notes", {"text": '{"q":"","limit":10}', "mimeType": "application/json"}),
        (
            "search://notes?q=a%20b&limit=3",
            {"text": '{"q":"a b","limit":3}', "mimeType": "application/json"},
        ),
    ],
)
def test_read(seen: Seen, uri: str, contents: Facts) -> None:
    hints = seen.hints(0, "private")
    assert seen.result(f"read {uri}") == {"contents": [{"uri": uri, **contents}], **hints}


def test_read_with_context(seen: Seen) -> None:
    """The template's variables, and who asks."""
    peer = f"{seen.sdk.partition('-')[0]}-sdk-peer"
    (contents,) = seen.result("read user://7/name")["contents"]
    assert contents["text"] == f"name of 7, asked by {peer}"


def test_read_several_contents(seen: Seen) -> None:
    assert seen.result("read memo://many")["contents"] == [
        {"uri": "memo://many/1", "text": "one", "mimeType": "text/plain", "_meta": {"part": 1}},
        {"uri": "memo://many/2", "blob": "AAEC", "mimeType": "image/png"},
    ]


def test_read_directory(seen: Seen) -> None:
    (contents,) = seen.result("read dir://files")["contents"]
    assert contents["mimeType"] == "application/json"
    assert {entry["name"]: entry["type"] for entry in json.loads(contents["text"])} == {
        "a.txt": "file",
        # The link leads out of the directory: what cannot be read is not listed.
        "inner": "directory",
    }
    (contents,) = seen.result("read dir://files/inner")["contents"]
    (entry,) = json.loads(contents["text"])
    assert entry["uri"] == "dir://files/inner/b%20c.bin"


@pytest.mark.parametrize("uri", MISSING)
def test_missing_resource(seen: Seen, uri: str) -> None:
    """Also one that lies outside of the directory."""
    error = seen.facts[f"read {uri}"]["error"]
    # The TypeScript SDK tells its users the newer code in both eras.
    is_old = seen.is_handshake and seen.sdk != "typescript"
    assert error["code"] == (-32002 if is_old else -32602)
    assert error["data"] == {"uri": uri.replace("%2E", ".")}


def test_described_resources(seen: Seen) -> None:
    described = {item["uri"]: item for item in seen.listed("resources")}
    assert described["memo://text"] == {
        "uri": "memo://text",
        "name": "text",
        "title": "A text",
        "description": "Some *text*.",
        "mimeType": "text/markdown",
        "annotations": ANNOTATIONS,
        "size": 6,
        "icons": [ICON],
        "_meta": {"kind": "listed"},
    }
    templates = {item["uriTemplate"]: item for item in seen.listed("resources/templates")}
    assert templates["user://{id}/{part}"] == {
        "uriTemplate": "user://{id}/{part}",
        "name": "user",
        "title": "A user",
        "description": "One part of what is known of a user.",
        "mimeType": "text/plain",
        "annotations": ANNOTATIONS,
        "icons": [ICON],
        "_meta": {"kind": "template"},
    }
    assert "search://notes{?q,limit}" in templates
    assert described["dir://files"]["title"] == "The files"


def test_cache_hints(seen: Seen) -> None:
    """What may be kept is read once, where the era has hints for it."""
    for label, hints in [("kept", (60_000, "public")), ("fresh", (0, "private"))]:
        first, second = seen.result(label), seen.result(f"{label} again")
        for result in (first, second):
            given = {key: result[key] for key in ("ttlMs", "cacheScope") if key in result}
            assert given == seen.hints(*hints)
        counts = [result["contents"][0]["text"] for result in (first, second)]
        is_kept = label == "kept" and not seen.is_handshake
        assert counts == ["1", "1" if is_kept else "2"]


# -- prompts and completion -------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_prompt_content(seen: Seen, kind: str) -> None:
    assert seen.result(f"shown {kind}") == {
        "description": "One block of this kind.",
        "messages": [{"role": "user", "content": BLOCKS[kind]}],
    }


def test_prompt_arguments(seen: Seen) -> None:
    (listed,) = [prompt for prompt in seen.listed("prompts") if prompt["name"] == "greet"]
    assert listed == {
        "name": "greet",
        "title": "Greeting",
        "description": "Greet somebody.",
        "arguments": [
            {"name": "name", "description": "Who is greeted.", "required": True},
            {"name": "times", "description": "How often.", "required": False},
            {"name": "style", "required": False},
        ],
        "icons": [ICON],
        "_meta": {"kind": "greeting"},
    }
    for label, text in [
        ("greet", "loud: Hello Ada! Hello Ada! "),
        ("greet by default", "plain: Hello Ada! "),
    ]:
        (message,) = seen.result(label)["messages"]
        assert message == {"role": "user", "content": {"type": "text", "text": text}}


def test_conversation(seen: Seen) -> None:
    assert seen.result("talk")["messages"] == [
        {"role": "user", "content": {"type": "text", "text": "A question."}},
        {"role": "assistant", "content": {"type": "text", "text": "An answer."}},
        {"role": "user", "content": BLOCKS["image"]},
    ]


def test_prompt_errors(seen: Seen) -> None:
    words = ("$.name", "$.mood", "$.times", "nobody")
    for label, word in zip(LABELS["prompt errors"], words, strict=True):
        error = seen.facts[label]["error"]
        assert error["code"] == -32602
        assert word in error["message"]


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ("name", ["Ada", "Alan"]),
        ("style", ["warm-for-Ada"]),
        ("times", []),
        ("part", ["name-of-7"]),
    ],
)
def test_completion(seen: Seen, asked: str, values: list[str]) -> None:
    """Of prompts and templates; with the other arguments; and where there is nothing to say."""
    completion = {"values": values, "total": len(values), "hasMore": False}
    assert seen.result(f"complete {asked}") == {"completion": completion}


def test_long_completion(seen: Seen) -> None:
    """No more than 100, but they are counted."""
    completion = seen.result("complete all ids")["completion"]
    assert completion["values"] == [str(number) for number in range(100)]
    assert (completion["total"], completion["hasMore"]) == (1000, True)
    completion = seen.result("complete id")["completion"]
    assert len(completion["values"]) == 100
    assert (completion["total"], completion["hasMore"]) == (111, True)
