"""One `Connection`: what each message means to it, and what it says itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.counting import calls_of
from trimcp.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    PARSE_ERROR,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from trimcp.limits import Limits
from trimcp.protocol import (
    HANDSHAKE_REVISIONS,
    LATEST,
    LATEST_HANDSHAKE,
    META_PREFIX,
    REVISIONS,
    AnswerUnusable,
    Connection,
    Era,
    Event,
    Exchange,
    ExchangeCancelled,
    FailureReceived,
    Ignored,
    NotificationReceived,
    ProgressReceived,
    Reply,
    RequestReceived,
    ResultReceived,
    Revision,
    Role,
    SessionEnded,
    Terms,
    TooLarge,
)
from trimcp.types import (
    ClientCapabilities,
    ElicitationCapability,
    Implementation,
    InputRequiredResult,
    ListToolsResult,
)

FIRST, BATCHES, STRUCTURED, URLS, STATELESS = REVISIONS
CLIENT = Implementation("client", "1")
SERVER = Implementation("server", "2")
META: dict[str, Any] = {
    META_PREFIX + "protocolVersion": STATELESS.date,
    META_PREFIX + "clientCapabilities": {},
}
STAMP = {META_PREFIX + "serverInfo": {"name": "server", "version": "2"}}

by_handshake = pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS, ids=str)
by_revision = pytest.mark.parametrize("revision", REVISIONS, ids=str)


def server(**limits: Any) -> Connection:
    return Connection(Role.SERVER, SERVER, Limits(**limits))


def client(revision: Revision | None = None, **limits: Any) -> Connection:
    connection = Connection(Role.CLIENT, CLIENT, Limits(**limits))
    if revision is not None:
        connection.terms = Terms(revision, CLIENT)
    return connection


def give(connection: Connection, message: Any) -> list[Event]:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return connection.receive(data)


def request(identity: Any = 1, method: str = "tools/list", **params: Any) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": identity, "method": method}
    return message | {"params": params} if params else message


def stateless(identity: Any = 1, method: str = "tools/list", **meta: Any) -> dict[str, Any]:
    return request(identity, method, _meta=META | meta)


def notification(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def cancelled(identity: Any) -> dict[str, Any]:
    return notification("notifications/cancelled", requestId=identity)


def opening(date: str, **more: Any) -> dict[str, Any]:
    return request(
        0,
        "initialize",
        protocolVersion=date,
        capabilities={},
        clientInfo={"name": "client", "version": "1"},
        **more,
    )


def in_session(revision: Revision, **limits: Any) -> Connection:
    """A server after the handshake."""
    connection = server(**limits)
    accepted(connection, opening(revision.date)).answer({})
    give(connection, notification("notifications/initialized"))
    return connection


def accepted(connection: Connection, message: Any) -> Exchange:
    (event,) = give(connection, message)
    assert isinstance(event, RequestReceived), event
    return event.exchange


def replied(connection: Connection, message: Any) -> Any:
    (event,) = give(connection, message)
    assert isinstance(event, Reply), event
    return json.loads(event.data)


def refused(connection: Connection, message: Any) -> dict[str, Any]:
    """The error that answers a request which reaches no handler."""
    before = connection.open_exchanges
    answer = replied(connection, message)
    assert connection.open_exchanges == before
    assert isinstance(message, bytes) or answer["id"] == message["id"]
    error: dict[str, Any] = answer["error"]
    return error


def ignored(connection: Connection, message: Any) -> None:
    (event,) = give(connection, message)
    assert isinstance(event, Ignored), event
    assert event.reason


# -- which era, which terms -------------------------------------------------------------------


def test_stateless_request_brings_its_terms() -> None:
    connection = server()
    exchange = accepted(
        connection,
        stateless(
            **{
                META_PREFIX + "clientInfo": {"name": "c", "version": "3"},
                META_PREFIX + "clientCapabilities": {"elicitation": {}},
                META_PREFIX + "logLevel": "warning",
            },  # type: ignore[arg-type]  # the names are no identifiers
        ),
    )
    assert exchange.terms == Terms(
        STATELESS,
        Implementation("c", "3"),
        ClientCapabilities(elicitation=ElicitationCapability()),
        "warning",
    )
    assert connection.terms is None


@by_handshake
def test_session_request_has_the_session_terms(revision: Revision) -> None:
    connection = in_session(revision)
    exchange = accepted(connection, request())
    assert exchange.terms is connection.terms
    assert exchange.terms.revision is revision
    assert exchange.terms.client_info == Implementation("client", "1")


@by_handshake
def test_both_eras_on_one_connection(revision: Revision) -> None:
    connection = in_session(revision)
    eras = [
        accepted(connection, message).terms.revision.era
        for message in (request(1), stateless(2), request(3), stateless(4))
    ]
    assert eras == [Era.HANDSHAKE, Era.STATELESS] * 2
    assert connection.terms is not None
    assert connection.terms.revision is revision


def test_stateless_before_and_during_the_handshake() -> None:
    connection = server()
    assert accepted(connection, stateless(1)).terms.revision is STATELESS
    opened = accepted(connection, opening(URLS.date))
    assert accepted(connection, stateless(2)).terms.revision is STATELESS
    opened.answer({})
    assert accepted(connection, stateless(3)).terms.revision is STATELESS


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {META_PREFIX + "protocolVersion": STATELESS.date},
        {META_PREFIX + "clientCapabilities": {}},
        {META_PREFIX + "clientInfo": {"name": "c", "version": "1"}},
        {"progressToken": 1},
        META | {META_PREFIX + "protocolVersion": 1},
        META | {META_PREFIX + "protocolVersion": None},
        META | {META_PREFIX + "clientCapabilities": None},
        META | {META_PREFIX + "clientCapabilities": []},
        META | {META_PREFIX + "clientCapabilities": {"elicitation": 1}},
        META | {META_PREFIX + "clientInfo": "c"},
        META | {META_PREFIX + "clientInfo": {"name": "c"}},
        META | {META_PREFIX + "clientInfo": {"name": "c", "version": 1}},
        META | {META_PREFIX + "logLevel": "loud"},
        META | {META_PREFIX + "logLevel": 1},
        META | {"progressToken": None},
        META | {"progressToken": 1.5},
        META | {"progressToken": True},
        META | {"progressToken": [1]},
    ],
)
def test_flawed_meta(meta: dict[str, Any]) -> None:
    assert refused(server(), request(1, _meta=meta))["code"] == INVALID_PARAMS


@pytest.mark.parametrize("params", [None, 1, "x", [], [META], True])
def test_params_are_an_object(params: Any) -> None:
    for connection in (server(), in_session(URLS)):
        error = refused(connection, request(1) | {"params": params})
        assert error["code"] == INVALID_PARAMS


@pytest.mark.parametrize("meta", [None, 1, "x", []])
def test_meta_is_an_object(meta: Any) -> None:
    for connection in (server(), in_session(URLS)):
        assert refused(connection, request(1, _meta=meta))["code"] == INVALID_PARAMS


def test_meta_is_missing() -> None:
    error = refused(server(), request())
    assert error["code"] == INVALID_PARAMS
    assert META_PREFIX + "protocolVersion" in error["message"]


@pytest.mark.parametrize(
    "date", ["1999-01-01", "", "2027-01-01", *(r.date for r in REVISIONS[:-1])]
)
def test_unsupported_revision(date: str) -> None:
    """Handshake revisions are none that can be spoken without a handshake."""
    error = refused(server(), stateless(**{META_PREFIX + "protocolVersion": date}))
    assert error["code"] == UNSUPPORTED_PROTOCOL_VERSION
    assert error["data"] == {"supported": [STATELESS.date], "requested": date}


def test_terms_are_not_mixed_up() -> None:
    """They are remembered by their bytes: other bytes are other terms."""
    connection = server()
    first = accepted(connection, stateless(1))
    again = accepted(connection, stateless(2))
    other = accepted(connection, stateless(3, **{META_PREFIX + "logLevel": "error"}))
    assert again.terms == first.terms
    assert first.terms.log_level is None
    assert other.terms.log_level == "error"


# -- the handshake ----------------------------------------------------------------------------


@by_handshake
def test_initialize(revision: Revision) -> None:
    exchange = accepted(server(), opening(revision.date))
    assert exchange.method == "initialize"
    assert exchange.terms.revision is revision


@pytest.mark.parametrize("date", ["1999-01-01", "2027-01-01", STATELESS.date, ""])
def test_initialize_with_an_unknown_revision(date: str) -> None:
    """The server answers with the newest that it has (Lifecycle, Version Negotiation)."""
    assert accepted(server(), opening(date)).terms.revision is LATEST_HANDSHAKE


def test_another_initialize_ends_the_session() -> None:
    """What belongs to it is closed, its ids are free, and the revision is agreed on afresh."""
    connection = in_session(STRUCTURED)
    old = accepted(connection, request(7, "tools/call"))
    stateless = accepted(connection, request(8, "tools/call", _meta=META))
    call, _ = connection.call("ping", None)
    ended, begun = give(connection, opening(FIRST.date) | {"id": 7})
    assert isinstance(ended, SessionEnded)
    assert ended.calls == [call]
    assert isinstance(begun, RequestReceived)
    assert begun.exchange.terms.revision is FIRST
    assert not connection.is_initialized
    assert old.answer({}) is None
    assert old.notify("notifications/message", {}) == b""
    assert stateless.answer({}) is not None
    ignored(connection, {"jsonrpc": "2.0", "id": call.id, "result": {}})
    assert begun.exchange.answer({}) is not None
    assert accepted(connection, request(9, "ping")).terms.revision is FIRST


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"params": {"protocolVersion": 1}}, INVALID_PARAMS),
        ({"params": []}, INVALID_PARAMS),
        ({"id": 8}, INVALID_REQUEST),
    ],
)
def test_another_initialize_that_is_refused_ends_nothing(spoilt: dict[str, Any], code: int) -> None:
    connection = in_session(STRUCTURED)
    old = accepted(connection, request(7, "tools/call"))
    accepted(connection, request(8, "tools/call", _meta=META))
    assert refused(connection, opening(FIRST.date) | {"id": 5} | spoilt)["code"] == code
    assert connection.terms is not None
    assert connection.terms.revision is STRUCTURED
    assert connection.is_initialized
    assert old.answer({}) is not None


def test_the_first_initialize_ends_nothing() -> None:
    connection = server()
    early = accepted(connection, request(1, "ping"))
    accepted(connection, opening(FIRST.date) | {"id": 2})
    assert early.answer({}) is not None


def test_there_is_room_for_another_initialize() -> None:
    """However many requests of the session before it are in flight."""
    connection = in_session(STRUCTURED, in_flight=3)
    for number in range(3):
        accepted(connection, request(number, "tools/call"))
    assert refused(connection, request("x", "ping"))["code"] == LIMIT_EXCEEDED
    _, begun = give(connection, opening(FIRST.date))
    assert isinstance(begun, RequestReceived)
    assert connection.open_exchanges == 1


@pytest.mark.parametrize(
    "params", [None, {}, {"protocolVersion": 1}, {"protocolVersion": URLS.date}, []]
)
def test_malformed_initialize(params: Any) -> None:
    """It is refused, and a proper one may follow."""
    connection = server()
    message = opening(URLS.date) | {"params": params}
    assert refused(connection, message)["code"] == INVALID_PARAMS
    assert accepted(connection, opening(URLS.date)).method == "initialize"


def test_initialize_with_stateless_meta() -> None:
    """Whoever brings terms per request wants no session; the method is unknown there."""
    connection = server()
    exchange = accepted(connection, opening(URLS.date, _meta=META))
    assert exchange.terms.revision is STATELESS
    assert connection.terms is None


def test_requests_before_initialize() -> None:
    connection = server()
    assert refused(connection, request(1, "tools/list"))["code"] == INVALID_PARAMS
    assert accepted(connection, request(2, "ping")).method == "ping"
    ignored(connection, {"jsonrpc": "2.0", "method": "notifications/initialized"})


def test_initialized_twice_is_harmless() -> None:
    connection = in_session(URLS)
    (event,) = give(connection, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert isinstance(event, NotificationReceived)


def test_initialize_is_no_business_of_a_client() -> None:
    connection = client(URLS)
    assert accepted(connection, opening(URLS.date)).terms is connection.terms


# -- requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", [0, "", "1", -5, 10**30])
def test_answer(identity: int | str) -> None:
    connection = server()
    exchange = accepted(connection, stateless(identity))
    assert connection.open_exchanges == 1
    assert list(connection.exchanges()) == [exchange]
    data = exchange.answer({"tools": []})
    assert data is not None
    assert json.loads(data)["id"] == identity
    assert connection.open_exchanges == 0
    # The id is free again.
    assert accepted(connection, stateless(identity)).is_open


@pytest.mark.parametrize(
    ("brought", "is_retry"),
    [
        ({}, False),
        ({"requestState": "state"}, True),
        ({"inputResponses": {}}, True),
        ({"requestState": "state", "inputResponses": {"it": {}}}, True),
    ],
)
def test_a_retry_brings_a_state_or_answers(brought: dict[str, Any], is_retry: bool) -> None:
    """And its result is for this user only, whatever the handler says."""
    message = request(1, "resources/read", _meta=META, uri="a:b", **brought)
    exchange = accepted(server(), message)
    assert exchange.is_retry is is_retry
    answer = exchange.answer({"contents": [], "cacheScope": "public"})
    assert answer is not None
    scope = json.loads(answer)["result"]["cacheScope"]
    assert scope == ("private" if is_retry else "public")


def test_the_next_progress_is_the_next_whole_number() -> None:
    exchange = accepted(server(), stateless(progressToken="t"))
    assert [exchange.next_progress() for _ in range(3)] == [1, 2, 3]
    assert exchange.advances(7.5)
    assert exchange.next_progress() == 8
    assert not exchange.advances(8)
    exchange.answer({})
    assert exchange.next_progress() is None
    assert accepted(server(), stateless()).next_progress() is None


def test_id_in_use() -> None:
    connection = server()
    exchange = accepted(connection, stateless(1))
    assert refused(connection, stateless(1))["code"] == INVALID_REQUEST
    assert exchange.is_open
    assert accepted(connection, stateless("1")).is_open
    assert exchange.answer({}) is not None


def test_too_many_in_flight() -> None:
    connection = server(in_flight=2)
    first = accepted(connection, stateless(1))
    accepted(connection, stateless(2))
    error = refused(connection, stateless(3))
    assert error["code"] == LIMIT_EXCEEDED
    assert "2" in error["message"]
    first.answer({})
    assert accepted(connection, stateless(3)).is_open


@pytest.mark.parametrize("revision", [STRUCTURED, URLS, STATELESS], ids=str)
def test_error_without_id(revision: Revision) -> None:
    """`"id": null` where the revision wants it, else nothing."""
    connection = server() if revision is STATELESS else in_session(revision)
    omits = revision is not STRUCTURED
    for event, code in (
        (*connection.receive(b"{"), PARSE_ERROR),
        (*connection.receive_oversized(b"", "too long"), LIMIT_EXCEEDED),
    ):
        assert isinstance(event, Reply)
        answer = json.loads(event.data)
        assert answer["error"]["code"] == code
        assert answer.get("id", "none") == ("none" if omits else None)


def test_malformed_request_is_answered_under_its_id() -> None:
    answer = replied(server(), {"jsonrpc": "1.0", "id": "a", "method": "x"})
    assert answer["id"] == "a"
    assert answer["error"]["code"] == INVALID_REQUEST


def test_results_are_dressed() -> None:
    connection = server()
    data = accepted(connection, stateless(1)).answer(ListToolsResult(()))
    assert data is not None
    assert json.loads(data)["result"] == {
        "tools": [],
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": STAMP,
    }
    data = accepted(connection, stateless(1, "tools/call")).answer({"_meta": {"a": 1}})
    assert data is not None
    assert json.loads(data)["result"] == {"_meta": STAMP | {"a": 1}, "resultType": "complete"}
    asking = accepted(connection, stateless(1, "tools/call"))
    data = asking.answer(InputRequiredResult(request_state="s"))
    assert data is not None
    assert json.loads(data)["result"] == {
        "_meta": STAMP,
        "resultType": "input_required",
        "requestState": "s",
    }


@by_handshake
def test_results_of_a_session_are_bare(revision: Revision) -> None:
    data = accepted(in_session(revision), request()).answer(ListToolsResult(()))
    assert data is not None
    assert json.loads(data)["result"] == {"tools": []}


def test_the_handlers_mapping_is_not_changed() -> None:
    result: dict[str, Any] = {"value": 1}
    accepted(server(), stateless()).answer(result)
    assert result == {"value": 1}


# -- cancellation -----------------------------------------------------------------------------


def test_cancel() -> None:
    connection = server()
    exchange = accepted(connection, stateless(1))
    (event,) = give(
        connection, notification("notifications/cancelled", requestId=1, reason="bored")
    )
    assert isinstance(event, ExchangeCancelled)
    assert event.exchange is exchange
    assert event.reason == "bored"
    assert connection.open_exchanges == 0
    assert not exchange.is_open
    assert exchange.answer({}) is None
    assert exchange.fail(1, "x") is None
    assert exchange.notify("notifications/progress", None) == b""
    ignored(connection, cancelled(1))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"requestId": None},
        {"requestId": 1.5},
        {"requestId": [1]},
        {"requestId": 2},
        {"requestId": "1"},
        {"requestId": 1, "reason": 5},
    ],
)
def test_cancelling_nothing(params: dict[str, Any]) -> None:
    connection = server()
    exchange = accepted(connection, stateless(1))
    ignored(connection, notification("notifications/cancelled", **params))
    ignored(connection, {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": [1]})
    ignored(connection, {"jsonrpc": "2.0", "method": "notifications/cancelled"})
    assert exchange.is_open


def test_initialize_cannot_be_cancelled() -> None:
    connection = server()
    exchange = accepted(connection, opening(URLS.date))
    ignored(connection, cancelled(0))
    assert exchange.is_open
    ours = client()
    call, _ = ours.call("initialize", {}, terms=Terms(URLS, CLIENT))
    assert ours.cancel(call) is None
    assert ours.open_calls == 0


def test_cancel_crosses_the_answer() -> None:
    connection = server()
    exchange = accepted(connection, stateless(1))
    assert exchange.answer({}) is not None
    ignored(connection, cancelled(1))


# -- progress ---------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [0, "", 1, "abc", -7])
def test_progress_token(token: int | str) -> None:
    exchange = accepted(server(), stateless(progressToken=token))
    assert exchange.progress_token == token
    assert type(exchange.progress_token) is type(token)
    assert exchange.advances(1)


def test_progress_increases() -> None:
    exchange = accepted(server(), stateless(progressToken=0))
    assert [exchange.advances(value) for value in (0, 0, -1, 0.5, 0.5, 1, 1e9)] == [
        *(True, False, False, True, False, True, True)
    ]
    exchange.answer({})
    assert not exchange.advances(2e9)


def test_progress_without_token() -> None:
    assert not accepted(server(), stateless()).advances(1)


def test_progress_of_a_call() -> None:
    connection = client(STATELESS)
    call, data = connection.call("tools/call", {"name": "x"}, progress=True)
    assert json.loads(data)["params"]["_meta"]["progressToken"] == call.id
    params = {"progressToken": call.id, "progress": 0.5, "total": 2, "message": "half"}
    (event,) = give(connection, notification("notifications/progress", **params))
    assert isinstance(event, ProgressReceived)
    assert event.call is call
    progress = event.progress
    assert (progress.progress, progress.total, progress.message) == (0.5, 2, "half")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"progressToken": 1},
        {"progress": 1},
        {"progressToken": None, "progress": 1},
        {"progressToken": 1, "progress": "1"},
        {"progressToken": 1, "progress": 1, "total": "2"},
        {"progressToken": 2, "progress": 1},
        {"progressToken": "1", "progress": 1},
    ],
)
def test_progress_of_nothing(params: dict[str, Any]) -> None:
    connection = client(STATELESS)
    connection.call("tools/call", None, progress=True)
    ignored(connection, notification("notifications/progress", **params))


# -- calls ------------------------------------------------------------------------------------


@by_revision
def test_call(revision: Revision) -> None:
    connection = client(revision)
    call, data = connection.call("tools/call", {"name": "x"}, owner="me")
    message = json.loads(data)
    meta = message["params"].pop("_meta", None)
    assert message == request(call.id, "tools/call", name="x")
    assert (meta is not None) == (revision.era is Era.STATELESS)
    assert connection.open_calls == 1
    (event,) = give(connection, {"jsonrpc": "2.0", "id": call.id, "result": {"a": 1}})
    assert isinstance(event, ResultReceived)
    assert event.call is call
    assert event.call.owner == "me"
    assert json.loads(bytes(event.result)) == {"a": 1}
    assert connection.open_calls == 0


def test_calls_have_ids_of_their_own() -> None:
    connection = client(URLS)
    ids = [connection.call("ping", None)[0].id for _ in range(5)]
    assert len(set(ids)) == 5


def test_call_without_terms() -> None:
    with pytest.raises(RuntimeError, match="no terms"):
        client().call("ping", None)


def test_call_refused() -> None:
    connection = client(URLS)
    call, _ = connection.call("tools/call", None)
    error = {"code": 5, "message": "no", "data": [1]}
    (event,) = give(connection, {"jsonrpc": "2.0", "id": call.id, "error": error})
    assert isinstance(event, FailureReceived)
    assert (event.call, event.code, event.message, event.data) == (call, 5, "no", [1])
    assert connection.open_calls == 0


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "answer", [{"result": {}}, {"error": {"code": 1, "message": "x"}}], ids=["result", "error"]
)
@pytest.mark.parametrize("identity", [2, "1", None, 0])
def test_answer_to_nothing(role: Role, answer: dict[str, Any], identity: Any) -> None:
    connection = Connection(role, CLIENT, Limits())
    connection.terms = Terms(URLS)
    connection.call("ping", None)
    if identity is not None or "error" in answer:
        ignored(connection, {"jsonrpc": "2.0", "id": identity, **answer})
    assert connection.open_calls == 1


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "answer",
    [
        {"jsonrpc": "2.0", "error": "no"},
        {"jsonrpc": "2.0", "error": {"code": "1", "message": "x"}},
        {"jsonrpc": "1.0", "result": {}},
    ],
)
def test_malformed_answer_ends_the_call(role: Role, answer: dict[str, Any]) -> None:
    """Else whoever waits for it would wait for ever. Nothing is said to it."""
    connection = Connection(role, CLIENT, Limits())
    connection.terms = Terms(URLS)
    call, _ = connection.call("elicitation/create", None)
    ignored(connection, answer | {"id": 99})
    (event,) = give(connection, answer | {"id": call.id})
    assert isinstance(event, AnswerUnusable)
    assert event.call is call
    assert connection.open_calls == 0


def test_second_answer_is_ignored() -> None:
    connection = client(STATELESS)
    call, _ = connection.call("ping", None)
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call.id, "result": {}}
    assert len(give(connection, answer)) == 1
    ignored(connection, answer)


def test_giving_up_a_call() -> None:
    connection = client(STATELESS)
    call, _ = connection.call("tools/call", None)
    data = connection.cancel(call, "bored")
    assert data is not None
    assert json.loads(data) == notification(
        "notifications/cancelled", requestId=call.id, reason="bored"
    )
    assert connection.open_calls == 0
    assert connection.cancel(call) is None
    ignored(connection, {"jsonrpc": "2.0", "id": call.id, "result": {}})
    progress = {"progressToken": call.id, "progress": 1}
    ignored(connection, notification("notifications/progress", **progress))


def test_the_server_ends_a_listen() -> None:
    connection = client(STATELESS)
    listen, _ = connection.call("subscriptions/listen", None)
    other, _ = connection.call("tools/call", None)
    ignored(connection, cancelled(other.id))
    (event,) = give(connection, cancelled(listen.id))
    assert isinstance(event, FailureReceived)
    assert event.call is listen
    # No error code, since the server has not failed.
    assert (event.code, event.message) == (0, "ended by the server")
    assert connection.open_calls == 1


def test_lost_calls() -> None:
    connection = client(STATELESS)
    calls = [connection.call("tools/call", None)[0] for _ in range(3)]
    give(connection, {"jsonrpc": "2.0", "id": calls[0].id, "result": {}})
    assert connection.lose_calls() == calls[1:]
    assert connection.lose_calls() == []
    assert connection.open_calls == 0
    ignored(connection, {"jsonrpc": "2.0", "id": calls[1].id, "result": {}})
    assert connection.cancel(calls[1]) is None


def test_dropped_exchanges() -> None:
    connection = server()
    exchanges = [accepted(connection, stateless(identity)) for identity in range(3)]
    exchanges[0].answer({})
    connection.drop()
    assert connection.open_exchanges == 0
    for exchange in exchanges[1:]:
        assert not exchange.is_open
        assert exchange.answer({}) is None


def test_what_json_lacks() -> None:
    """The exchange stays open, so that it can still fail."""
    exchange = accepted(server(), stateless())
    for value in ({"a": object()}, {"a": {1, object()}}, {(1, 2): 3}):
        with pytest.raises((TypeError, ValueError)):
            exchange.answer(value)
    with pytest.raises((TypeError, ValueError)):
        exchange.fail(1, "x", object())
    assert exchange.fail(1, "x") is not None


# -- clients ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        b"{",
        b"1",
        {"jsonrpc": "2.0", "id": 9},
        {"jsonrpc": "2.0", "id": 9, "method": 5},
        request(9, "ping"),
        stateless(9, "roots/list"),
        request(9, "ping", _meta={"progressToken": 1.5}),
        [request(9, "ping")],
        {"jsonrpc": "2.0", "id": 9, "error": 1},
    ],
)
def test_a_stateless_client_answers_nothing(message: Any) -> None:
    """2026-07-28: servers send no requests, clients send no responses."""
    connection = client(LATEST)
    ignored(connection, message)


def test_a_session_client_answers_the_server() -> None:
    connection = client(URLS)
    exchange = accepted(connection, request(1, "roots/list"))
    assert exchange.answer({"roots": []}) is not None
    accepted(connection, request(2, "ping"))
    assert refused(connection, request(2, "ping"))["code"] == INVALID_REQUEST


def test_ids_of_both_sides_are_apart() -> None:
    connection = client(URLS)
    call, _ = connection.call("tools/call", None)
    exchange = accepted(connection, request(call.id, "ping"))
    assert exchange.answer({}) is not None
    assert connection.open_calls == 1
    (event,) = give(connection, {"jsonrpc": "2.0", "id": call.id, "result": {}})
    assert isinstance(event, ResultReceived)


# -- batches ----------------------------------------------------------------------------------


def test_batch_is_answered_in_one_array() -> None:
    connection = in_session(BATCHES)
    events = give(
        connection,
        [request(1), 5, notification("notifications/x"), request(2), request(1), request(3)],
    )
    first, note, second, third = events
    assert isinstance(note, NotificationReceived)
    exchanges = []
    for event in (first, second, third):
        assert isinstance(event, RequestReceived)
        exchanges.append(event.exchange)
    assert exchanges[1].answer({}) is None
    (event,) = give(connection, cancelled(3))
    assert isinstance(event, ExchangeCancelled)
    data = exchanges[0].fail(7, "x")
    assert data is not None
    answers = json.loads(data)
    assert [(each["id"], each.get("error", {}).get("code")) for each in answers] == [
        (None, INVALID_REQUEST),
        (1, INVALID_REQUEST),
        (2, None),
        (1, 7),
    ]


def test_batch_that_is_refused_throughout() -> None:
    answers = replied(in_session(BATCHES), [1, {"jsonrpc": "2.0", "id": 5}])
    assert [each["id"] for each in answers] == [None, 5]


def test_batch_without_requests_is_not_answered() -> None:
    connection = in_session(BATCHES)
    note = notification("notifications/x")
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert [type(event) for event in give(connection, [note, answer])] == [
        NotificationReceived,
        Ignored,
    ]


def test_batch_whose_requests_are_all_cancelled() -> None:
    connection = in_session(BATCHES)
    give(connection, [request(1), request(2)])
    assert [type(event) for event in give(connection, cancelled(1))] == [ExchangeCancelled]
    assert [type(event) for event in give(connection, cancelled(2))] == [ExchangeCancelled]


def test_cancelling_the_last_releases_the_others() -> None:
    connection = in_session(BATCHES)
    first, _ = give(connection, [request(1), request(2)])
    assert isinstance(first, RequestReceived)
    assert first.exchange.answer({}) is None
    (event,) = give(connection, cancelled(2))
    assert isinstance(event, ExchangeCancelled)
    assert event.released is not None
    assert [each["id"] for each in json.loads(event.released)] == [1]


def test_batch_cancels_its_own_request() -> None:
    connection = in_session(BATCHES)
    events = give(connection, [request(1), cancelled(1)])
    assert events == []  # nothing begins
    assert connection.open_exchanges == 0


@pytest.mark.parametrize("revision", [None, FIRST, STRUCTURED, URLS], ids=str)
def test_batches_elsewhere(revision: Revision | None) -> None:
    connection = server() if revision is None else in_session(revision)
    answer = replied(connection, [request(1), stateless(2)])
    assert answer["error"]["code"] == INVALID_REQUEST
    assert answer.get("id") is None
    assert connection.open_exchanges == 0


def test_initialize_in_a_batch() -> None:
    """2025-03-26: it must not be part of one."""
    connection = in_session(BATCHES)
    (answer,) = replied(connection, [opening(BATCHES.date)])
    assert (answer["id"], answer["error"]["code"]) == (0, INVALID_REQUEST)
    assert "batch" in answer["error"]["message"]
    fresh = server()
    assert replied(fresh, [opening(BATCHES.date)])["error"]["code"] == INVALID_REQUEST
    assert fresh.terms is None


def test_stateless_request_in_a_batch() -> None:
    (answer,) = replied(in_session(BATCHES), [stateless(1)])
    assert (answer["id"], answer["error"]["code"]) == (1, INVALID_REQUEST)


def test_batch_over_the_limit() -> None:
    connection = in_session(BATCHES, in_flight=2)
    answer = replied(connection, [request(identity) for identity in range(3)])
    assert answer["error"]["code"] == LIMIT_EXCEEDED
    assert connection.open_exchanges == 0


@pytest.mark.parametrize("item", [b"1", b"{}", b'{"jsonrpc":"2.0","id":1,"method":"ping"}'])
def test_batch_over_the_limit_is_not_read(item: bytes) -> None:
    connection = in_session(BATCHES)

    def calls_for(count: int) -> int:
        data = b"[" + b",".join([item] * count) + b"]"
        return calls_of(lambda: connection.receive(data))

    assert calls_for(10_000) == calls_for(2_000)


def test_in_flight_within_a_batch() -> None:
    connection = in_session(BATCHES, in_flight=3)
    accepted(connection, request("a"))
    events = give(connection, [request(identity) for identity in range(3)])
    assert [type(event) for event in events] == [RequestReceived, RequestReceived]
    for event in events:
        assert isinstance(event, RequestReceived)
        data = event.exchange.answer({})
    assert data is not None
    errors = {each["id"]: "error" in each for each in json.loads(data)}
    assert errors == {0: False, 1: False, 2: True}


# -- notifications ----------------------------------------------------------------------------


@by_revision
def test_notify(revision: Revision) -> None:
    connection = client(revision)
    assert json.loads(connection.notify("notifications/x")) == {
        "jsonrpc": "2.0",
        "method": "notifications/x",
    }


def test_unknown_notification() -> None:
    (event,) = give(server(), notification("notifications/whatever", a=1))
    assert isinstance(event, NotificationReceived)
    assert event.method == "notifications/whatever"
    assert json.loads(bytes(event.params or b"")) == {"a": 1}


# -- what was too long to be read -------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "identity"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":"', 7),
        (b' { "jsonrpc" : "2.0" , "id" : "a" , "params" : {', "a"),
        (b'{"jsonrpc":"2.0","id":-7,"method":"', -7),
        (b'{"jsonrpc":"2.0","id":7', None),
        (b'{"jsonrpc":"2.0","id":7,"other":1', None),
        (b'{"jsonrpc":"2.0","id":07,"method":"', None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"', None),
        (b'{"jsonrpc":"2.0","id":null,"method":"', None),
        (b'{"jsonrpc":"2.0","id":"a\\"","method":"', None),
        (b'{"jsonrpc":"2.0","id":"\xff","method":"', None),
        (b'{"id":7,"jsonrpc":"2.0","method":"', None),
        (b'[{"jsonrpc":"2.0","id":7,"method":"', None),
        (b"x" * 256, None),
    ],
)
def test_oversized_request(head: bytes, identity: Any) -> None:
    """Refused under its id where that stands at the beginning, as most write it."""
    (event,) = server().receive_oversized(head, "too long")
    assert isinstance(event, Reply)
    answer = json.loads(event.data)
    assert answer.get("id") == identity
    assert answer["error"] == {"code": LIMIT_EXCEEDED, "message": "too long"}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("member", [b"result", b"error"])
def test_oversized_answer_ends_the_call(role: Role, member: bytes) -> None:
    connection = Connection(role, CLIENT, Limits())
    connection.terms = Terms(URLS)
    call, _ = connection.call("elicitation/create", None)
    head = b'{"jsonrpc":"2.0","id":%d,"' + member + b'":{"a":"'
    (event,) = connection.receive_oversized(head % 99, "too long")
    assert isinstance(event, Ignored)
    (event,) = connection.receive_oversized(head % call.id, "too long")
    assert isinstance(event, AnswerUnusable)
    assert event.call is call


def test_an_oversized_answer_may_tell_its_id_last() -> None:
    connection = Connection(Role.CLIENT, CLIENT, Limits())
    connection.terms = Terms(URLS)
    call, _ = connection.call("tools/list", None)
    head, tail = b'{"result":{"text":"aaaa', b'aaaa"},"jsonrpc":"2.0","id":%d}'
    (event,) = connection.receive_oversized(head, "too long", tail=tail % 99)
    assert isinstance(event, Ignored)
    (event,) = connection.receive_oversized(head, "too long", tail=tail % call.id)
    assert isinstance(event, AnswerUnusable)
    assert event.call is call


@pytest.mark.parametrize("beyond", [-2, -1, 0, 1, 2])
def test_the_limit_of_an_answer_is_exact(beyond: int) -> None:
    """An answer as long as the limit is sent, a longer one is not; nothing counts but its bytes."""
    limit = 1000
    empty = accepted(server(message_bytes=limit), stateless()).answer({"text": ""})
    assert empty is not None
    exchange = accepted(server(message_bytes=limit), stateless())
    result = {"text": "x" * (limit - len(empty) + beyond)}
    if beyond > 0:
        with pytest.raises(TooLarge):
            exchange.answer(result)
        assert exchange.is_open
    else:
        answer = exchange.answer(result)
        assert answer is not None
        assert len(answer) == limit + beyond
        assert not exchange.is_open


def test_answer_over_the_limit() -> None:
    """It is not sent; the exchange stays open, so that it can still fail."""
    connection = server(message_bytes=1000)
    exchange = accepted(connection, stateless())
    with pytest.raises(TooLarge):
        exchange.answer({"text": "x" * 1000})
    assert exchange.is_open
    assert exchange.answer({"text": "x" * 500}) is not None
