"""What a client reads though a server should not have sent it, and what nobody may follow."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples, payloads
from trimcp import types as t
from trimcp.protocol import LATEST, REVISIONS, DecodeError, codec_for, reader_for
from trimcp.protocol._codec import wire_name

if TYPE_CHECKING:
    from trimcp.protocol import Revision

#: Every type of result that a server may send, by revision.
RESULTS = [
    pytest.param(revision, cls, id=f"{revision.date}-{cls.__name__}")
    for revision in REVISIONS
    for cls in sorted(
        {
            each
            for method in revision.client_requests.values()
            for each in (get_args(method.result) or (method.result,))
        },
        key=lambda cls: cls.__name__,
    )
]


def with_nulls(wire: Any, value: Any, revision: Revision, draw: Any) -> Any:
    """The wire form of a payload, with null in some of the optional members that are absent."""
    if isinstance(value, tuple) and isinstance(wire, list):
        pairs = zip(wire, value, strict=True)
        return [with_nulls(each, inner, revision, draw) for each, inner in pairs]
    if isinstance(value, dict) and isinstance(wire, dict):
        # A schema that is no object's is wrapped before 2026-07-28.
        return {key: with_nulls(wire[key], value.get(key), revision, draw) for key in wire}
    if not attrs.has(type(value)) or not isinstance(wire, dict):
        return wire
    whole = dict(wire)
    for field in attrs.fields(type(value)):
        name = wire_name(field.name)
        if name in wire:
            whole[name] = with_nulls(wire[name], getattr(value, field.name), revision, draw)
        elif field.name == "structured_content" and revision.structured_any:
            continue  # here null is a value
        elif field.default is not attrs.NOTHING and draw(st.booleans()):
            whole[name] = None
    return whole


@pytest.mark.parametrize(("revision", "cls"), RESULTS)
@given(data=st.data())
@examples(10)
def test_null_in_an_optional_member_equals_its_absence(
    revision: Revision, cls: Any, data: st.DataObject
) -> None:
    value = data.draw(payloads(cls, revision))
    wire = codec_for(revision).encode(value)
    nulled = with_nulls(wire, value, revision, data.draw)
    reader = reader_for(revision)
    assert reader.decode(nulled, cls) == reader.decode(wire, cls)


def test_null_is_a_value_where_the_schema_says_so() -> None:
    wire = {"content": [], "structuredContent": None}
    assert reader_for(LATEST).decode(wire, t.CallToolResult).structured_content is None
    for revision in REVISIONS[:-1]:
        read = reader_for(revision).decode(wire, t.CallToolResult)
        assert read.structured_content is t.UNSET


@pytest.mark.parametrize("cls", [t.ListToolsResult, t.CallToolResult, t.GetPromptResult])
def test_null_in_a_required_member_is_refused(cls: Any) -> None:
    for revision in REVISIONS:
        for name in ("tools", "content", "messages"):
            with pytest.raises(DecodeError):
                reader_for(revision).decode({name: None}, cls)


@pytest.mark.parametrize("tag", ["resultType", "mode"])
def test_null_in_a_member_that_tells_types_apart(tag: str) -> None:
    reader = reader_for(LATEST)
    method = LATEST.client_requests["tools/call"]
    assert reader.decode({"resultType": None, "content": []}, method.result).content == ()
    question = {"message": "m", "requestedSchema": {"type": "object"}, "mode": None}
    asked = {"method": "elicitation/create", "params": question}
    wire = {"resultType": "input_required", "inputRequests": {"q": asked}, "requestState": None}
    read = reader.decode(wire, method.result)
    assert isinstance(read.input_requests["q"].params, t.ElicitRequestFormParams)


def test_contents_with_null_for_the_other_kind() -> None:
    wire = {"contents": [{"uri": "x:y", "text": None, "blob": "AA=="}]}
    [read] = reader_for(LATEST).decode(wire, t.ReadResourceResult).contents
    assert isinstance(read, t.BlobResourceContents)


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_server_reads_null_beside_a_refusal(action: str) -> None:
    for revision in REVISIONS:
        wire = {"action": action, "content": None}
        assert codec_for(revision).decode(wire, t.ElicitResult) == t.ElicitResult(action)  # type: ignore[arg-type]


def test_a_server_is_strict_beside_that() -> None:
    for wire in ({"action": "accept", "content": None}, {"action": None}):
        with pytest.raises(DecodeError, match="null"):
            codec_for(LATEST).decode(wire, t.ElicitResult)


# -- lists -------------------------------------------------------------------------------------

GOOD = {
    "tools": {"name": "good", "inputSchema": {"type": "object"}},
    "prompts": {"name": "good"},
    "resources": {"name": "good", "uri": "x:y"},
    "resourceTemplates": {"name": "good", "uriTemplate": "x:{y}"},
}
LISTS = {
    "tools": t.ListToolsResult,
    "prompts": t.ListPromptsResult,
    "resources": t.ListResourcesResult,
    "resourceTemplates": t.ListResourceTemplatesResult,
}
BAD: list[tuple[str, Any]] = [
    *(("tools", {"name": "bad", "inputSchema": odd}) for odd in (None, "x", [], 5, True)),
    ("tools", {"name": "bad"}),
    ("tools", {"name": "bad", "inputSchema": {}, "outputSchema": "x"}),
    ("tools", {"name": "bad", "inputSchema": {}, "annotations": []}),
    *((name, {**good, "name": 5}) for name, good in GOOD.items()),
    *((name, {**good, "title": ["bad"]}) for name, good in GOOD.items()),
    *((name, None) for name in GOOD),
    *((name, "bad") for name in GOOD),
    ("prompts", {"name": "bad", "arguments": [{}]}),
    ("resources", {"name": "bad", "uri": 5}),
]


@pytest.mark.parametrize(("name", "bad"), BAD)
def test_one_item_that_cannot_be_read_costs_that_item(
    name: str, bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cls = LISTS[name]
    items = [bad, GOOD[name], bad]
    with caplog.at_level(logging.WARNING, "trimcp.client"):
        read = reader_for(LATEST).decode({name: items}, cls)
    [kept] = getattr(read, attrs.fields(cls)[0].name)
    assert kept.name == "good"
    with pytest.raises(DecodeError):
        codec_for(LATEST).decode({name: [bad]}, cls)
    assert "and 1 more" in caplog.text
    assert "@ $" in caplog.text


@pytest.mark.parametrize("odd", [None, {}, "x", 5])
def test_what_is_no_list_is_refused(odd: Any) -> None:
    with pytest.raises(DecodeError):
        reader_for(LATEST).decode({"tools": odd}, t.ListToolsResult)


def test_many_odd_items_are_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    wire = {"tools": [{"name": "n" * 10_000}] * 1000}
    with caplog.at_level(logging.WARNING, "trimcp.client"):
        assert reader_for(LATEST).decode(wire, t.ListToolsResult).tools == ()
    assert len(caplog.records) == 1
    assert len(caplog.text) < 1000


# -- icons -------------------------------------------------------------------------------------

UNSAFE = [
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "file:///etc/passwd",
    "ftp://example.com/x.png",
    "ws://example.com/",
    "myapp://open",
    "vbscript:x",
    "blob:https://example.com/x",
    "/icon.png",
    "icon.png",
    "",
    " javascript:alert(1)",
    "\tjavascript:alert(1)",
]
SAFE = [
    "https://example.com/x.png",
    "HTTPS://example.com/",
    "http://localhost/x.png",
    "data:image/png;base64,AA==",
]


@pytest.mark.parametrize("src", UNSAFE)
@pytest.mark.parametrize("read", [codec_for, reader_for])
def test_icons_that_must_not_be_followed_are_left_out(
    read: Any, src: str, caplog: pytest.LogCaptureFixture
) -> None:
    icons = [{"src": SAFE[0]}, {"src": src}, {"src": SAFE[3]}]
    with caplog.at_level(logging.WARNING, "trimcp.client"):
        tool = read(LATEST).decode({**GOOD["tools"], "icons": icons}, t.Tool)
    assert [each.src for each in tool.icons] == [SAFE[0], SAFE[3]]
    assert "icon" in caplog.text
    for cls, more in (
        (t.Implementation, {"version": "1"}),
        (t.Prompt, {}),
        (t.Resource, {"uri": "x:y"}),
    ):
        whole = read(LATEST).decode({"name": "x", "icons": icons, **more}, cls)
        assert len(whole.icons) == 2


def test_other_icons_are_kept() -> None:
    icons = [{"src": src} for src in SAFE]
    tool = reader_for(LATEST).decode({**GOOD["tools"], "icons": icons}, t.Tool)
    assert [each.src for each in tool.icons or ()] == SAFE
