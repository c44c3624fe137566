"""The server's ladder, and the mirror that climbs it."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import TEXT
from trimcp.protocol import LATEST, Rejected
from trimcp.protocol._messages import Request
from trimcp.protocol.http import (
    HeaderParam,
    accepts,
    argument_headers,
    check_arguments,
    check_request,
    encode_value,
    fold_headers,
    has_websocket_key,
    is_stateless,
    media_type,
    mirror_headers,
    status_of,
)

DATE = LATEST.date
PREFIX = "io.modelcontextprotocol/"
METHODS = {"tools/call", "tools/list", "resources/read", "prompts/get", "server/discover"}


def meta(**changes: Any) -> dict[str, Any]:
    members = {"protocolVersion": DATE, "clientCapabilities": {}, **changes}
    return {PREFIX + name: value for name, value in members.items() if value is not ...}


def request(method: str = "tools/list", *, terms: Any = None, **params: Any) -> Request:
    body = {**params, "_meta": meta() if terms is None else terms}
    return Request(1, method, msgspec.Raw(msgspec.json.encode(body)))


def mirrored(message: Request) -> dict[str, str]:
    """The headers of a well-behaved client, as they arrive."""
    assert message.params is not None
    headers = mirror_headers(DATE, message.method, msgspec.json.decode(message.params))
    return fold_headers((name.encode(), value.encode()) for name, value in headers.items())


def refusal(headers: dict[str, str], message: Request) -> Rejected:
    with pytest.raises(Rejected) as caught:
        check_request(headers, message, METHODS)
    return caught.value


@given(
    st.sampled_from(["tools/call", "prompts/get", "resources/read", "tools/list"]),
    TEXT | st.text(" \t=?base64\r\n", max_size=20),
)
def test_a_mirrored_request_passes(method: str, name: str) -> None:
    message = request(method, name=name, uri=name)
    terms, _ = check_request(mirrored(message), message, METHODS)
    assert terms.revision is LATEST


@pytest.mark.parametrize("token", [None, 0, "", "a"])
def test_the_progress_token_is_read_with_the_terms(token: int | str | None) -> None:
    wanted = {} if token is None else {"progressToken": token}
    message = request(terms=meta() | wanted)
    assert check_request(mirrored(message), message, METHODS)[1] == token


@given(TEXT, TEXT)
def test_another_name_does_not(name: str, other: str) -> None:
    message = request("tools/call", name=name)
    headers = {**mirrored(message), "mcp-name": encode_value(other)}
    if name == other:
        check_request(headers, message, METHODS)
    else:
        assert refusal(headers, message).code == -32020


@pytest.mark.parametrize(
    ("terms", "missing"),
    [
        ({}, "protocolVersion"),
        (meta(protocolVersion=...), "protocolVersion"),
        (meta(clientCapabilities=...), "clientCapabilities"),
        (meta(protocolVersion=5), ""),
        (meta(clientCapabilities=[]), "no object"),
        (meta(clientCapabilities={"sampling": 5}), "sampling"),
        ("text", ""),
    ],
)
def test_first_rung_the_terms(terms: Any, missing: str) -> None:
    message = request(terms=terms)
    headers = {"mcp-protocol-version": DATE, "mcp-method": "tools/list"}
    error = refusal(headers, message)
    assert error.code == -32602
    assert missing in error.message


@pytest.mark.parametrize(
    "changes",
    [
        {"mcp-protocol-version": None},
        {"mcp-protocol-version": "v999.0.0"},
        {"mcp-method": None},
        {"mcp-method": "TOOLS/CALL"},
        {"mcp-method": "tools/list"},
        {"mcp-method": "tools/call, tools/call"},
        {"mcp-name": None},
        {"mcp-name": "Add"},
        {"mcp-name": "=?base64?YWRk?= "},
        {"mcp-name": "=?base64?YWR?="},
        {"mcp-name": "\u00e4"},
    ],
)
def test_second_rung_headers_against_the_body(changes: dict[str, str | None]) -> None:
    """It stands before the version and the method, which are wrong here too."""
    message = request("tools/call", name="add")
    check_request(mirrored(message), message, METHODS)
    headers = {
        name: value for name, value in (mirrored(message) | changes).items() if value is not None
    }
    assert refusal(headers, message).code == -32020
    with pytest.raises(Rejected) as caught:
        check_request(headers, message, set())
    assert caught.value.code == -32020
    assert "secret" not in caught.value.message


def test_the_name_may_come_encoded_though_it_need_not() -> None:
    message = request("tools/call", name="add")
    check_request(mirrored(message) | {"mcp-name": "=?base64?YWRk?="}, message, METHODS)


def test_a_name_that_the_body_lacks() -> None:
    message = request("tools/call")
    headers = mirrored(message)
    check_request(headers, message, METHODS)  # the params are somebody else's business
    assert refusal(headers | {"mcp-name": "add"}, message).code == -32020


@pytest.mark.parametrize("terms", [{}, meta(protocolVersion=...), meta(protocolVersion=5), "text"])
@pytest.mark.parametrize("version", ["v999.0.0", "", "2026-07-28, 2026-07-28", "x" * 60_000])
def test_a_version_that_nobody_knows_comes_before_all_else(version: str, terms: Any) -> None:
    """Where the body names none that it could contradict."""
    error = refusal({"mcp-protocol-version": version}, request("unknown", terms=terms))
    assert error.code == -32022
    assert error.data == {"supported": [DATE], "requested": version[:100]}


NUMBERS = ["1e400", "-1e400", "1" * 5000, "-" + "9" * 5000, "1e99999999999999999999"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("place", ["first", "last", "name"])
def test_numbers_beyond_all_bounds_are_nobody_s_failure(number: str, place: str) -> None:
    """The check reads the name, and leaves the rest to whoever needs it."""
    members = [f'"name":"add","_meta":{msgspec.json.encode(meta()).decode()}', f'"x":[{number}]']
    if place == "name":
        members = [f'"name":{number},"_meta":{msgspec.json.encode(meta()).decode()}']
    if place == "first":
        members.reverse()
    message = Request(1, "tools/call", msgspec.Raw(f"{{{','.join(members)}}}".encode()))
    headers = {"mcp-protocol-version": DATE, "mcp-method": "tools/call"}
    if place != "name":
        headers["mcp-name"] = "add"
    check_request(headers, message, METHODS)


def test_a_name_that_is_no_unicode_is_refused() -> None:
    members = f'"name":"\\ud800","_meta":{msgspec.json.encode(meta()).decode()}'
    message = Request(1, "tools/call", msgspec.Raw(f"{{{members}}}".encode()))
    headers = {"mcp-protocol-version": DATE, "mcp-method": "tools/call", "mcp-name": "x"}
    assert refusal(headers, message).code == -32602


def test_third_rung_the_version() -> None:
    terms = meta(protocolVersion="v999.0.0")
    message = request("unknown", terms=terms)
    error = refusal({"mcp-protocol-version": "v999.0.0", "mcp-method": "unknown"}, message)
    assert error.code == -32022
    assert error.data == {"supported": [DATE], "requested": "v999.0.0"}


def test_fourth_rung_the_method() -> None:
    message = request("ping")
    error = refusal(mirrored(message), message)
    assert error.code == -32601
    assert status_of(error.code) == 404


# -- arguments --------------------------------------------------------------------------------

PARAMS = (HeaderParam("Mcp-Param-Region", ("region",)), HeaderParam("Mcp-Param-N", ("a", "n")))
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "region": TEXT | st.none(),
        "a": st.fixed_dictionaries({}, optional={"n": st.integers(-9999, 9999) | st.booleans()}),
    },
)


@given(ARGUMENTS)
def test_mirrored_arguments_pass(arguments: dict[str, Any]) -> None:
    headers = argument_headers(PARAMS, arguments)
    folded = fold_headers((name.encode(), value.encode()) for name, value in headers.items())
    check_arguments(folded, arguments, PARAMS)


@given(ARGUMENTS, ARGUMENTS)
def test_other_arguments_do_not(arguments: dict[str, Any], others: dict[str, Any]) -> None:
    headers = argument_headers(PARAMS, arguments)
    folded = fold_headers((name.encode(), value.encode()) for name, value in headers.items())
    if headers == argument_headers(PARAMS, others):
        check_arguments(folded, others, PARAMS)
    else:
        with pytest.raises(Rejected) as caught:
            check_arguments(folded, others, PARAMS)
        assert caught.value.code == -32020


@pytest.mark.parametrize(
    ("headers", "arguments"),
    [
        ({}, {"region": "x"}),
        ({"mcp-param-region": "x"}, {}),
        ({"mcp-param-region": "null"}, {"region": None}),
        ({"mcp-param-region": "x"}, {"region": ["x"]}),
        ({"mcp-param-region": "=?base64?SGVsbG8?="}, {"region": "Hello"}),
        ({"mcp-param-region": "=?base64?SGVs!!!bG8=?="}, {"region": "Hello"}),
        ({"mcp-param-n": "1"}, {"a": {"n": True}}),
        ({"mcp-param-n": "2"}, {"a": {"n": 1}}),
        ({"mcp-param-n": "1"}, {"a": 1}),
    ],
)
def test_arguments_that_contradict(headers: dict[str, str], arguments: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="Header mismatch") as caught:
        check_arguments(headers, arguments, PARAMS)
    assert caught.value.code == -32020


@pytest.mark.parametrize(
    ("headers", "arguments"),
    [
        ({}, {}),
        ({"mcp-param-unknown": "\u00e4"}, {}),
        ({"mcp-param-region": "=?base64?SGVsbG8=?="}, {"region": "Hello"}),
        ({"mcp-param-region": "SGVsbG8="}, {"region": "SGVsbG8="}),
        ({"mcp-param-region": "=?base64?SGVsbG8="}, {"region": "=?base64?SGVsbG8="}),
        ({"mcp-param-n": "42.0"}, {"a": {"n": 42}}),
        ({}, {"region": ["no text"]}),
    ],
)
def test_arguments_that_agree(headers: dict[str, str], arguments: dict[str, Any]) -> None:
    check_arguments(headers, arguments, PARAMS)


# -- the rest ---------------------------------------------------------------------------------


def test_headers_are_folded() -> None:
    pairs = [(b"MCP-Method", b" \ttools/list \t"), (b"X-A", b"1"), (b"x-a", b"2"), (b"b", b"\xe4")]
    assert fold_headers(pairs) == {"mcp-method": "tools/list", "x-a": "1, 2", "b": "\u00e4"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/json", "application/json"),
        ("Text/Event-Stream; charset=utf-8", "text/event-stream"),
        (" application/json ;x", "application/json"),
        ("", ""),
    ],
)
def test_media_types(value: str, expected: str) -> None:
    assert media_type(value) == expected


@pytest.mark.parametrize(
    ("keys", "is_key"),
    [
        ([base64.b64encode(b"k" * 16)], True),
        ([base64.b64encode(b"\xff" * 16)], True),
        ([], False),
        ([b""], False),
        ([base64.b64encode(b"k" * 15)], False),
        ([base64.b64encode(b"k" * 17)], False),
        ([base64.b64encode(b"k" * 16).rstrip(b"=")], False),
        ([base64.b64encode(b"k" * 16).replace(b"ra", b"r a", 1)], False),
        ([base64.urlsafe_b64encode(b"\xff" * 16)], False),
        ([base64.b64encode(b"k" * 16)] * 2, False),
    ],
)
def test_the_key_of_a_websocket(keys: list[bytes], is_key: bool) -> None:
    """One, of 16 bytes, and nothing but Base64."""
    pairs = [(b"Sec-WebSocket-Version", b"13"), *((b"Sec-WebSocket-Key", key) for key in keys)]
    assert has_websocket_key(pairs) is is_key


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (-32700, 400),
        (-32600, 400),
        (-32601, 404),
        (-32602, 400),
        (-32603, 200),
        (-32020, 400),
        (-32021, 400),
        (-32022, 400),
        (-31002, 503),
        (-31003, 403),
        (1234, 200),
    ],
)
def test_statuses(code: int, status: int) -> None:
    assert status_of(code) == status


@pytest.mark.parametrize(
    ("headers", "terms", "expected"),
    [
        ({}, {}, False),
        ({}, meta(), True),
        ({}, meta(protocolVersion="v999"), True),
        ({"mcp-protocol-version": DATE}, {}, True),
        ({"mcp-protocol-version": "2025-11-25"}, {}, False),
        ({"mcp-protocol-version": "2025-11-25"}, meta(), True),
        ({"mcp-protocol-version": "v999"}, {}, True),
        ({"mcp-protocol-version": DATE}, "text", True),
        ({"mcp-protocol-version": "2025-11-25"}, "text", False),
        ({}, "text", False),
    ],
)
def test_which_era(headers: dict[str, str], terms: Any, expected: bool) -> None:
    assert is_stateless(headers, request(terms=terms)) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("application/*", True),
        ("*/*", True),
        ("text/html, */*;q=0.1", True),
        ("application/json;q=0.001", True),
        ("application/json;q=0, application/json", True),
        ("application/json, application/json;v=2;q=0", True),
        ("application/json;q=0", False),
        ("application/json ; Q=0.000", False),
        ("application/json;q=0, */*", False),
        ("*/*, application/json;q=0.0", False),
        ("application/*;q=0, */*", False),
        ("application/json;q=0, application/*", False),
        ("*/*;q=0, */*", True),
        ("*/*;q=0", False),
        ("text/*", False),
        ("", False),
        (",;,", False),
    ],
)
def test_what_a_client_accepts(accept: str, expected: bool) -> None:
    assert accepts(accept, "application/json") is expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["*/*", "text/*", "text/html", "application/json"]),
            st.sampled_from(["", ";q=0", ";q=0.0", ";q=1", ";q=0.5"]),
        ),
        max_size=6,
        unique_by=lambda pair: pair[0],
    )
)
def test_the_most_specific_range_decides(ranges: list[tuple[str, str]]) -> None:
    weights = dict(ranges)
    found = [weights[each] for each in ("text/html", "text/*", "*/*") if each in weights]
    expected = (bool(found) and not found[0].startswith(";q=0")) or found[:1] == [";q=0.5"]
    assert accepts(", ".join(a + b for a, b in ranges), "text/html") is expected
