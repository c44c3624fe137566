"""What comes in answer to one call, where the transport knows which one it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimcp.limits import Limits
from trimcp.protocol import (
    LATEST,
    AnswerUnusable,
    Call,
    Connection,
    FailureReceived,
    Ignored,
    NotificationReceived,
    ResultReceived,
    Role,
    Terms,
)
from trimcp.types import Implementation


def calling() -> tuple[Connection, Call, Call]:
    """A client with two open calls."""
    connection = Connection(Role.CLIENT, Implementation("c", "1"), Limits(nesting=5))
    connection.terms = Terms(LATEST)
    first, _ = connection.call("tools/list", None)
    second, _ = connection.call("tools/list", None)
    return connection, first, second


def error(identity: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": identity, "error": {"code": -32000, "message": "no"}}
    return json.dumps(message).encode()


@pytest.mark.parametrize("identity", [None, "server-error", 99])
def test_an_error_that_names_no_open_call_is_about_this_one(identity: Any) -> None:
    connection, first, second = calling()
    (event,) = connection.receive(error(identity), second)
    assert isinstance(event, FailureReceived)
    assert event.call is second
    assert first.is_open
    # Elsewhere it is about nobody knows whom.
    assert isinstance(connection.receive(error(identity))[0], Ignored)


def test_an_error_that_names_another_call_is_about_that_one() -> None:
    connection, first, second = calling()
    (event,) = connection.receive(error(first.id), second)
    assert isinstance(event, FailureReceived)
    assert event.call is first
    assert second.is_open


@pytest.mark.parametrize("data", [b"{", b"[]", b"5", b"\xff", b"[[[[[[[1]]]]]]]", b"{}"])
def test_what_cannot_be_read_fails_this_call(data: bytes) -> None:
    connection, first, second = calling()
    (event,) = connection.receive(data, second)
    assert isinstance(event, AnswerUnusable)
    assert event.call is second
    assert first.is_open
    assert not second.is_open


def test_what_is_too_long_fails_this_call() -> None:
    connection, first, second = calling()
    (event,) = connection.receive_oversized(b'{"x', "too long", second)
    assert isinstance(event, AnswerUnusable)
    assert event.call is second
    (event,) = connection.receive_oversized(
        b'{"jsonrpc":"2.0","id":%d,"result":{' % first.id, "too long", second
    )
    assert isinstance(event, AnswerUnusable)
    assert event.call is first


def test_everything_else_is_as_ever() -> None:
    connection, first, second = calling()
    note = b'{"jsonrpc": "2.0", "method": "notifications/x"}'
    assert isinstance(connection.receive(note, second)[0], NotificationReceived)
    answer = b'{"jsonrpc": "2.0", "id": %d, "result": {}}' % first.id
    (event,) = connection.receive(answer, second)
    assert isinstance(event, ResultReceived)
    assert event.call is first
    # After its answer nothing is about a call any more.
    assert isinstance(connection.receive(error(None), first)[0], Ignored)
    assert second.is_open
