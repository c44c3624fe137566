"""What older revisions get in place of what they do not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import jsonschema_rs
import pytest

from trimcp import types as t
from trimcp.protocol._codec import Codec, DecodeError, EncodeError, codec_for
from trimcp.protocol._degrade import describes_objects, object_schema
from trimcp.protocol._revisions import LATEST, REVISIONS

if TYPE_CHECKING:
    from trimcp.protocol._revisions import Revision

FIRST, BATCHES, STRUCTURED, URLS, _ = REVISIONS
NEWEST = codec_for(LATEST)

# -- content -----------------------------------------------------------------------

AUDIO = t.AudioContent("UklGRg==", "audio/wav")
LINK = t.ResourceLink("file:///report.pdf", "report", title="The report")


def text_of(codec: Codec, block: t.ContentBlock) -> str:
    (wire,) = codec.encode(t.CallToolResult([block]))["content"]
    assert wire["type"] == "text"
    return str(wire["text"])


def test_audio_becomes_text() -> None:
    expected = "[audio/wav left out: this protocol revision cannot carry audio]"
    assert text_of(codec_for(FIRST), AUDIO) == expected
    assert codec_for(BATCHES).encode(AUDIO)["type"] == "audio"


@pytest.mark.parametrize("revision", [FIRST, BATCHES], ids=str)
def test_resource_link_becomes_text(revision: Revision) -> None:
    assert text_of(codec_for(revision), LINK) == "Resource The report: file:///report.pdf"
    assert codec_for(STRUCTURED).encode(LINK)["type"] == "resource_link"


def test_degraded_content_keeps_its_annotations() -> None:
    block = attrs.evolve(AUDIO, annotations=t.Annotations(["user"]))
    assert codec_for(FIRST).encode(block)["annotations"] == {"audience": ["user"]}


def test_later_content_is_understood() -> None:
    """Servers that ignore the agreed revision are common, and a client loses nothing."""
    result = codec_for(FIRST).decode({"content": [NEWEST.encode(LINK)]}, t.CallToolResult)
    assert isinstance(result.content[0], t.ResourceLink)


def test_tool_use_cannot_be_said_before_its_time() -> None:
    message = t.SamplingMessage("assistant", [t.ToolUseContent("1", "add", {})])
    with pytest.raises(EncodeError, match="ToolUseContent cannot be said in revision"):
        codec_for(STRUCTURED).encode(message)


def test_content_of_a_sampling_message() -> None:
    one, two = t.TextContent("one"), t.TextContent("two")
    wire = {"type": "text", "text": "one"}
    single = t.SamplingMessage("user", [one])
    for revision in REVISIONS:
        codec = codec_for(revision)
        assert codec.encode(single)["content"] == wire
        assert codec.decode({"role": "user", "content": wire}, t.SamplingMessage) == single
        assert codec.decode({"role": "user", "content": [wire]}, t.SamplingMessage) == single
    several = t.SamplingMessage("user", [one, two])
    assert [block["text"] for block in NEWEST.encode(several)["content"]] == ["one", "two"]
    with pytest.raises(EncodeError, match="exactly one content block, not 2"):
        codec_for(STRUCTURED).encode(several)


# -- structured content ------------------------------------------------------------


@pytest.mark.parametrize("value", [5, None, [], "x", False], ids=repr)
def test_structured_value_is_wrapped(value: object) -> None:
    result = t.CallToolResult([], structured_content=value)
    assert NEWEST.encode(result)["structuredContent"] == value
    assert codec_for(URLS).encode(result)["structuredContent"] == {"result": value}
    assert "structuredContent" not in codec_for(BATCHES).encode(result)


def test_structured_object_is_not_wrapped() -> None:
    result = t.CallToolResult([], structured_content={"a": 1})
    assert codec_for(URLS).encode(result)["structuredContent"] == {"a": 1}


def test_structured_content_of_older_revisions_is_an_object() -> None:
    with pytest.raises(DecodeError, match=r"expected an object, got 5 @ \$\.structuredContent"):
        codec_for(URLS).decode({"content": [], "structuredContent": 5}, t.CallToolResult)


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}


@pytest.mark.parametrize(
    ("schema", "objects_only"),
    [
        ({"type": "object"}, True),
        ({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, True),
        ({"anyOf": [{"type": "object"}, {"$ref": "#/$defs/N"}], "$defs": {"N": NODE}}, True),
        ({"anyOf": [{"type": "object"}, {"type": "null"}]}, False),
        ({"$ref": "#/$defs/N", "$defs": {"N": {"$ref": "#/$defs/N"}}}, False),
        ({"$ref": "#/$defs/Gone"}, False),
        ({"type": ["object", "null"]}, False),
        ({"type": "array"}, False),
        ({}, False),
    ],
)
def test_describes_objects(schema: dict[str, Any], objects_only: bool) -> None:
    assert describes_objects(schema) is objects_only
    assert object_schema(schema)["type"] == "object"
    assert ("result" in object_schema(schema).get("properties", {})) is not objects_only


WRAPPED: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    ({"type": "array", "items": {"type": "integer"}}, [[], [1]], ["x", ["x"], None]),
    (
        {"type": "array", "items": {"$ref": "#/$defs/N"}, "$defs": {"N": {"type": "null"}}},
        [[None]],
        [[1]],
    ),
    ({"type": ["array", "null"], "items": {"$ref": "#"}}, [None, [[None]]], [1, [1], [[1]]]),
    (
        {"type": "array", "items": {"$ref": "#/$defs/T"}, "$defs": {"T": {"$ref": "#"}}},
        [[[]]],
        [[1]],
    ),
    (
        {"$id": "https://example.com/s", "type": "array", "items": {"$ref": "#"}},
        [[[]]],
        [1, [1]],
    ),
    (
        {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"$ref": "#/prefixItems/0"}],
        },
        [["a", "b"]],
        [["a", 1]],
    ),
]


@pytest.mark.parametrize(("schema", "good", "bad"), WRAPPED)
def test_wrapped_schema_accepts_wrapped_values(
    schema: dict[str, Any], good: list[Any], bad: list[Any]
) -> None:
    codec = codec_for(URLS)
    wire = codec.encode(t.Tool("t", {"type": "object"}, output_schema=schema))
    validator = jsonschema_rs.validator_for(wire["outputSchema"])
    before = jsonschema_rs.validator_for(schema)
    for values, valid in ((good, True), (bad, False)):
        for value in values:
            result = codec.encode(t.CallToolResult([], structured_content=value))
            assert before.is_valid(value) is valid
            assert validator.is_valid(result["structuredContent"]) is valid


def test_object_out_of_a_wider_schema_is_wrapped_too() -> None:
    wider = {"anyOf": [{"type": "object"}, {"type": "null"}]}
    older = codec_for(URLS)
    assert older.structured({"a": 1}, wider) == {"result": {"a": 1}}
    assert older.structured({"a": 1}, {"type": "object"}) == {"a": 1}
    assert older.structured({"a": 1}, None) == {"a": 1}
    assert NEWEST.structured({"a": 1}, wider) == {"a": 1}


NODES = {"type": ["array", "integer"], "items": {"$dynamicRef": "#node"}, "$dynamicAnchor": "node"}
DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("revision", [STRUCTURED, URLS], ids=str)
@pytest.mark.parametrize(
    ("schema", "value", "wrong"),
    [
        ({"const": {"$ref": "#/x"}}, {"$ref": "#/x"}, {}),
        ({"enum": [{"$ref": "#"}]}, {"$ref": "#"}, {}),
        ({"type": ["integer", "null"], "default": {"$ref": "#/q"}}, 1, "x"),
        ({"properties": {"const": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "integer"}}},
         {"const": 1}, {"const": "x"}),
        ({"properties": {"enum": {"$ref": "#/properties/b"}, "b": {"type": "integer"}}},
         {"enum": 1}, {"enum": "x"}),
        ({"type": ["array", "integer"], "items": {"$ref": "#"}}, [[1]], [["x"]]),
        ({"type": ["array", "integer"], "items": {"$dynamicRef": "#"}}, [[1]], [["x"]]),
        ({"$anchor": "top", "type": ["array", "integer"], "items": {"$ref": "#top"}}, [1], ["x"]),
        ({"$schema": DRAFT_2019, "$recursiveAnchor": True, "type": ["array", "integer"],
          "items": {"$recursiveRef": "#"}}, [[1]], [["x"]]),
        ({"$id": "https://e/x", "type": ["array", "integer"], "items": {"$ref": "https://e/x"}},
         [[1]], [["x"]]),
        (NODES, [[1]], [["x"]]),
        ({"$schema": DRAFT_7, "definitions": {"A": {"type": "integer"}},
          "anyOf": [{"$ref": "#/definitions/A"}, {"type": "object"}]}, 5, "x"),
    ],
    ids=str,
)  # fmt: skip
def test_a_moved_schema_says_the_same(
    revision: Revision, schema: dict[str, Any], value: Any, wrong: Any
) -> None:
    """Wherever its references point, and whatever in it only looks like one."""
    codec = codec_for(revision)
    validator = jsonschema_rs.validator_for(object_schema(schema))
    assert validator.is_valid(codec.structured(value, schema))
    assert not validator.is_valid(codec.structured(wrong, schema))
