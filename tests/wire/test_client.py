"""Whatever a server sends: each call ends with what it promises or with a typed error of trimcp.

A valid result of each method, made from the types, is spoilt in its structure and in its bytes, and
comes between messages that nobody has asked for. The client then goes on.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import httpx2
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.counting import bytes_taken
from tests.protocol.test_schemas import messages as schema_names
from tests.protocol.test_schemas import validator
from tests.spec.harness import EVERYTHING, Line, discovered, greet, initialized
from tests.strategies import examples
from tests.wire.fuzzed import no_errors_logged
from tests.wire.messages import results, unasked
from tests.wire_fuzz import damaged, spoilt
from trimcp import Client, Limits, MCPError, open_http_client, open_stream_client
from trimcp import types as t
from trimcp.protocol import REVISIONS, Revision
from trimcp.protocol.http import encode_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from hypothesis.strategies import DrawFn

pytestmark = pytest.mark.timeout(1200)

Message = dict[str, Any]

#: Seconds for one call.
TIMEOUT: Final = 50.0
LIMITS: Final = Limits(nesting=30, message_bytes=50_000, list_pages=5)

#: What stands in a prepared answer for the id of the request.
ID: Final = 987_654_321_987

# -- the client's verbs -----------------------------------------------------------------------


@attrs.frozen
class Verb:
    """A call of the client.

    Attributes:
        method: What it asks.
        call: Makes it.
        promised: The type of what it returns; of each item, if that is a list.
    """

    method: str
    call: Callable[[Client], Awaitable[Any]]
    promised: type

    def check(self, value: Any) -> None:
        for each in value if isinstance(value, list) else [value]:
            assert isinstance(each, self.promised), value


VERBS: Final = [
    Verb("tools/list", lambda client: client.list_tools(), t.Tool),
    Verb("tools/call", lambda client: client.call_tool("x"), t.CallToolResult),
    Verb("resources/list", lambda client: client.list_resources(), t.Resource),
    Verb(
        "resources/templates/list",
        lambda client: client.list_resource_templates(),
        t.ResourceTemplate,
    ),
    Verb("resources/read", lambda client: client.read_resource("x:y"), t.ReadResourceResult),
    Verb("prompts/list", lambda client: client.list_prompts(), t.Prompt),
    Verb("prompts/get", lambda client: client.get_prompt("x"), t.GetPromptResult),
    Verb("completion/complete", lambda client: client.complete("a", prompt="x"), t.Completion),
    Verb("ping", lambda client: client.ping(), type(None)),
    Verb("logging/setLevel", lambda client: client.set_log_level("info"), type(None)),
    Verb("tools/list", lambda client: client.request("tools/list"), dict),
]


def verbs(revision: Revision) -> list[Verb]:
    return [each for each in VERBS if each.method in revision.client_requests]


# -- the server's answers ---------------------------------------------------------------------

ERRORS: Final = st.fixed_dictionaries(
    {
        "code": st.sampled_from(
            [-32700, -32601, -32602, -32603, -32002, -32020, -32022, -32042, 1]
        ),
        "message": st.just("no"),
    },
    optional={"data": st.sampled_from([None, {"supported": ["1999-01-01"]}, {"elicitations": 5}])},
)


@st.composite
def replies(draw: DrawFn, revision: Revision, method: str) -> list[bytes]:
    """What comes after a request: messages nobody has asked for, and perhaps an answer."""
    found = []
    for _ in range(draw(st.integers(0, 2))):
        found.append(draw(spoilt(draw(unasked(revision)))))
    answer: Message = {"jsonrpc": "2.0", "id": draw(st.sampled_from([ID] * 8 + [None, "x", 0]))}
    if draw(st.integers(0, 4)) == 4:
        answer["error"] = draw(ERRORS)
    else:
        answer["result"] = draw(results(revision, revision.client_requests[method]))
    found.append(draw(spoilt(answer)))
    found += found[-1:] * draw(st.sampled_from([0, 0, 0, 1]))
    data = [each.encode("utf-8", "surrogatepass") for each in found]
    if draw(st.integers(0, 3)) == 3:
        at = draw(st.integers(0, len(data) - 1))
        data[at] = draw(damaged(data[at]))
    return data


def filled(data: bytes, asked: Message) -> bytes:
    return data.replace(str(ID).encode(), json.dumps(asked["id"]).encode())


def good_answer(asked: Message) -> Message | None:
    """The answer to the tool `well`, which is there to see whether the client goes on."""
    if asked.get("method") != "tools/call" or asked["params"]["name"] != "well":
        return None
    result = {"resultType": "complete", "content": []}
    return {"jsonrpc": "2.0", "id": asked["id"], "result": result}


async def use(client: Client, chosen: list[Verb]) -> None:
    """Make calls to a server that answers anything."""
    for verb in chosen:
        began = trio.current_time()
        try:
            value = await verb.call(client)
        except MCPError:
            pass
        else:
            verb.check(value)
        # Of a list there are several pages, each with a time of its own.
        assert trio.current_time() - began <= LIMITS.list_pages * 2 * TIMEOUT
    result = await client.call_tool("well")
    assert result.content == ()


async def ignore(*arguments: Any) -> None:
    await trio.lowlevel.checkpoint()


async def decline(question: Any) -> t.ElicitResult:
    await trio.lowlevel.checkpoint()
    return t.ElicitResult("decline")


OPTIONS: Final[dict[str, Any]] = {
    "timeout": TIMEOUT,
    "limits": LIMITS,
    "logging": ignore,
    "elicitation": decline,
    "roots": ["file:///home"],
}

# -- over a stream ----------------------------------------------------------------------------


@attrs.define
class Said:
    """What the client has sent, all of which must be what a client may send.

    Attributes:
        revision: The revision that it speaks.
    """

    revision: Revision

    def messages(self, data: bytes) -> list[Message]:
        """The messages in what was sent: several only as the answers to a batch."""
        value = json.loads(data)
        if not isinstance(value, list):
            return [value]
        assert self.revision.batches
        assert all("method" not in each for each in value)
        return value

    def check(self, message: Message) -> None:
        if "method" not in message:
            assert ("result" in message) != ("error" in message)
            return
        group = "ClientRequest" if "id" in message else "ClientNotification"
        name = schema_names(self.revision, group)[message["method"]]
        flaws = [each.message for each in validator(self.revision, name).iter_errors(message)]
        assert not flaws, (message, flaws)


async def over_stream(
    revision: Revision, chosen: list[Verb], answers: list[list[bytes]], cuts: list[int]
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    line = Line(ours)
    said = Said(revision)
    waiting = iter(answers)

    async def script() -> None:
        await greet(line, revision.date)
        while data := await line.receive_bytes():
            asked, *more = said.messages(data)
            for each in (asked, *more):
                said.check(each)
            if "method" not in asked or "id" not in asked:
                continue
            good = good_answer(asked)
            reply = [json.dumps(good).encode()] if good else next(waiting, answers[-1])
            whole = b"\n".join(filled(each, asked) for each in reply) + b"\n"
            ends = [*cuts, max(len(whole), *cuts, 0)]
            for begin, end in zip([0, *cuts], ends, strict=True):
                await line.send_bytes(whole[begin:end])
                await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(script)
        async with open_stream_client(theirs, revision=revision.date, **OPTIONS) as client:
            await use(client, chosen)


@st.composite
def conversations(draw: DrawFn, revision: Revision) -> tuple[list[Verb], list[list[bytes]]]:
    """Some calls, and what comes for each of them."""
    chosen = draw(st.lists(st.sampled_from(verbs(revision)), min_size=1, max_size=4))
    return chosen, [draw(replies(revision, verb.method)) for verb in chosen]


every_revision = pytest.mark.parametrize("revision", REVISIONS, ids=str)


@every_revision
@examples(40)
@given(data=st.data())
def test_over_a_stream(revision: Revision, data: st.DataObject) -> None:
    chosen, answers = data.draw(conversations(revision))
    cuts = sorted(data.draw(st.lists(st.integers(0, 300), max_size=4)))
    clock = trio.testing.MockClock(autojump_threshold=0)
    with no_errors_logged():
        trio.run(over_stream, revision, chosen, answers, cuts, clock=clock)


# -- over HTTP --------------------------------------------------------------------------------


class Hostile(httpx2.AsyncBaseTransport):
    """Opens well, and then gives the prepared answers, as JSON or as a stream of events."""

    def __init__(self, revision: Revision, answers: list[list[bytes]], as_events: bool) -> None:
        self._revision = revision
        self._answers = iter(answers)
        self._last = answers[-1]
        self._as_events = as_events

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await trio.lowlevel.checkpoint()
        if request.method != "POST":
            return httpx2.Response(405)
        asked = json.loads(request.content)
        if "id" not in asked or "method" not in asked:
            return httpx2.Response(202)
        welcome = {
            "server/discover": discovered(versions=(self._revision.date,)),
            "initialize": initialized(self._revision.date, capabilities=EVERYTHING),
        }.get(asked["method"])
        headers = {"mcp-session-id": "s"} if asked["method"] == "initialize" else {}
        good = good_answer(asked)
        if welcome is not None:
            good = {"jsonrpc": "2.0", "id": asked["id"], "result": welcome}
        if good is not None:
            return httpx2.Response(200, json=good, headers=headers)
        reply = [filled(each, asked) for each in next(self._answers, self._last)]
        if self._as_events:
            body = b"".join(map(encode_event, reply))
            return httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})
        return httpx2.Response(200, content=reply[-1], headers={"content-type": "application/json"})


@asynccontextmanager
async def facing_http(
    revision: Revision, answers: list[list[bytes]], as_events: bool
) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(transport=Hostile(revision, answers, as_events)) as http,
        open_http_client(
            "http://x/mcp", http_client=http, revision=revision.date, **OPTIONS
        ) as client,
    ):
        yield client


#: The revisions with Streamable HTTP.
STREAMABLE: Final = REVISIONS[1:]


@pytest.mark.parametrize("revision", STREAMABLE, ids=str)
@examples(30)
@given(data=st.data(), as_events=st.booleans())
def test_over_http(revision: Revision, data: st.DataObject, as_events: bool) -> None:
    chosen, answers = data.draw(conversations(revision))

    async def main() -> None:
        async with facing_http(revision, answers, as_events) as client:
            await use(client, chosen)

    with no_errors_logged():
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- memory -----------------------------------------------------------------------------------

PAD: Final = "x" * 1000


def told(method: str, **params: Any) -> Message:
    return {"jsonrpc": "2.0", "method": method, "params": params}


#: What a server may flood its client with, one message each.
FLOODS: Final[dict[str, Callable[[int], Any]]] = {
    "log messages": lambda n: told("notifications/message", level="info", data=[n, PAD]),
    "progress of nothing": lambda n: told("notifications/progress", progressToken=n, progress=n),
    "updates": lambda n: told("notifications/resources/updated", uri=f"x:{n}{PAD}"),
    "changes": lambda n: told("notifications/tools/list_changed"),
    "unknown notifications": lambda n: told(f"x/{n}", pad=PAD),
    "answers to nothing": lambda n: {"jsonrpc": "2.0", "id": f"{n}{PAD}", "result": {"a": PAD}},
    "errors without an id": lambda n: {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": n, "message": PAD},
    },
    "cancellations": lambda n: told("notifications/cancelled", requestId=f"{n}{PAD}"),
    "questions": lambda n: {"jsonrpc": "2.0", "id": f"{n}{PAD}", "method": "x/y"},
    "nonsense": lambda n: [n, PAD],
}


async def read_all(stream: trio.abc.ReceiveStream) -> None:
    while await stream.receive_some():
        pass


async def kept_of(revision: str, count: int, flood: Callable[[int], Any]) -> int:
    ours, theirs = trio.testing.memory_stream_pair()
    line = Line(ours)
    kept = 0

    async def script() -> None:
        nonlocal kept
        await greet(line, revision)
        asked = await line.receive()
        # What the client says about it is read, as by any peer.
        nursery.start_soon(read_all, ours)
        await line.send(flood(0))
        await trio.testing.wait_all_tasks_blocked()
        with bytes_taken() as taken:
            for number in range(1, count):
                await line.send(flood(number))
                await trio.testing.wait_all_tasks_blocked()
        kept = taken.kept
        await line.send(good_answer(asked) or {})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(script)
        async with open_stream_client(theirs, revision=revision, **OPTIONS) as client:
            assert (await client.call_tool("well")).content == ()
    return kept


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_takes_no_memory(name: str, revision: str) -> None:
    """What a client keeps of five times as many messages is not more, while a call waits."""
    clock = trio.testing.MockClock
    few = trio.run(kept_of, revision, 50, FLOODS[name], clock=clock(autojump_threshold=0))
    many = trio.run(kept_of, revision, 250, FLOODS[name], clock=clock(autojump_threshold=0))
    assert many - few < 60_000, (few, many)
