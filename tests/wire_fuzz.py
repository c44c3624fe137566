"""Streams of messages that are nearly right, and what must come back.

Three parts: strategies for byte streams (valid messages of every method of a revision, spoilt in
their structure and in their bytes, cut and joined anywhere); an oracle which reads such a stream
with other code than ours and says which answers it deserves; and the checks of what came back.
"""

from __future__ import annotations

import collections
import json
import re
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard, get_args

import attrs
from hypothesis import strategies as st

from tests.protocol.test_schemas import check, definitions
from tests.strategies import JSON_OBJECTS, JSON_VALUES, payloads
from tests.wire_listening import LISTEN, Listened, check_heard, tells_of_change
from trimcp import types as t
from trimcp.errors import LIMIT_EXCEEDED, PARSE_ERROR
from trimcp.protocol import LATEST, META_PREFIX, Era, Revision, codec_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hypothesis.strategies import DrawFn, SearchStrategy

    from trimcp.protocol._revisions import Method

Message = dict[str, Any]
RequestId = int | str

# -- valid messages ---------------------------------------------------------------------------

#: Few, so that some come twice and some are cancelled.
IDS = st.integers(0, 12) | st.sampled_from(["", "a", "b", "0", "é", "-1"])

#: Resources that the server under test has; and one that it has not.
WATCHED = ["memo://one", "memo://of/7", "memo://nowhere/at/all"]

#: Params that reach a handler of the server under test more often than chance would.
LIKELY: dict[str, SearchStrategy[Message]] = {
    "tools/call": st.sampled_from(
        [
            {"name": "add", "arguments": {"a": 1, "b": 2}},
            {"name": "add", "arguments": {"a": "1"}},
            {"name": "point", "arguments": {"x": 1.5}},
            {"name": "listing", "arguments": {}},
            {"name": "everything"},
            {"name": "refuse"},
            {"name": "slow", "arguments": {"seconds": 5}},
            {"name": "forever"},
            {"name": "change"},
            {"name": "ask"},
            {"name": "ask", "inputResponses": {"sure": {"action": "decline"}}},
            {"name": "ask", "requestState": "AAAA", "inputResponses": {}},
            {"name": "blocking", "arguments": {"text": "x"}},
        ]
    ),
    "resources/read": st.sampled_from(
        [{"uri": "memo://one"}, {"uri": "memo://of/7"}, {"uri": "memo://of/x"}]
    ),
    "prompts/get": st.sampled_from(
        [{"name": "greet", "arguments": {"who": "you"}}, {"name": "greet"}]
    ),
    "resources/subscribe": st.sampled_from([{"uri": uri} for uri in WATCHED]),
    "resources/unsubscribe": st.sampled_from([{"uri": uri} for uri in WATCHED]),
    LISTEN: st.sampled_from(
        [
            {"notifications": {"resourceSubscriptions": WATCHED}},
            {"notifications": {"resourceSubscriptions": WATCHED[:1], "toolsListChanged": True}},
            {"notifications": {"promptsListChanged": False, "resourcesListChanged": True}},
            {"notifications": {}},
        ]
    ),
    "completion/complete": st.sampled_from(
        [
            {
                "ref": {"type": "ref/prompt", "name": "greet"},
                "argument": {"name": "who", "value": "y"},
            },
            {
                "ref": {"type": "ref/resource", "uri": "memo://of/{number}"},
                "argument": {"name": "number", "value": ""},
            },
        ]
    ),
}


def metas(revision: Revision) -> SearchStrategy[Message]:
    """The `_meta` of a request."""
    token = {"progressToken": IDS}
    if revision.era is Era.HANDSHAKE:
        return st.fixed_dictionaries({}, optional=token)
    encode = codec_for(revision).encode
    required: dict[str, SearchStrategy[Any]] = {
        META_PREFIX + "protocolVersion": st.just(revision.date),
        META_PREFIX + "clientCapabilities": st.sampled_from([{}, {"elicitation": {}}])
        | payloads(t.ClientCapabilities, revision).map(encode),
    }
    optional = token | {
        META_PREFIX + "clientInfo": payloads(t.Implementation, revision).map(encode),
        META_PREFIX + "logLevel": st.sampled_from(["debug", "error"]),
    }
    return st.fixed_dictionaries(required, optional=optional)


def params_of(shape: Any, revision: Revision) -> SearchStrategy[Message]:
    if shape is None:
        return st.just({})
    return payloads(shape, revision).map(codec_for(revision).encode)


def in_envelope(shape: Any, wire: Message) -> Message:
    """The member `params` of a message, which may be missing where no params are required."""
    optional = shape in (None, t.PaginatedRequestParams)
    return {} if optional and not wire else {"params": wire}


@st.composite
def requests(draw: DrawFn, revision: Revision) -> Message:
    """A valid request of any method that clients have in the revision.

    Only `initialize` is malformed: a valid one would end the session and the requests in it, which
    `server/test_another_initialize.py` and `protocol/test_connections_back_to_back.py` play.
    """
    known = revision.client_requests
    likely_names = [name for name in LIKELY if name in known]
    names = [*known, *likely_names, *["tools/call"] * 5]
    method: Method = known[draw(st.sampled_from(names))]
    params = params_of(method.params, revision)
    if method.name in LIKELY:
        likely = LIKELY[method.name]
        params = st.one_of(likely, likely, likely, params)
    wire = dict(draw(params))
    if method.name == "initialize":
        del wire["protocolVersion"]
    meta = draw(metas(revision))
    if meta:
        wire["_meta"] = wire.get("_meta", {}) | meta
    message = {"jsonrpc": "2.0", "id": draw(IDS), "method": method.name}
    return message | in_envelope(method.params, wire)


@st.composite
def notifications(draw: DrawFn, revision: Revision) -> Message:
    """A valid notification; cancellations are often about a request of the same stream."""
    method = draw(st.sampled_from(list(revision.client_notifications)))
    params = params_of(revision.client_notifications[method], revision)
    if method == "notifications/cancelled":
        params = st.fixed_dictionaries({"requestId": IDS}) | params
    message = {"jsonrpc": "2.0", "method": method}
    return message | in_envelope(revision.client_notifications[method], draw(params))


ANSWERS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": IDS, "result": JSON_OBJECTS}
) | st.fixed_dictionaries(
    {
        "jsonrpc": st.just("2.0"),
        "id": IDS,
        "error": st.fixed_dictionaries({"code": st.integers(), "message": st.just("no")}),
    }
)


def messages(revision: Revision) -> SearchStrategy[Message]:
    """Whatever a client may send, requests above all."""
    request = requests(revision)
    return st.one_of(request, request, request, notifications(revision), ANSWERS)


# -- spoilt in structure ----------------------------------------------------------------------


class Members(list[tuple[str, Any]]):
    """A JSON object as a list, since a spoilt one may have a member twice."""


def tree(value: Any) -> Any:
    if isinstance(value, dict):
        return Members((key, tree(each)) for key, each in value.items())
    return [tree(each) for each in value] if isinstance(value, list) else value


def dump(value: Any) -> str:
    if isinstance(value, Members):
        return "{" + ",".join(f"{json.dumps(key)}:{dump(each)}" for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def containers(value: Any) -> Iterator[Any]:
    """Every object and array in a tree that has something in it."""
    if isinstance(value, list):
        if value:
            yield value
        for each in value:
            yield from containers(each[1] if isinstance(value, Members) else each)


WEIRD_IDS = st.sampled_from([None, True, 1.5, 1.0, -1, 2**53, 10**30, [1], {"a": 1}, "\ud800"])
NAMES = st.sampled_from(
    [
        *("id", "Id", "method", "params", "result", "error", "jsonrpc", "_meta", "name"),
        *("arguments", "cursor", "uri", "progressToken", "requestId", "requestState"),
        *("inputResponses", "protocolVersion"),
    ]
)
STRANGE: SearchStrategy[Any] = JSON_VALUES | st.sampled_from(
    [None, "", 0, -1, 1e308, 10**40, [], {}, "\ud800", "\x00"]
)


def drop(draw: DrawFn, inside: Any, at: int) -> None:
    del inside[at]


def rename(draw: DrawFn, inside: Any, at: int) -> None:
    if isinstance(inside, Members):
        inside[at] = (draw(NAMES), inside[at][1])


def replace(inside: Any, at: int, value: Any) -> None:
    inside[at] = (inside[at][0], value) if isinstance(inside, Members) else value


def retype(draw: DrawFn, inside: Any, at: int) -> None:
    strange = WEIRD_IDS if isinstance(inside, Members) and inside[at][0] == "id" else STRANGE
    replace(inside, at, tree(draw(strange)))


def duplicate(draw: DrawFn, inside: Any, at: int) -> None:
    inside.insert(draw(st.integers(0, len(inside))), inside[at])


def nest(draw: DrawFn, inside: Any, at: int) -> None:
    value = inside[at][1] if isinstance(inside, Members) else inside[at]
    for _ in range(draw(st.sampled_from([1, 2, NESTING - 3, NESTING, 300]))):
        value = [value] if draw(st.booleans()) else Members([("a", value)])
    replace(inside, at, value)


def swap(draw: DrawFn, inside: Any, at: int) -> None:
    other = draw(st.integers(0, len(inside) - 1))
    inside[at], inside[other] = inside[other], inside[at]


SPOILERS: list[Callable[[DrawFn, Any, int], None]] = [drop, rename, retype, duplicate, nest, swap]

#: The server under test accepts this much, so that the limits are reached.
NESTING = 20
MESSAGE_BYTES = 4000


@st.composite
def spoilt(draw: DrawFn, message: Any, most: int = 2) -> str:
    """A message as text, with a few changes of its structure."""
    root = [tree(message)]
    for _ in range(draw(st.integers(0, most))):
        inside = draw(st.sampled_from(list(containers(root)) or [[None]]))
        draw(st.sampled_from(SPOILERS))(draw, inside, draw(st.integers(0, len(inside) - 1)))
    return "".join(dump(each) for each in root)


# -- spoilt in bytes --------------------------------------------------------------------------

BITS = st.binary(min_size=1, max_size=3) | st.sampled_from(
    [b"\n", b'"', b"\\", b"{", b"]", b"\xff", b"\x00", b"\\ud800", b"\xef\xbb\xbf", b"x" * 5000]
)


@st.composite
def damaged(draw: DrawFn, data: bytes) -> bytes:
    """Some bytes flipped, put in, taken out, doubled; or the end cut off."""
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["flip", "insert", "delete", "double", "truncate"]))
        if kind == "insert":
            data = data[:at] + draw(BITS) + data[at:]
        elif kind == "delete":
            data = data[:at] + data[at + draw(st.integers(1, 5)) :]
        elif kind == "double":
            data = data[:at] + data[at - draw(st.integers(0, min(at, 40))) : at] + data[at:]
        elif kind == "truncate":
            data = data[:at]
        elif at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
    return data


SEPARATORS = st.sampled_from([b"\n", b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b" \n\t", b""])


@st.composite
def utterances(draw: DrawFn, revisions: tuple[Revision, ...]) -> bytes:
    """One message of these revisions, or a batch, most of them spoilt."""
    revision = draw(st.sampled_from(revisions))
    message: Any = draw(messages(revision))
    if draw(st.integers(0, 3)) == 3:
        message = [message, *draw(st.lists(messages(revision), max_size=2))]
    data = draw(spoilt(message)).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 3:
        data = draw(damaged(data))
    return data


@st.composite
def streams(draw: DrawFn, revisions: tuple[Revision, ...]) -> bytes:
    """Some messages of these revisions, most of them spoilt."""
    said = draw(st.lists(utterances(revisions), min_size=1, max_size=6))
    return b"".join(each + draw(SEPARATORS) for each in said)


@st.composite
def chunks(draw: DrawFn, stream: bytes) -> list[bytes]:
    """The stream in pieces, cut anywhere."""
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    ends = zip([0, *cuts], [*cuts, len(stream)], strict=True)
    return [stream[begin:end] for begin, end in ends if begin != end]


# -- what a stream deserves -------------------------------------------------------------------


@attrs.define
class Deserved:
    """The answers that a stream must and may get.

    Attributes:
        must: How many requests have this id.
        may: How many more messages might be answered under it.
        unsure: Ids of requests that need not be answered: they are cancelled, or never end.
        asked: The method and revision of each request, by id.
        unreadable: Lines that are no JSON, each of which deserves an error without an id.
        oversized: Lines that are too long and no answers, each of which deserves an error.
        cancelled: Ids that a cancellation names.
        listened: What is asked about changes.
    """

    must: collections.Counter[RequestId] = attrs.field(factory=collections.Counter)
    may: collections.Counter[RequestId] = attrs.field(factory=collections.Counter)
    unsure: set[RequestId] = attrs.field(factory=set)
    asked: dict[RequestId, set[tuple[str, Revision]]] = attrs.field(
        factory=lambda: collections.defaultdict(set)
    )
    unreadable: int = 0
    oversized: int = 0
    cancelled: set[RequestId] = attrs.field(factory=set)
    listened: Listened = attrs.field(factory=Listened)

    @property
    def sure(self) -> set[RequestId]:
        """The ids of subscriptions that last to the end."""
        return {
            identity
            for identity in self.listened.valid
            if self.must[identity] == 1
            and not self.may[identity]
            and identity not in self.cancelled
        }


def deserved(stream: bytes, session: Revision | None) -> Deserved:
    """What a stream deserves of which each line is a message."""
    found = Deserved()
    for line in stream.split(b"\n"):
        if line.strip() or len(line) > MESSAGE_BYTES:
            deserve(found, line, session)
    return found


def deserve(found: Deserved, message: bytes, session: Revision | None) -> None:
    """Read one message, or batch, as JSON-RPC says."""
    if len(message) > MESSAGE_BYTES:
        _expect_oversized(found, message)
        return
    try:
        # A byte order mark in front is ignored.
        value = read_strictly(message.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        found.unreadable += 1
        return
    if not isinstance(value, list):
        _expect(found, value, session)
    elif session is not None and session.batches:
        for each in value:
            _expect(found, each, session, in_batch=True)
        if found.unsure.intersection(ids := set(ids_in(value))):
            # A batch is answered as a whole.
            found.unsure |= ids


def ids_in(batch: list[Any]) -> Iterator[RequestId]:
    """The ids of what may be a request."""
    for each in batch:
        if isinstance(each, dict) and is_id(each.get("id")):
            yield each["id"]


def is_id(value: object) -> TypeGuard[RequestId]:
    return type(value) in (int, str)


def _expect(
    found: Deserved, message: Any, session: Revision | None, *, in_batch: bool = False
) -> None:
    if not isinstance(message, dict):
        return
    identity = message.get("id")
    if message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        if is_id(identity):
            found.may[identity] += 1
    elif is_id(identity):
        found.must[identity] += 1
        found.asked[identity].add((message["method"], revision_of(message, session)))
        found.listened.expect(message, in_batch=in_batch)
        if is_endless(message):
            found.unsure.add(identity)
    elif message["method"] == "notifications/cancelled" and "id" not in message:
        params = message.get("params")
        cancelled = params.get("requestId") if isinstance(params, dict) else None
        if is_id(cancelled):
            found.unsure.add(cancelled)
            found.cancelled.add(cancelled)


HEAD = re.compile(rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(-?\d+|"[^"]*")\s*,\s*"(\w*)')

#: An answer is not answered, in whatever order its members stand.
ANSWER = re.compile(
    rb'(?:\xef\xbb\xbf)?\s*\{\s*(?:"(?:jsonrpc|id)"\s*:[^,{}\[\]]*,\s*){0,2}"(?:result|error)"\s*:'
)


def _expect_oversized(found: Deserved, line: bytes) -> None:
    """It is refused; under its id only where that stands at the beginning."""
    head = HEAD.match(line)
    if ANSWER.match(line) is None:
        found.oversized += 1
    if head is not None:
        try:
            found.may[json.loads(head[1])] += 1
        except ValueError:
            return


def revision_of(message: Message, session: Revision | None) -> Revision:
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    own = isinstance(meta, dict) and (
        META_PREFIX + "protocolVersion" in meta or META_PREFIX + "clientCapabilities" in meta
    )
    return LATEST if own or session is None else session


def is_endless(message: Message) -> bool:
    if message["method"] == LISTEN:
        return True
    params = message.get("params")
    return isinstance(params, dict) and params.get("name") == "forever"


def read_strictly(line: bytes) -> Any:
    """JSON without what Python's reader lets pass, and not deeper than allowed."""
    text = line.decode("utf-8")
    if _depth(text) > NESTING:
        raise ValueError("nested too deeply")
    value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    _check_text(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of members with one name the last counts, but all must be text."""
    _check_text(pairs)
    return dict(pairs)


def _check_text(value: Any) -> None:
    """No lone surrogates."""
    json.dumps(value, ensure_ascii=False).encode("utf-8")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def _depth(text: str) -> int:
    """How deep a JSON text is nested, in members too that a later one of that name replaces."""
    depth = deepest = 0
    for character in STRING.sub("", text):
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest


# -- what came back ---------------------------------------------------------------------------


def check_answers(
    messages: Iterable[bytes | bytearray], expected: Deserved, session: Revision | None
) -> None:
    """Fail unless each request has had its one answer, and each answer is allowed."""
    answers: collections.Counter[RequestId] = collections.Counter()
    codes: collections.Counter[int] = collections.Counter()
    changes: list[Message] = []
    for data in messages:
        value = json.loads(data, parse_constant=_no_constant)
        if isinstance(value, list):
            assert session is not None
            assert session.batches
            assert value
        elif tells_of_change(value):
            changes.append(value)
        for message in value if isinstance(value, list) else [value]:
            identity = check_message(message, expected, session)
            codes[message.get("error", {}).get("code", 0)] += 1
            if identity is not None:
                answers[identity] += 1
    assert codes[PARSE_ERROR] >= expected.unreadable
    assert codes[LIMIT_EXCEEDED] >= expected.oversized
    for identity, count in expected.must.items():
        least = 0 if identity in expected.unsure else count
        assert least <= answers[identity] <= count + expected.may[identity], identity
    for identity, count in answers.items():
        assert count <= expected.must[identity] + expected.may[identity], identity
    for identity in expected.sure:
        assert not answers[identity], f"the subscription {identity!r} has ended"
    check_heard(changes, expected.listened, expected.sure, session, set(WATCHED))


def check_message(
    message: Message, expected: Deserved, session: Revision | None
) -> RequestId | None:
    """Check one message of the server; return the id that it answers, if any."""
    if "method" in message:
        assert "id" not in message, "the server was not told that it may ask"
        known = {name for row in (LATEST, session) if row for name in row.server_notifications}
        assert message["method"] in known
        return None
    identity: RequestId | None = message.get("id")
    if identity is None:
        assert "error" in message
        return None
    asked = expected.asked.get(identity, set())
    if len(asked) == 1 and not expected.may[identity]:
        ((method, revision),) = asked
        check_answer(message, method, revision)
    return identity


def check_answer(message: Message, method: str, revision: Revision) -> None:
    """Hold an answer against the published schema of the request's revision."""
    known = definitions(revision)
    if "error" in message:
        check(revision, _first(known, "JSONRPCErrorResponse", "JSONRPCError"), message)
        return
    check(revision, _first(known, "JSONRPCResultResponse", "JSONRPCResponse"), message)
    assert method in revision.client_requests, f"a result for {method}"
    shape = revision.client_requests[method].result
    names = [cls.__name__ for cls in get_args(shape) or (shape,)]
    if message["result"].get("resultType") == "input_required":
        names = ["InputRequiredResult"]
    check(revision, names[0], message["result"])


def _first(known: Message, *names: str) -> str:
    return next(name for name in names if name in known)
