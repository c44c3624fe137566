"""JSON-RPC messages: each kind, and what is said to what is none."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import INTEGERS, JSON_OBJECTS, JSON_VALUES, TEXT, examples
from trimcp.errors import INVALID_REQUEST, PARSE_ERROR
from trimcp.protocol._messages import (
    Answer,
    Batch,
    Failure,
    Malformed,
    Message,
    Notification,
    Request,
    decode,
    encode_answer,
    encode_failure,
    encode_notification,
    encode_request,
    join_batch,
)

NESTING = 10
IDS = INTEGERS | TEXT


def read(data: bytes | dict[str, Any] | list[Any], nesting: int = NESTING) -> Message | Batch:
    return decode(data if isinstance(data, bytes) else json.dumps(data).encode(), nesting=nesting)


def plain(raw: Any) -> Any:
    """What raw JSON says."""
    return None if raw is None else json.loads(bytes(raw))


# -- what is a message ------------------------------------------------------------------------


@examples(50)
@given(identity=IDS, method=TEXT, params=st.none() | JSON_OBJECTS)
def test_request(identity: int | str, method: str, params: Any) -> None:
    message = read(encode_request(identity, method, params))
    assert isinstance(message, Request)
    assert (message.id, message.method) == (identity, method)
    assert type(message.id) is type(identity)
    assert plain(message.params) == params


@examples(50)
@given(method=TEXT, params=st.none() | JSON_OBJECTS)
def test_notification(method: str, params: Any) -> None:
    message = read(encode_notification(method, params))
    assert isinstance(message, Notification)
    assert (message.method, plain(message.params)) == (method, params)


@examples(50)
@given(identity=IDS, result=JSON_OBJECTS)
def test_answer(identity: int | str, result: Any) -> None:
    message = read(encode_answer(identity, result))
    assert isinstance(message, Answer)
    assert (message.id, plain(message.result)) == (identity, result)


@examples(50)
@given(
    identity=st.none() | IDS,
    code=INTEGERS,
    text=TEXT,
    data=JSON_VALUES,
    omit_id=st.booleans(),
)
def test_failure(
    identity: int | str | None, code: int, text: str, data: Any, omit_id: bool
) -> None:
    encoded = encode_failure(identity, code, text, data, omit_id=omit_id)
    assert ("id" in json.loads(encoded)) == (identity is not None or not omit_id)
    message = read(encoded)
    assert message == Failure(identity, code, text, data)
    assert ("data" in json.loads(encoded)["error"]) == (data is not None)


def test_unknown_members_are_ignored() -> None:
    message = read({"jsonrpc": "2.0", "id": 1, "method": "x", "extra": [1], "_meta": None})
    assert isinstance(message, Request)


def test_method_wins() -> None:
    """A message with a method is a request, whatever else it has."""
    message = read({"jsonrpc": "2.0", "id": 1, "method": "x", "result": 1, "error": 2})
    assert isinstance(message, Request)


def test_error_wins_over_result() -> None:
    error = {"code": 1, "message": "no"}
    message = read({"jsonrpc": "2.0", "id": 1, "result": {}, "error": error})
    assert message == Failure(1, 1, "no")


@pytest.mark.parametrize("result", [None, 0, False, "", [], {}])
def test_any_result_is_a_result(result: Any) -> None:
    message = read({"jsonrpc": "2.0", "id": 1, "result": result})
    assert isinstance(message, Answer)
    assert plain(message.result) == result


@pytest.mark.parametrize("params", [None, 1, "x", [1], True])
def test_params_of_any_kind_are_read_later(params: Any) -> None:
    message = read({"jsonrpc": "2.0", "id": 1, "method": "x", "params": params})
    assert isinstance(message, Request)
    assert plain(message.params) == params
    assert (message.params is None) is False


@pytest.mark.parametrize("identity", [0, -1, 2**53, 2**64 - 1, 10**30, "", "0", "é\n"])
def test_every_string_and_integer_is_an_id(identity: int | str) -> None:
    message = read({"jsonrpc": "2.0", "id": identity, "method": "x"})
    assert isinstance(message, Request)
    assert message.id == identity
    assert type(message.id) is type(identity)


@pytest.mark.parametrize("space", [b" ", b"\t", b"\r", b"\n", b" \r\n\t"])
def test_space_around_is_ignored(space: bytes) -> None:
    notification = encode_notification("x", None)
    assert isinstance(read(space + notification + space), Notification)
    assert isinstance(read(space + b"[" + space + notification + b"]" + space), Batch)


# -- what is none -----------------------------------------------------------------------------

REQUEST = {"jsonrpc": "2.0", "id": 7, "method": "x"}
UNREADABLE = [
    b"",
    b"{",
    b"}",
    b"[",
    b'{"jsonrpc":"2.0","id":7,"method":"x"',
    b'{"jsonrpc":"2.0","id":7,"method":"x"}}',
    b'{"jsonrpc":"2.0","id":7,"method":"x"}{"jsonrpc":"2.0","id":8,"method":"x"}',
    b'{"jsonrpc":"2.0","id":7,"method":"x",}',
    b"{'jsonrpc':'2.0','id':7,'method':'x'}",
    b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":NaN}}',
    b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":Infinity}}',
    b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":01}}',
    b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":1.}}',
    b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":"\x01"}}',
    b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":"\\x"}}',
    b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":"\\ud800"}}',
    b'{"jsonrpc":"2.0","id":"\\ud800","method":"x"}',
    b'{"jsonrpc":"2.0","id":7,"method":"x","unknown":\xff}',
    b'{"jsonrpc":"2.0","id":7,"method":"\xff"}',
    b'{"jsonrpc":"2.0","id":7,"method":"\xed\xa0\x80"}',
    b'{"jsonrpc":"2.0","id":7,"method":"\xc0\xaf"}',
    b'\xef\xbb\xbf\xef\xbb\xbf{"jsonrpc":"2.0","id":7,"method":"x"}',
    b"\xef\xbb\xbf",
    b'{"jsonrpc":"2.0","id":7,"method":"x"}\x00',
    b"[1,]",
    '{"jsonrpc":"2.0","id":7,"method":"x"}'.encode("utf-16"),
]


@pytest.mark.parametrize(
    "data",
    [
        b'{"jsonrpc":"2.0","id":7,"method":"x"}',
        b'{"jsonrpc":"2.0","id":"\xc3\xa4","method":"x"}',
        b'[{"jsonrpc":"2.0","id":7,"method":"x"}]',
        b'{"jsonrpc":"2.0","id":7,"method":5}',
    ],
)
def test_a_byte_order_mark_is_ignored(data: bytes) -> None:
    plain, marked = read(data), read(b"\xef\xbb\xbf" + data)
    if isinstance(plain, Batch | Malformed) and isinstance(marked, Batch | Malformed):
        plain.head = marked.head = b""
    assert marked == plain


@pytest.mark.parametrize("data", UNREADABLE)
def test_unreadable(data: bytes) -> None:
    message = read(data)
    assert isinstance(message, Malformed)
    assert (message.id, message.code) == (None, PARSE_ERROR)
    assert message.message.startswith("parse error: ")


INVALID: list[tuple[Any, Any]] = [
    # (message, the id that the error carries)
    (1, None),
    (None, None),
    ("x", None),
    (True, None),
    ({}, None),
    ([], None),
    ({"jsonrpc": "2.0"}, None),
    ({"jsonrpc": "2.0", "id": 7}, 7),
    ({"jsonrpc": "2.0", "id": "a"}, "a"),
    ({"jsonrpc": "2.0", "params": {}}, None),
    ({"id": 7, "method": "x"}, 7),
    (REQUEST | {"jsonrpc": "1.0"}, 7),
    (REQUEST | {"jsonrpc": 2.0}, 7),
    (REQUEST | {"jsonrpc": None}, 7),
    (REQUEST | {"method": 5}, 7),
    (REQUEST | {"method": None}, 7),
    (REQUEST | {"method": ["x"]}, 7),
    (REQUEST | {"id": None}, None),
    (REQUEST | {"id": True}, None),
    (REQUEST | {"id": 1.5}, None),
    (REQUEST | {"id": 1.0}, None),
    (REQUEST | {"id": [7]}, None),
    (REQUEST | {"id": {"a": 7}}, None),
    (REQUEST | {"id": None, "error": "x"}, None),
]


@pytest.mark.parametrize(("value", "identity"), INVALID)
def test_invalid(value: Any, identity: Any) -> None:
    message = read(value)
    assert isinstance(message, Malformed)
    assert (message.id, message.code) == (identity, INVALID_REQUEST)
    assert message.message.startswith("invalid request: ")
    assert not message.is_answer


MEANT_AS_ANSWERS: list[tuple[Any, Any]] = [
    ({"jsonrpc": "2.0", "id": 7, "error": None}, 7),
    ({"jsonrpc": "2.0", "id": 7, "error": "x"}, 7),
    ({"jsonrpc": "2.0", "id": 7, "error": {}}, 7),
    ({"jsonrpc": "2.0", "id": 7, "error": {"code": "1", "message": "x"}}, 7),
    ({"jsonrpc": "2.0", "id": 7, "error": {"code": 1}}, 7),
    ({"jsonrpc": "2.0", "id": 7, "error": {"code": 1, "message": 1}}, 7),
    ({"jsonrpc": "2.0", "id": None, "error": {"code": "1"}}, None),
    ({"jsonrpc": "1.0", "id": 7, "result": {}}, 7),
    ({"jsonrpc": "2.0", "result": {}}, None),
    ({"id": 7, "result": {}}, 7),
    ({"id": 7, "error": {"code": 1, "message": "x"}}, 7),
    ({"jsonrpc": "2.0", "id": 1.5, "result": {}}, None),
]


@pytest.mark.parametrize(("value", "identity"), MEANT_AS_ANSWERS)
def test_malformed_answer(value: Any, identity: Any) -> None:
    """Known as such, so that it is not answered in turn: its id is not the sender's."""
    message = read(value)
    assert isinstance(message, Malformed)
    assert message.id == identity
    assert message.is_answer


def test_error_without_an_id() -> None:
    """JSON-RPC answers what it could not read with `"id": null`; newer revisions leave it out."""
    error = {"code": -32700, "message": "x"}
    assert read({"jsonrpc": "2.0", "id": None, "error": error}) == Failure(None, -32700, "x")
    assert read({"jsonrpc": "2.0", "error": error}) == Failure(None, -32700, "x")


@examples(500)
@given(st.binary(max_size=40) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_nothing_raises(data: bytes) -> None:
    assert isinstance(read(data), Message | Batch)


@examples(300)
@given(
    st.lists(
        st.sampled_from(
            rb'" \ [ ] { } : , - 1 null \u d800 "jsonrpc" "2.0" "id" "method" "params"'.split()
        ),
        max_size=20,
    ).map(b"".join)
)
def test_nothing_raises_among_fragments(data: bytes) -> None:
    assert isinstance(read(data), Message | Batch)


@examples(200)
@given(identity=IDS, params=JSON_OBJECTS, data=st.data())
def test_what_was_cut_off_is_unreadable(identity: Any, params: Any, data: st.DataObject) -> None:
    whole = encode_request(identity, "x", params)
    length = data.draw(st.integers(0, len(whole) - 1))
    message = read(whole[:length])
    assert isinstance(message, Malformed)
    assert message.code == PARSE_ERROR


# -- batches ----------------------------------------------------------------------------------


def test_batch() -> None:
    batch = read([REQUEST, 1, {"jsonrpc": "2.0", "method": "y"}, [REQUEST], {"id": 3}])
    assert isinstance(batch, Batch)
    request, number, notification, nested, broken = batch.messages()
    assert isinstance(request, Request)
    assert isinstance(notification, Notification)
    assert isinstance(number, Malformed)
    assert isinstance(nested, Malformed)
    assert isinstance(broken, Malformed)
    assert [each.id for each in (number, nested, broken)] == [None, None, 3]
    assert {each.code for each in (number, nested, broken)} == {INVALID_REQUEST}


def test_join_batch() -> None:
    answers = [encode_answer(1, {}), encode_failure(2, 3, "x", None, omit_id=True)]
    assert [each["id"] for each in json.loads(join_batch(answers))] == [1, 2]


# -- nesting ----------------------------------------------------------------------------------

BRACKETS_IN_STRINGS = st.text('[]{}"\\ ,:é', max_size=20)


def nested(depth: int, kinds: list[bool], leaf: str) -> bytes:
    """A request of exactly this depth, the message itself included."""
    value: Any = {leaf: leaf} if depth > 1 else leaf
    for kind in kinds[: max(depth - 2, 0)]:
        value = [value, leaf] if kind else {leaf: leaf, "deep": value}
    return json.dumps(REQUEST | {"params": value}, ensure_ascii=False).encode()


@examples(200)
@given(
    nesting=st.integers(1, 30),
    kinds=st.lists(st.booleans(), min_size=30, max_size=30),
    leaf=BRACKETS_IN_STRINGS,
    data=st.data(),
)
def test_nesting_is_exact(nesting: int, kinds: list[bool], leaf: str, data: st.DataObject) -> None:
    depth = data.draw(st.integers(1, nesting))
    assert isinstance(read(nested(depth, kinds, leaf), nesting), Request)
    message = read(nested(nesting + 1, kinds, leaf), nesting)
    assert isinstance(message, Malformed)
    assert message.code == PARSE_ERROR
    assert message.message == f"parse error: nested deeper than {nesting} levels"


@examples(100)
@given(nesting=st.integers(1, 5), data=st.text('[]{}"\\a', max_size=30))
def test_nesting_is_counted_outside_of_strings(nesting: int, data: str) -> None:
    """Whatever is accepted has no more levels than allowed, by an independent count."""
    message = read(f'{{"jsonrpc":"2.0","id":7,"method":"x","params":[{data}]}}'.encode(), nesting)
    if isinstance(message, Request):
        assert depth_of(plain(message.params)) + 1 <= nesting


def depth_of(value: Any) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth_of, inner), default=0)
    return 0


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000]
)
def test_bottomless(data: bytes) -> None:
    message = read(data, 200)
    assert isinstance(message, Malformed)
    assert message.code == PARSE_ERROR
    assert "nested deeper" in message.message


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 201 + b'"' + b'\\"' * 500_000,
        b"[" * 201 + b'"' * 500_001,
        b"[" * 201 + b"\\" * 1_000_000,
        b"[" + b",".join([b"[" * 190 + b"]" * 190] * 3_000) + b"]",
        b"[]" * 500_000,
        b"[}" * 500_000,
        b"]" * 500_000 + b"[" * 500_000,
    ],
    ids=[
        "open string",
        "quotes",
        "backslashes",
        "deep and wide",
        "flat",
        "mismatched",
        "upside down",
    ],
)
def test_a_megabyte_is_read_in_no_time(data: bytes) -> None:
    """The reader shares its thread with everybody: no input may cost more than its length."""
    began = time.process_time()
    read(data, 200)
    assert time.process_time() - began < 2
