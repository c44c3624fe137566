"""The codec: round trips, strictness, and what each revision knows."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.counting import calls_of
from tests.strategies import JSON_VALUES, examples, payloads
from trimcp import types as t
from trimcp.protocol._codec import DecodeError, EncodeError, codec_for, wire_name
from trimcp.protocol._converters import converter_for
from trimcp.protocol._revisions import (
    HANDSHAKE_REVISIONS,
    LATEST,
    LATEST_HANDSHAKE,
    REVISIONS,
    STATELESS_REVISIONS,
    Revision,
    find_revision,
)

FIRST, BATCHES, STRUCTURED, URLS, STATELESS = REVISIONS
NEWEST = codec_for(LATEST)

CLASSES = [cls for cls in vars(t).values() if attrs.has(cls)]

by_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
by_revision = pytest.mark.parametrize("revision", REVISIONS, ids=str)


# -- the rows ---------------------------------------------------------------------------------


def test_revisions_stand_in_order() -> None:
    assert list(REVISIONS) == sorted(REVISIONS, key=lambda row: row.date)
    assert HANDSHAKE_REVISIONS + STATELESS_REVISIONS == REVISIONS
    assert LATEST is STATELESS
    assert LATEST_HANDSHAKE is URLS


def test_find_revision() -> None:
    assert [find_revision(row.date) for row in REVISIONS] == list(REVISIONS)
    assert find_revision("2024-10-07") is None


@by_revision
def test_rows_name_only_real_fields(revision: Revision) -> None:
    for table in (revision.hidden, revision.required):
        for cls, names in table.items():
            assert names <= {field.name for field in attrs.fields(cls)}


@by_revision
def test_codec_is_built_once(revision: Revision) -> None:
    assert codec_for(revision) is codec_for(revision)


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("uri", "uri"),
        ("input_schema", "inputSchema"),
        ("ttl_ms", "ttlMs"),
        ("tool_use_id", "toolUseId"),
        ("meta", "_meta"),
    ],
)
def test_wire_name(name: str, wire: str) -> None:
    assert wire_name(name) == wire


# -- round trips ------------------------------------------------------------------------------


def known(cls: Any, revision: Revision = LATEST) -> st.SearchStrategy[Any]:
    return payloads(cls, revision, known_only=True)


@by_class
@examples(30)
@given(data=st.data())
def test_round_trip(cls: type, data: st.DataObject) -> None:
    value = data.draw(known(cls))
    assert NEWEST.decode(NEWEST.encode(value), cls) == value


@pytest.mark.parametrize("name", list(LATEST.client_requests))
@examples(30)
@given(data=st.data())
def test_round_trip_of_results(name: str, data: st.DataObject) -> None:
    shape = LATEST.client_requests[name].result
    value = data.draw(known(shape))
    wire = NEWEST.encode(value)
    if isinstance(value, t.InputRequiredResult):
        wire["resultType"] = "input_required"
    assert NEWEST.decode(wire, shape) == value


def test_result_type_chooses_the_class() -> None:
    shape = LATEST.client_requests["tools/call"].result
    done = t.CallToolResult([t.TextContent("done")])
    assert NEWEST.decode({"content": [{"type": "text", "text": "done"}]}, shape) == done
    question = {"resultType": "input_required", "requestState": "s"}
    assert NEWEST.decode(question, shape) == t.InputRequiredResult(request_state="s")


def test_encode() -> None:
    tool = t.Tool(
        "add",
        {"type": "object", "x-order": ["a", "b"]},
        annotations=t.ToolAnnotations(read_only_hint=True),
        icons=[t.Icon("https://example.com/i.png", mime_type="image/png", sizes=["48x48"])],
        meta={"com.example/x": None},
    )
    assert NEWEST.encode(tool) == {
        "name": "add",
        "inputSchema": {"type": "object", "x-order": ["a", "b"]},
        "annotations": {"readOnlyHint": True},
        "icons": [
            {"src": "https://example.com/i.png", "mimeType": "image/png", "sizes": ["48x48"]}
        ],
        "_meta": {"com.example/x": None},
    }


def test_encode_passes_open_objects_through() -> None:
    schema = {"type": "object", "default": {"deep": {"snake_case": None}}}
    assert NEWEST.encode(t.Tool("t", schema))["inputSchema"] is schema


def test_encode_takes_answers_as_payloads() -> None:
    params = t.CallToolRequestParams(
        "t", input_responses={"a": t.ElicitResult("decline"), "b": {"roots": []}}
    )
    assert NEWEST.encode(params)["inputResponses"] == {
        "a": {"action": "decline"},
        "b": {"roots": []},
    }


@pytest.mark.parametrize("value", [None, "text", {"name": "x"}, int], ids=repr)
def test_encode_refuses_what_is_no_payload(value: object) -> None:
    with pytest.raises(EncodeError, match="is no payload class"):
        NEWEST.encode(value)


def test_encode_refuses_a_strange_block() -> None:
    with pytest.raises(EncodeError, match="Tool is none of TextContent, ImageContent"):
        NEWEST.encode(t.CallToolResult([t.Tool("x", {})]))  # type: ignore[list-item]


# -- absent, null, unset ----------------------------------------------------------------------


def test_structured_null_is_not_absent() -> None:
    absent, null = t.CallToolResult([]), t.CallToolResult([], structured_content=None)
    assert absent != null
    assert NEWEST.encode(absent) == {"content": []}
    assert NEWEST.encode(null) == {"content": [], "structuredContent": None}
    assert NEWEST.decode({"content": []}, t.CallToolResult).structured_content is t.UNSET
    assert NEWEST.decode(NEWEST.encode(null), t.CallToolResult).structured_content is None


def test_unset() -> None:
    assert not t.UNSET
    assert repr(t.UNSET) == "UNSET"


@by_class
@examples(10)
@given(data=st.data())
def test_null_is_refused(cls: type, data: st.DataObject) -> None:
    """Null for any field is an error, unless the field may be any JSON."""
    any_json = {"structured_content", "LoggingMessageNotificationParams.data"}
    wire = NEWEST.encode(data.draw(known(cls)))
    for field in attrs.fields(cls):
        if field.name in LATEST.hidden.get(cls, ()):
            continue
        if {field.name, f"{cls.__name__}.{field.name}"} & any_json:
            continue
        if wire.get("action") in ("decline", "cancel") and field.name == "content":
            # Whoever declines has nothing to say, and many clients say it with null.
            assert NEWEST.decode(wire | {"content": None}, cls).content is None
            continue
        if wire.get("method") == "roots/list" and field.name == "params":
            # This method has no params, and whatever stands there is ignored.
            continue
        with pytest.raises(DecodeError, match="null"):
            NEWEST.decode(wire | {wire_name(field.name): None}, cls)


# -- strictness -------------------------------------------------------------------------------

FORM = {"message": "m", "requestedSchema": {}}
BAD: list[tuple[Any, Any, str]] = [
    ([], t.CallToolRequestParams, "expected an object, got an array @ $"),
    (None, t.CallToolRequestParams, "expected an object, got null @ $"),
    ({}, t.CallToolRequestParams, "a required field is missing @ $.name"),
    ({"name": 5}, t.CallToolRequestParams, "expected a string, got 5 @ $.name"),
    ({"name": None}, t.CallToolRequestParams, "expected a string, got null @ $.name"),
    (
        {"name": "x", "arguments": []},
        t.CallToolRequestParams,
        "expected an object, got an array @ $.arguments",
    ),
    (
        {"name": "x", "arguments": {"a": 1, "b": ""}},
        t.GetPromptRequestParams,
        "expected a string, got 1 @ $.arguments.a",
    ),
    (
        {"name": "x", "arguments": {"two words": {}}},
        t.GetPromptRequestParams,
        'expected a string, got an object @ $.arguments["two words"]',
    ),
    ({"cursor": True}, t.PaginatedRequestParams, "expected a string, got true @ $.cursor"),
    ({"level": "loud"}, t.SetLevelRequestParams, 'expected one of {levels}, got "loud" @ $.level'),
    (
        {"progressToken": 1.5, "progress": 1},
        t.ProgressNotificationParams,
        "expected a string or an integer, got 1.5 @ $.progressToken",
    ),
    (
        {"progressToken": 1, "progress": True},
        t.ProgressNotificationParams,
        "expected a number, got true @ $.progress",
    ),
    (
        {"content": [], "isError": "false"},
        t.CallToolResult,
        'expected a boolean, got "false" @ $.isError',
    ),
    ({"content": [], "isError": 1}, t.CallToolResult, "expected a boolean, got 1 @ $.isError"),
    (
        {"uri": "x", "name": "x", "size": True},
        t.Resource,
        "expected an integer, got true @ $.size",
    ),
    ({"uri": "x", "name": "x", "size": 1.5}, t.Resource, "expected an integer, got 1.5 @ $.size"),
    (
        {"content": [{"type": "video", "data": ""}]},
        t.CallToolResult,
        'expected one of {blocks}, got "video" @ $.content[0].type',
    ),
    ({"content": [{}]}, t.CallToolResult, "a required field is missing @ $.content[0].type"),
    (
        {"content": [{"type": []}]},
        t.CallToolResult,
        "expected one of {blocks}, got an array @ $.content[0].type",
    ),
    (
        {"contents": [{"uri": "x"}]},
        t.ReadResourceResult,
        'expected "text" or "blob" in the object @ $.contents[0]',
    ),
    (
        {"action": "accept", "content": {"a": None}},
        t.ElicitResult,
        "expected a string, number, boolean or array of strings, got null @ $.content.a",
    ),
    (
        {"ref": {"type": "ref/prompt"}, "argument": {"name": "a"}},
        t.CompleteRequestParams,
        "a required field is missing @ $.ref.name; a required field is missing @ $.argument.value",
    ),
    (
        {"inputRequests": {"q": {"method": "elicitation/create"}}},
        t.InputRequiredResult,
        "a required field is missing @ $.inputRequests.q.params",
    ),
    (
        {"inputRequests": {"q": {"method": "elicitation/create", "params": FORM | {"mode": ""}}}},
        t.InputRequiredResult,
        'expected one of "form", "url", got "" @ $.inputRequests.q.params.mode',
    ),
    (
        {"inputRequests": {"q": {"method": "tools/call", "params": {}}}},
        t.InputRequiredResult,
        'expected one of "sampling/createMessage", "roots/list", "elicitation/create", '
        'got "tools/call" @ $.inputRequests.q.method',
    ),
    (
        {"resultType": "later"},
        LATEST.client_requests["tools/call"].result,
        'expected one of "complete", "input_required", got "later" @ $.resultType',
    ),
    ({}, t.CancelledNotificationParams, "a required field is missing @ $.requestId"),
    (
        {"type": "image", "text": "x"},
        t.TextContent,
        'expected "text", got "image" @ $.type',
    ),
]
WORDS = {
    "{levels}": '"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"',
    "{blocks}": '"text", "image", "audio", "resource_link", "resource"',
}


@pytest.mark.parametrize(("data", "shape", "message"), BAD, ids=[bad[2][:60] for bad in BAD])
def test_bad_input(data: Any, shape: Any, message: str) -> None:
    for placeholder, words in WORDS.items():
        message = message.replace(placeholder, words)
    with pytest.raises(DecodeError) as caught:
        NEWEST.decode(data, shape)
    assert str(caught.value) == message


def test_decode_error_says_where_it_began() -> None:
    with pytest.raises(DecodeError) as caught:
        NEWEST.decode({"name": 5}, t.CallToolRequestParams, "$.params")
    assert caught.value.message == "expected a string, got 5"
    assert caught.value.path == "$.params.name"


def test_decode_error_is_bounded() -> None:
    flood = {"values": [{}] * 10_000, "x" * 10_000: 1}
    with pytest.raises(DecodeError) as caught:
        NEWEST.decode({"completion": flood}, t.CompleteResult)
    assert str(caught.value).count(";") == 5
    assert str(caught.value).endswith("; and more @ $")
    long = {"name": "x", "arguments": {"k" * 10_000: ["v" * 10_000]}}
    with pytest.raises(DecodeError) as caught:
        NEWEST.decode(long, t.GetPromptRequestParams)
    assert len(str(caught.value)) < 200


def test_a_result_is_one_of_its_method() -> None:
    """Also as an instance of a subclass."""

    @attrs.frozen
    class Own(t.ListToolsResult):
        pass

    plain = NEWEST.encode_result("tools/list", t.ListToolsResult(()))
    assert NEWEST.encode_result("tools/list", Own(())) == plain
    assert plain["tools"] == []
    for stranger in (t.CallToolResult(()), None, "text"):
        with pytest.raises(EncodeError):
            NEWEST.encode_result("tools/list", stranger)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (2**64 - 1, "18446744073709551615"),
        (2**64, "a huge number"),
        (-(2**64), "a huge number"),
        (10**5_000, "a huge number"),
    ],
    ids=["64 bits", "65 bits", "negative", "too long for Python"],
)
def test_errors_show_no_huge_numbers(number: int, shown: str) -> None:
    with pytest.raises(DecodeError, match=f"expected a string, got {shown}"):
        NEWEST.decode({"name": number}, t.CallToolRequestParams)
    with pytest.raises(EncodeError, match=f"expected a string, got {shown}"):
        NEWEST.encode(t.CallToolRequestParams(number))  # type: ignore[arg-type]


def test_whole_numbers_are_integers() -> None:
    resource = NEWEST.decode({"uri": "x", "name": "x", "size": 2.0}, t.Resource)
    assert type(resource.size) is int
    cancelled = NEWEST.decode({"requestId": 3.0}, t.CancelledNotificationParams)
    assert type(cancelled.request_id) is int


def test_unknown_fields_are_ignored() -> None:
    data = {"uri": "x", "x-new": {"a": None}, "URI": 5}
    assert NEWEST.decode(data, t.SubscribeRequestParams) == t.SubscribeRequestParams("x")


def test_fields_of_later_revisions_are_ignored() -> None:
    data = {"name": "x", "version": "1", "title": 5, "icons": None}
    assert codec_for(FIRST).decode(data, t.Implementation) == t.Implementation("x", "1")


@by_revision
@examples(30)
@given(data=JSON_VALUES, cls=st.sampled_from(CLASSES))
def test_any_json_is_decoded_or_refused(revision: Revision, data: Any, cls: type) -> None:
    codec = codec_for(revision)
    try:
        value: Any = codec.decode(data, cls)
    except DecodeError as error:
        assert len(str(error)) < 2_000  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(value, cls)


@st.composite
def damaged(draw: st.DrawFn, wire: Any) -> Any:
    """The same JSON with one value somewhere in it replaced."""
    if isinstance(wire, dict) and wire and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(wire)))
        return wire | {key: draw(damaged(wire[key]))}
    if isinstance(wire, list) and wire and draw(st.booleans()):
        index = draw(st.integers(0, len(wire) - 1))
        return [*wire[:index], draw(damaged(wire[index])), *wire[index + 1 :]]
    return draw(JSON_VALUES)


@by_class
@examples(30)
@given(data=st.data())
def test_damaged_input_is_decoded_or_refused(cls: type, data: st.DataObject) -> None:
    wire = data.draw(damaged(NEWEST.encode(data.draw(known(cls)))))
    try:
        value: Any = NEWEST.decode(wire, cls)
    except DecodeError:
        return
    try:
        sent = NEWEST.encode(value)
    except EncodeError as refused:
        # A peer's base64 and URIs are read as they are; only what is sent is checked.
        if not re.search("expected (base64|a URI)", str(refused)):
            raise
        return
    # Not the values are compared: in a URI, characters may be percent-encoded now.
    assert NEWEST.encode(NEWEST.decode(sent, cls)) == sent


# -- what only some revisions know ------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS[:4], ids=str)
def test_newer_fields_are_left_out(revision: Revision) -> None:
    tools = t.ListToolsResult([], ttl_ms=5, cache_scope="public")
    assert codec_for(revision).encode(tools) == {"tools": []}
    call = t.CallToolRequestParams("x", input_responses={}, request_state="s")
    assert codec_for(revision).encode(call) == {"name": "x"}


def test_mode_of_a_form() -> None:
    form = t.ElicitRequestFormParams("m", {"type": "object", "properties": {}})
    assert codec_for(URLS).encode(form)["mode"] == "form"
    assert "mode" not in codec_for(STRUCTURED).encode(form)
    shape = URLS.server_requests["elicitation/create"].params
    assert codec_for(URLS).decode({"message": "m", "requestedSchema": {}}, shape).mode == "form"


def test_elicitation_id() -> None:
    with_id = t.ElicitRequestURLParams("m", "https://example.com", elicitation_id="7")
    without = t.ElicitRequestURLParams("m", "https://example.com")
    assert codec_for(URLS).encode(with_id)["elicitationId"] == "7"
    assert "elicitationId" not in codec_for(STATELESS).encode(with_id)
    with pytest.raises(EncodeError, match="elicitation_id is required"):
        codec_for(URLS).encode(without)
    with pytest.raises(DecodeError, match=r"missing @ \$\.elicitationId"):
        codec_for(URLS).decode(NEWEST.encode(without), t.ElicitRequestURLParams)


def test_cancellation_may_lack_its_id_in_one_revision() -> None:
    params = t.CancelledNotificationParams(reason="a task")
    assert codec_for(URLS).decode({"reason": "a task"}, t.CancelledNotificationParams) == params
    with pytest.raises(EncodeError, match="request_id is required"):
        codec_for(STRUCTURED).encode(params)


def test_the_decoder_of_questions_is_built_when_it_is_used() -> None:
    """It costs several times as much as all else that a server needs before its first answer."""
    converter = converter_for(LATEST, forgiving=False)

    def find() -> None:
        converter.get_structure_hook(t.InputRequest)

    built, found = calls_of(find), calls_of(find)
    assert built > 1000
    assert found < 100
