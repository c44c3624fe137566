"""Overview, JSON Schema Usage (since 2025-11-25)."""

from __future__ import annotations

import enum
import socket
from typing import TYPE_CHECKING, Any, Literal

import jsonschema_rs
import pydantic
import pytest

from trimcp import ProtocolViolation, RegistrationError, Server
from trimcp.functions import InvalidSchema, SchemaChecker

from .harness import Message, both_eras, facing, result, talking

if TYPE_CHECKING:
    from trio.testing import MockClock

DRAFTS = {
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "7": "http://json-schema.org/draft-07/schema#",
    "6": "http://json-schema.org/draft-06/schema#",
    "4": "http://json-schema.org/draft-04/schema#",
}

#: Says different things in 2020-12 and in draft 7.
TUPLE: Message = {"prefixItems": [{"type": "string"}], "items": False}
OLD_TUPLE: Message = {"items": [{"type": "string"}], "additionalItems": False}


def test_the_default_is_2020_12() -> None:
    """JSON-01, JSON-02: by a keyword that older drafts do not know."""
    checker = SchemaChecker(TUPLE)
    assert checker.flaws(["a"]) is None
    assert checker.flaws([1]) is not None
    assert checker.flaws(["a", "b"]) is not None
    with pytest.raises(InvalidSchema):
        SchemaChecker(OLD_TUPLE)


@pytest.mark.parametrize("draft", DRAFTS)
def test_declared_dialects(draft: str) -> None:
    """JSON-01, JSON-03, JSON-05: each that docs/conformance.md names means what it says."""
    schema = {"$schema": DRAFTS[draft]}
    assert SchemaChecker(schema | {"type": "integer"}).flaws("x") is not None
    if draft == "2020-12":
        assert SchemaChecker(schema | TUPLE).flaws([1]) is not None
    else:
        assert SchemaChecker(schema | OLD_TUPLE).flaws([1]) is not None
        assert SchemaChecker(schema | OLD_TUPLE).flaws(["a", "b"]) is not None
        # A keyword of the future is an unknown keyword.
        assert SchemaChecker(schema | {"prefixItems": [{"type": "string"}]}).flaws([1]) is None


def test_the_page_names_the_dialects(pytestconfig: pytest.Config) -> None:
    """JSON-05."""
    page = (pytestconfig.rootpath / "docs" / "conformance.md").read_text()
    for draft in DRAFTS:
        assert f"draft {draft}" in page or draft == "2020-12"
    assert "2020-12" in page


UNKNOWN = ["https://json-schema.org/draft/2099-01/schema", "https://example.com/mine", "x"]


@pytest.mark.parametrize("dialect", UNKNOWN)
async def test_unknown_dialects(dialect: str, autojump_clock: MockClock) -> None:
    """JSON-03: are named in the error, at registration and at a client's call."""
    with pytest.raises(InvalidSchema, match="schema"):
        SchemaChecker({"$schema": dialect})
    server = Server[Any]("example")

    async def tool(arguments: dict[str, Any]) -> None:
        """Takes anything."""

    with pytest.raises(RegistrationError, match="schema"):
        server.tool(input_schema={"$schema": dialect, "type": "object"})(tool)
    assert "schema" in str(await failure_of({"$schema": dialect, "type": "object"}))


async def failure_of(schema: Message) -> Exception:
    """What a client says to a result of a tool with that output schema."""
    tool = {"name": "x", "inputSchema": {"type": "object"}, "outputSchema": schema}
    async with facing("2026-07-28") as to:
        listing = to.start(to.client.list_tools)
        await to.line.send(result(await to.line.receive(), {"tools": [tool]}))
        await listing.get()
        call = to.start(to.client.call_tool, "x")
        answer = {"content": [], "structuredContent": {"a": 1}}
        await to.line.send(result(await to.line.receive(), answer))
        failure: Exception = await call.fails(ProtocolViolation)
        return failure


INVALID: list[Message] = [
    {"type": "text"},
    {"properties": []},
    {"minimum": "0"},
    {"required": "a"},
    {"$ref": 5},
    {"allOf": []},
]


@pytest.mark.parametrize("schema", INVALID, ids=repr)
async def test_invalid_schemas(schema: Message, autojump_clock: MockClock) -> None:
    """JSON-04: are refused, by whoever has to use them."""
    with pytest.raises(InvalidSchema):
        SchemaChecker(schema)
    await failure_of({"type": "object"} | schema)


class Colour(enum.Enum):
    RED = "red"


class Point(pydantic.BaseModel):
    x: float
    y: float | None = None


class Tree(pydantic.BaseModel):
    label: str
    children: list[Tree] = []


@both_eras
async def test_our_own_schemas(revision: str, autojump_clock: MockClock) -> None:
    """JSON-04, JSON-06: what is made from annotations is valid, with all its references inside."""
    server = Server[Any]("example")

    @server.tool
    async def everything(
        tree: Tree,
        points: list[Point],
        colour: Colour = Colour.RED,
        tone: Literal["light", "dark"] = "dark",
        pair: tuple[int, str] | None = None,
        words: dict[str, set[int]] | None = None,
        anything: Any = None,
    ) -> list[Tree]:
        return [tree]

    async with talking(server, revision) as script:
        [tool] = (await script.do("tools/list"))["result"]["tools"]
    for schema in (tool["inputSchema"], tool["outputSchema"]):
        assert jsonschema_rs.meta.is_valid(schema)
        assert "$schema" not in schema
        SchemaChecker(schema)


ELSEWHERE = [
    "https://example.com/schema.json",
    "http://127.0.0.1:9/schema",
    "//example.com/x",
    "file:///etc/passwd",
    "ftp://example.com/x",
    "other.json",
]


@pytest.mark.parametrize("reference", ELSEWHERE)
async def test_nothing_is_fetched(
    reference: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """JSON-07, JSON-08, TOOL-20: a reference to elsewhere makes a schema unusable."""

    def connect(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    for schema in ({"$ref": reference}, {"properties": {"a": {"$ref": reference}}}):
        with pytest.raises(InvalidSchema):
            SchemaChecker(schema)
        await failure_of({"type": "object"} | schema)


def test_references_inside_are_followed() -> None:
    """JSON-07: within the schema, by pointer or by name."""
    schema = {
        "$defs": {"n": {"type": "integer"}, "s": {"$anchor": "text", "type": "string"}},
        "properties": {"n": {"$ref": "#/$defs/n"}, "s": {"$ref": "#text"}},
    }
    checker = SchemaChecker(schema)
    assert checker.flaws({"n": 1, "s": "x"}) is None
    assert checker.flaws({"n": "x"}) is not None
    assert checker.flaws({"s": 1}) is not None


def test_schemas_are_bounded() -> None:
    """JSON-09: by their size; how deep they nest is bounded by the message that brings them."""
    wide = {"allOf": [{"properties": {f"p{n}": {"type": "string"}}} for n in range(10_000)]}
    with pytest.raises(InvalidSchema, match="too large"):
        SchemaChecker(wide)


async def test_combining_schemas_is_bounded(autojump_clock: MockClock) -> None:
    """JSON-09: a small schema that asks for endless work costs one call, and says why."""
    named = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(32)}
    schema = {"type": "object", "$defs": {**named, "d32": {}}, "$ref": "#/$defs/d0"}
    failure = await failure_of(schema)
    assert "cannot be checked" in str(failure)
    assert "combines too many" in str(failure)


async def test_schemas_nest_no_deeper_than_messages(autojump_clock: MockClock) -> None:
    """JSON-09."""
    schema: Message = {}
    for _ in range(300):
        schema = {"not": schema}
    tool = {"name": "x", "inputSchema": schema}
    async with facing("2026-07-28") as to:
        listing = to.start(to.client.list_tools, timeout=5)
        await to.line.send(result(await to.line.receive(), {"tools": [tool]}))
        # The answer cannot be read, so there is none.
        await listing.fails(Exception)
