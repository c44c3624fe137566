"""Everything that server and client put on the wire, judged by another project's types.

The judge is `mcp_types`, the vocabulary of the official Python SDK: for each method and revision
it says whether a message may be sent at all and what it must look like. A message must also come
back from its model unchanged, so nothing stands in it that the model does not know. (It takes
2025-11-25's shapes for the older revisions too; those are judged by their published schemas in
`protocol/test_schemas.py`.)
"""

from __future__ import annotations

import enum
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import attrs
import pydantic
import pytest
import trio
import trio.testing
from mcp_types import (
    MissingRequiredClientCapabilityErrorData,
    UnsupportedProtocolVersionErrorData,
    methods,
)
from mcp_types.jsonrpc import (
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, KNOWN_PROTOCOL_VERSIONS

from trimcp import (
    Client,
    Context,
    PromptsListChanged,
    RequestError,
    ResourcesListChanged,
    ResourceUpdated,
    Server,
    ToolError,
    ToolsListChanged,
    open_stream_client,
)
from trimcp.protocol import REVISIONS, find_revision
from trimcp.server._routes import _ROUTES
from trimcp.types import (
    Annotations,
    AudioContent,
    BlobResourceContents,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    EmbeddedResource,
    Icon,
    ImageContent,
    LoggingMessageNotificationParams,
    PromptMessage,
    ResourceLink,
    Root,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

STATELESS = "2026-07-28"
ELICITING = ("2025-06-18", "2025-11-25", STATELESS)
META = "io.modelcontextprotocol/"

Wire = dict[str, Any]
Side = Literal["client", "server"]


# -- the judge --------------------------------------------------------------------------------


def judge_shape(shape: Any, wire: Wire) -> None:
    """The message fits its model, and the model knows all of it."""
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(shape)
    value = adapter.validate_python(wire, by_name=False)
    told = adapter.dump_python(value, by_alias=True, mode="json", exclude_unset=True)
    assert told == wire
    assert canonical(told) == canonical(wire)


def canonical(wire: Wire) -> str:
    """Equal for what is equal in JSON, where 1 is 1.0 but not true."""
    return json.dumps(json.loads(json.dumps(wire), parse_int=float), sort_keys=True)


_ERROR_DATA: dict[int, Any] = {
    -32021: MissingRequiredClientCapabilityErrorData,
    -32022: UnsupportedProtocolVersionErrorData,
}
_ERRORS = {-32700, -32600, -32601, -32602, -32603, *_ERROR_DATA}
_HANDSHAKE_ERRORS = {-32002}  # no such resource

_REQUESTS = {"client": methods.CLIENT_REQUESTS, "server": methods.SERVER_REQUESTS}
_RESULTS = {"client": methods.CLIENT_RESULTS, "server": methods.SERVER_RESULTS}
_NOTIFICATIONS = {
    "client": methods.CLIENT_NOTIFICATIONS,
    "server": methods.SERVER_NOTIFICATIONS,
}
_PARSERS: dict[tuple[Side, str], Callable[..., Any]] = {
    ("client", "request"): methods.parse_client_request,
    ("client", "result"): methods.parse_client_result,
    ("client", "notification"): methods.parse_client_notification,
    ("server", "request"): methods.parse_server_request,
    ("server", "result"): methods.parse_server_result,
    ("server", "notification"): methods.parse_server_notification,
}


@attrs.define
class Judge:
    """Hears both sides of one connection.

    Attributes:
        revision: What the client spoke last.
        heard: Side, kind and method (of an error: its code) of each message.
    """

    revision: str = HANDSHAKE_PROTOCOL_VERSIONS[-1]
    heard: list[tuple[Side, str, str | int]] = attrs.field(factory=list)
    _asked: dict[tuple[Side, int | str], tuple[str, str]] = attrs.field(factory=dict)

    def said(self, side: Side, kind: str) -> set[str | int]:
        """What was heard of that kind."""
        return {each for who, what, each in self.heard if (who, what) == (side, kind)}

    def hear(self, side: Side, line: bytes) -> None:
        """Judge one message or batch."""
        message = json.loads(line)
        if isinstance(message, list):
            assert self.revision == "2025-03-26", "only this revision has batches"
            for each in message:
                self._hear_message(side, each)
        else:
            self._hear_message(side, message)

    def expect(self, side: Side, identity: int | str, method: str) -> None:
        """A request that this side sends unheard."""
        self._asked[side, identity] = (method, self.revision)

    def _hear_message(self, side: Side, message: Wire) -> None:
        if "method" in message:
            self._hear_method(side, message)
        elif "error" in message:
            self._hear_error(side, message)
        else:
            self._hear_result(side, message)

    def _hear_method(self, side: Side, message: Wire) -> None:
        method, params = message["method"], message.get("params")
        self._note_revision(side, method, params or {})
        kind = "request" if "id" in message else "notification"
        judge_shape(JSONRPCRequest if kind == "request" else JSONRPCNotification, message)
        known: Any = (_REQUESTS if kind == "request" else _NOTIFICATIONS)[side]
        judge_shape(known[method, self.revision], message)
        _PARSERS[side, kind](method, self.revision, params)
        if kind == "request":
            assert (side, message["id"]) not in self._asked, "an id was used twice"
            self._asked[side, message["id"]] = (method, self.revision)
        self.heard.append((side, kind, method))

    def _note_revision(self, side: Side, method: str, params: Wire) -> None:
        if side == "server":
            return
        if method == "initialize":
            self.revision = params["protocolVersion"]
        self.revision = params.get("_meta", {}).get(META + "protocolVersion", self.revision)

    def _hear_result(self, side: Side, message: Wire) -> None:
        asker: Side = "server" if side == "client" else "client"
        method, revision = self._asked[asker, message["id"]]
        result = message["result"]
        judge_shape(JSONRPCResponse, message)
        judge_shape(_RESULTS[side][method, revision], result)
        _PARSERS[side, "result"](method, revision, result)
        kind = "questions" if methods.is_input_required(result) else "result"
        if kind == "questions":
            for question in result["inputRequests"].values():
                self.heard.append((side, "input", question["method"]))
        self.heard.append((side, kind, method))

    def _hear_error(self, side: Side, message: Wire) -> None:
        if message.get("id") is None:
            # null in older revisions, absent in newer ones, whose models want it all the same.
            assert ("id" in message) == (self.revision < "2025-11-25")
            message = message | {"id": None}
        judge_shape(JSONRPCError, message)
        error = message["error"]
        assert error["code"] in (
            _ERRORS if self.revision == STATELESS else _ERRORS | _HANDSHAKE_ERRORS
        )
        assert error["message"]
        if error["code"] in _ERROR_DATA:
            assert self.revision == STATELESS
            judge_shape(_ERROR_DATA[error["code"]], error["data"])
        self.heard.append((side, "error", error["code"]))


@attrs.define(eq=False)
class Tap(trio.abc.Stream):
    """A stream whose sent lines are heard."""

    stream: trio.abc.Stream
    hear: Callable[[bytes], None]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        lines = bytes(data).split(b"\n")
        assert lines.pop() == b"", "a message without its end"
        for line in lines:
            self.hear(line)
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()


# -- the server -------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Form(pydantic.BaseModel):
    """One property of each kind that a form may have."""

    name: str = pydantic.Field("Ada", title="Name", description="Yours", max_length=20)
    email: str = pydantic.Field("a@example.com", json_schema_extra={"format": "email"})
    age: int = pydantic.Field(ge=0, le=150)
    share: float = 0.5
    sure: bool = True
    colour: Colour = Colour.RED


class Confirmation(pydantic.BaseModel):
    ok: bool


class Row(pydantic.BaseModel):
    name: str
    size: int | None = None


def add_results(server: Server) -> None:
    """Register tools with every kind of result."""

    @server.tool(
        title="Addition",
        annotations=ToolAnnotations(title="Add", read_only_hint=True, open_world_hint=False),
        meta={"com.example/cost": 1.5},
    )
    async def add(a: int, b: int = 1) -> int:
        """Add two numbers.

        Args:
            a: One.
            b: The other.
        """
        return a + b

    @server.tool
    async def table() -> list[Row]:
        return [Row(name="a", size=1), Row(name="b")]

    @server.tool
    async def row() -> Row:
        return Row(name="a")

    @server.tool
    def contents() -> list[Any]:
        return [
            TextContent("text"),
            ImageContent("AAAA", "image/png"),
            AudioContent("AAAA", "audio/wav"),
            ResourceLink("link", "file:///a", description="A file", mime_type="text/plain"),
            EmbeddedResource(TextResourceContents("file:///a", "a", "text/plain")),
        ]

    @server.tool
    async def nothing() -> None:
        return None

    @server.tool
    async def fail() -> str:
        raise ToolError("on purpose")

    @server.tool
    async def crash() -> str:
        raise ZeroDivisionError("a secret")

    @server.tool
    async def refuse() -> str:
        raise RequestError(-32603, "on purpose", {"detail": [1, None]})


def add_conversations(server: Server) -> None:
    """Register tools that say or ask something before they answer."""

    @server.tool
    async def steps(ctx: Context) -> str:
        await ctx.report_progress(0.5)
        await ctx.report_progress(1, 3)
        await ctx.report_progress(3, 3, "done")
        return "done"

    @server.tool
    async def ask(ctx: Context) -> str:
        """Two questions at once, and then a third."""

        async def confirm(number: int) -> None:
            await ctx.elicit(f"Question {number}", Confirmation, key=f"q{number}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(confirm, 1)
            nursery.start_soon(confirm, 2)
        form = await ctx.elicit("Who are you?", Form)
        return str(form.age)

    @server.tool
    async def forever() -> None:
        await trio.sleep_forever()

    @server.tool
    async def chatty(ctx: Context) -> None:
        await ctx.info("Just text")
        await ctx.error({"a": [1, None]}, logger="chatty")

    @server.tool
    async def change() -> None:
        await server.notify_resource_updated("notes://all")
        await server.notify_resource_updated("notes://{id}")
        await server.notify_resources_changed()
        await server.notify_tools_changed()
        await server.notify_prompts_changed()


def add_resources(server: Server) -> None:
    """Register resources and templates, described as fully as can be."""

    @server.resource(
        "notes://all",
        title="Notes",
        mime_type="text/plain",
        annotations=Annotations(("user", "assistant"), 0.5, "2025-01-12T15:00:58Z"),
        size=5,
        icons=[Icon("https://example.com/n.png")],
        meta={"com.example/owner": "Ada"},
        ttl_ms=1000,
        cache_scope="public",
    )
    async def all_notes() -> str:
        """All notes."""
        return "notes"

    @server.resource("notes://picture")
    def picture() -> bytes:
        return b"\x00\x01"

    @server.resource(
        "notes://{id}",
        title="A note",
        mime_type="application/json",
        annotations=Annotations(priority=1),
        meta={"com.example/owner": "Ada"},
    )
    async def note(id: int) -> dict[str, int]:
        """One note."""
        return {"id": id}

    @server.completion("id", resource="notes://{id}")
    async def complete_id(value: str) -> list[str]:
        return [f"{value}{digit}" for digit in range(10)]


def add_prompts(server: Server) -> None:
    """Register prompts, and what completes their arguments."""

    @server.prompt(title="Review", meta={"com.example/owner": "Ada"})
    async def review(code: str, language: str = "python") -> list[Any]:
        """Review some code.

        Args:
            code: What to review.
            language: Its language.
        """
        answer = PromptMessage("assistant", TextContent("Certainly."))
        resource = EmbeddedResource(BlobResourceContents("notes://picture", "AAE="))
        return [f"Review this {language}: {code}", answer, resource]

    @server.prompt
    async def interview(ctx: Context) -> str:
        await ctx.elicit("Ready?", Confirmation)
        return "Interview me."

    @server.completion("language", prompt="review")
    async def complete_language(value: str, arguments: dict[str, str]) -> list[str]:
        return [f"{value}{number}" for number in range(200)]


def create_server() -> Server:
    """A server that says as much as it can."""
    server: Server = Server(
        "oracle",
        version="1.2.3",
        title="The oracle",
        instructions="Ask.",
        website_url="https://example.com/",
        icons=[Icon("https://example.com/i.png", "image/png", ["48x48"])],
        page_size=5,
    )
    add_results(server)
    add_conversations(server)
    add_resources(server)
    add_prompts(server)
    return server


@asynccontextmanager
async def connected(
    judge: Judge, revision: str | None, server: Server | None = None, **options: Any
) -> AsyncIterator[Client]:
    """Our client and our server, with the judge on the line."""
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        theirs = Tap(far, lambda line: judge.hear("server", line))
        nursery.start_soon((server or create_server()).serve_stream, theirs)
        ours = Tap(near, lambda line: judge.hear("client", line))
        async with open_stream_client(ours, revision=revision, **options) as client:
            yield client


async def answer(question: ElicitRequestFormParams) -> dict[str, Any]:
    if "age" in question.requested_schema["properties"]:
        return {"name": "Ada", "age": 36, "share": 0.25, "sure": False, "colour": "green"}
    return {"ok": True}


async def agree(question: ElicitRequestURLParams) -> bool:
    return True


async def sample(question: CreateMessageRequestParams) -> CreateMessageResult:
    return CreateMessageResult("assistant", (TextContent("Hello."),), "a-model", "endTurn")


async def hear_log(message: LoggingMessageNotificationParams) -> None:
    """As for progress."""


#: Everything that a client can be asked.
ANSWERS: dict[str, Any] = {
    "elicitation": answer,
    "url_elicitation": agree,
    "sampling": sample,
    "roots": [Root("file:///home/ada", "home")],
}


async def ignore(done: float, total: float | None, message: str | None) -> None:
    """Somebody must listen, or nobody reports."""


# -- both of ours -----------------------------------------------------------------------------

EVERY_REVISION = pytest.mark.parametrize("revision", KNOWN_PROTOCOL_VERSIONS)


def test_revisions() -> None:
    assert tuple(revision.date for revision in REVISIONS) == KNOWN_PROTOCOL_VERSIONS


def routed(revision: str) -> Iterable[str]:
    """The methods that our server implements and the revision has."""
    row = find_revision(revision)
    assert row is not None
    return _ROUTES.keys() & row.client_requests.keys()


async def use_tools(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("add", {"a": 1})
    for tool in ("table", "row", "contents", "nothing", "fail", "crash"):
        await client.call_tool(tool)
    for tool in ("no-such-tool", "refuse"):
        with pytest.raises(RequestError):
            await client.call_tool(tool)
    await client.call_tool("steps", progress=ignore)
    await client.set_log_level("debug")
    await client.call_tool("chatty")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "forever")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def use_resources(client: Client) -> None:
    await client.list_resources()
    await client.list_resource_templates()
    for uri in ("notes://all", "notes://picture", "notes://5"):
        await client.read_resource(uri)
    with pytest.raises(RequestError):
        await client.read_resource("notes://none")


async def use_prompts(client: Client) -> None:
    await client.list_prompts()
    await client.get_prompt("review", {"code": "pass"})
    await client.complete("language", "p", prompt="review", arguments={"code": "pass"})
    await client.complete("id", resource="notes://{id}")


async def use_subscriptions(client: Client) -> None:
    listening = client.listen(
        resources=["notes://all", "notes://5"],
        tools_list_changed=True,
        prompts_list_changed=True,
        resources_list_changed=True,
    )
    async with listening as changes:
        await client.call_tool("change")
        with trio.fail_after(20):
            told = {await anext(changes) for _ in range(5)}
    assert told == {
        ResourceUpdated("notes://all"),
        ResourceUpdated("notes://5"),
        ResourcesListChanged(),
        ToolsListChanged(),
        PromptsListChanged(),
    }


#: What tells of changes, in both eras.
CHANGES = {
    "notifications/resources/updated",
    "notifications/resources/list_changed",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
}


@EVERY_REVISION
async def test_conversation(revision: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each method that we implement, its answers, its notifications, and the questions."""
    judge = Judge()
    async with connected(judge, revision, **ANSWERS, version="9", logging=hear_log) as client:
        await client.ping()
        await use_tools(client)
        await use_resources(client)
        await use_prompts(client)
        await use_subscriptions(client)
        if revision in ELICITING:
            result = await client.call_tool("ask")
            assert result.content == (TextContent("36"),)
            await client.get_prompt("interview")
        if revision != STATELESS:
            await client.notify_roots_changed()
    assert "a secret" in caplog.text

    assert judge.revision == revision
    # Who adds a method must let it be heard above.
    assert judge.said("client", "request") == set(routed(revision))
    # A subscription that the client leaves is not answered.
    assert judge.said("server", "result") == set(routed(revision)) - {"subscriptions/listen"}
    told = {"notifications/progress", "notifications/message"} | CHANGES
    if revision == STATELESS:
        told.add("notifications/subscriptions/acknowledged")
    assert judge.said("server", "notification") == told
    sent = {"notifications/cancelled"}
    if revision != STATELESS:
        sent |= {"notifications/initialized", "notifications/roots/list_changed"}
    assert judge.said("client", "notification") == sent
    no_such_resource = -32602 if revision == STATELESS else -32002
    assert judge.said("server", "error") == {-32602, -32603, no_such_resource}
    assert judge.said("client", "error") == set()
    assert_asked(judge, revision)


def assert_asked(judge: Judge, revision: str) -> None:
    """The questions went the way of their era."""
    asked = {"elicitation/create"} if revision in ELICITING else set()
    if revision == STATELESS:
        assert judge.said("server", "input") == asked
        rounds = [
            each for side, kind, each in judge.heard if (side, kind) == ("server", "questions")
        ]
        assert rounds == ["tools/call", "tools/call", "prompts/get"]
        assert judge.said("server", "request") == judge.said("client", "result") == set()
    else:
        assert judge.said("server", "input") == set()
        assert judge.said("server", "request") == judge.said("client", "result") == asked


async def test_end_of_a_subscription() -> None:
    """The server goes: the answer of the subscription, and its cancellation."""
    judge = Judge()
    server = create_server()
    async with (
        server.application(signals=False),
        connected(judge, STATELESS, server) as client,
        client.listen(resources=["notes://all"]) as changes,
    ):
        server.shutdown(grace=1)
        with trio.fail_after(20), pytest.raises(StopAsyncIteration):
            await anext(changes)
    assert judge.heard[-4:] == [
        ("client", "request", "subscriptions/listen"),
        ("server", "notification", "notifications/subscriptions/acknowledged"),
        ("server", "result", "subscriptions/listen"),
        ("server", "notification", "notifications/cancelled"),
    ]


@pytest.mark.parametrize("given", [None, ElicitResult("cancel")], ids=["declined", "dismissed"])
@pytest.mark.parametrize("revision", ELICITING)
async def test_refused_answers(revision: str, given: ElicitResult | None) -> None:
    judge = Judge()

    async def answer(question: ElicitRequestFormParams) -> ElicitResult | None:
        return given

    async with connected(judge, revision, elicitation=answer) as client:
        assert (await client.call_tool("ask")).is_error
    assert judge.revision == revision


@EVERY_REVISION
async def test_client_that_cannot_ask(revision: str) -> None:
    judge = Judge()
    async with connected(judge, revision) as client:
        with pytest.raises(RequestError):
            await client.call_tool("ask")
    assert judge.said("server", "error") == {-32021 if revision == STATELESS else -32600}


async def test_automatic_choice() -> None:
    judge = Judge()
    async with connected(judge, None) as client:
        assert client.revision == STATELESS
    assert judge.heard == [
        ("client", "request", "server/discover"),
        ("server", "result", "server/discover"),
    ]


# -- our client alone -------------------------------------------------------------------------


class Line:
    """The far end of a connection, to read and write by hand."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._rest = b""

    async def send(self, message: Wire | bytes) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        await self._stream.send_all(data + b"\n")

    async def receive(self) -> Wire:
        while b"\n" not in self._rest:
            data = await self._stream.receive_some()
            assert data, "the connection has ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        message: Wire = json.loads(line)
        return message


def request(identity: int, method: str, params: Wire | None = None) -> Wire:
    message: Wire = {"jsonrpc": "2.0", "id": identity, "method": method}
    return message if params is None else message | {"params": params}


def reply(call: Wire, result: Wire) -> Wire:
    return {"jsonrpc": "2.0", "id": call["id"], "result": result}


#: What a server may ask, from the revision on that has it.
QUESTIONS: list[tuple[str, str, Wire]] = [
    ("2024-11-05", "roots/list", {}),
    (
        "2024-11-05",
        "sampling/createMessage",
        {
            "messages": [{"role": "user", "content": {"type": "text", "text": "Hello?"}}],
            "maxTokens": 10,
        },
    ),
    (
        "2025-06-18",
        "elicitation/create",
        {
            "message": "Go on?",
            "requestedSchema": {
                "type": "object",
                "properties": {"ok": {"type": "boolean"}},
                "required": ["ok"],
            },
        },
    ),
    (
        "2025-11-25",
        "elicitation/create",
        {"mode": "url", "message": "Sign in", "url": "https://example.com/"},
    ),
]


@pytest.mark.parametrize("chosen", HANDSHAKE_PROTOCOL_VERSIONS)
async def test_client_finds_an_older_server(chosen: str) -> None:
    """`server/discover`, then `initialize`; and what the client answers to requests."""
    judge = Judge()
    near, far = trio.testing.memory_stream_pair()
    line = Line(far)
    served = trio.Event()
    questions = [
        # The id is of 2025-11-25 only.
        (method, params | ({"elicitationId": "1"} if "url" in params else {}))
        for since, method, params in QUESTIONS
        if since <= chosen
    ]
    asked = [("ping", {}), *questions, ("no/such/method", {})]

    async def serve() -> None:
        probe = await line.receive()
        error = {"code": -32601, "message": "Method not found"}
        await line.send({"jsonrpc": "2.0", "id": probe["id"], "error": error})
        handshake = await line.receive()
        server = {"name": "old", "version": "0"}
        result = {"protocolVersion": chosen, "capabilities": {}, "serverInfo": server}
        await line.send(reply(handshake, result))
        assert (await line.receive())["method"] == "notifications/initialized"
        judge.revision = chosen
        for number, (method, params) in enumerate(asked):
            judge.expect("server", number, method)
            await line.send(request(number, method, params))
            assert (await line.receive())["id"] == number
        served.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            tap = Tap(near, lambda data: judge.hear("client", data))
            async with open_stream_client(tap, **ANSWERS) as client:
                assert client.revision == chosen
                await served.wait()
    assert judge.heard == [
        ("client", "request", "server/discover"),
        ("client", "request", "initialize"),
        ("client", "notification", "notifications/initialized"),
        *[("client", "result", method) for method, _ in asked[:-1]],
        ("client", "error", -32601),
    ]


#: The least that a server may answer to `server/discover`.
DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": [STATELESS],
    "capabilities": {"tools": {}},
    "ttlMs": 0,
    "cacheScope": "private",
}


async def test_client_answers_between_two_rounds() -> None:
    """Every kind of question at once, in one result of the stateless era."""
    judge = Judge()
    near, far = trio.testing.memory_stream_pair()
    line = Line(far)
    questions = {
        f"q{number}": {"method": method, "params": params}
        for number, (_, method, params) in enumerate(QUESTIONS)
    }
    answers: Wire = {}

    async def serve() -> None:
        await line.send(reply(await line.receive(), DISCOVERED))
        first = await line.receive()
        asking = {
            "resultType": "input_required",
            "inputRequests": questions,
            "requestState": "state",
        }
        await line.send(reply(first, asking))
        second = await line.receive()
        assert second["params"]["requestState"] == "state"
        answers.update(second["params"]["inputResponses"])
        await line.send(reply(second, {"resultType": "complete", "content": []}))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            tap = Tap(near, lambda data: judge.hear("client", data))
            async with open_stream_client(tap, **ANSWERS) as client:
                await client.call_tool("anything")
    assert judge.said("client", "request") == {"server/discover", "tools/call"}
    assert answers["q0"] == {"roots": [{"uri": "file:///home/ada", "name": "home"}]}
    assert answers["q1"]["model"] == "a-model"
    assert answers["q2"] == {"action": "accept", "content": {"ok": True}}
    assert answers["q3"] == {"action": "accept"}


# -- our server alone -------------------------------------------------------------------------


@asynccontextmanager
async def served(judge: Judge) -> AsyncIterator[Line]:
    """Our server, for a client made by hand."""
    near, far = trio.testing.memory_stream_pair()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            tap = Tap(far, lambda data: judge.hear("server", data))
            nursery.start_soon(create_server().serve_stream, tap)
            yield Line(near)
            await near.aclose()


#: What no revision takes, and the code of the answer.
BAD_INPUT: list[tuple[bytes | Wire, int]] = [
    (b"{", -32700),
    (b'"text"', -32600),
    ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
    ({"jsonrpc": "1.0", "id": 11, "method": "ping"}, -32600),
    (request(12, "no/such/method"), -32601),
]


@pytest.mark.parametrize("revision", HANDSHAKE_PROTOCOL_VERSIONS)
async def test_server_refuses_in_a_session(revision: str) -> None:
    judge = Judge(revision)
    client = {"name": "hand", "version": "0"}
    hello = {"protocolVersion": revision, "capabilities": {}, "clientInfo": client}
    async with served(judge) as line:
        judge.expect("client", 1, "initialize")
        await line.send(request(1, "initialize", hello))
        assert (await line.receive())["result"]["protocolVersion"] == revision
        for sent, code in [
            *BAD_INPUT,
            (request(13, "initialize", {}), -32602),
            (request(14, "tools/call", {}), -32602),
            (request(15, "tools/call", {"name": "no-such-tool"}), -32602),
            (request(16, "tools/list", {"cursor": "no-such-cursor"}), -32602),
            (request(17, "server/discover"), -32601),
        ]:
            await line.send(sent)
            assert (await line.receive())["error"]["code"] == code, sent
        judge.expect("client", 18, "initialize")
        await line.send(request(18, "initialize", hello))
        assert (await line.receive())["result"]["protocolVersion"] == revision


async def test_server_answers_a_batch() -> None:
    judge = Judge("2025-03-26")
    client = {"name": "hand", "version": "0"}
    hello = {"protocolVersion": judge.revision, "capabilities": {}, "clientInfo": client}
    async with served(judge) as line:
        judge.expect("client", 1, "initialize")
        await line.send(request(1, "initialize", hello))
        await line.receive()
        judge.expect("client", 2, "ping")
        judge.expect("client", 3, "tools/list")
        batch = [request(2, "ping"), request(3, "tools/list"), request(4, "no/such/method")]
        await line.send(json.dumps(batch).encode())
        await line.receive()
    assert {(kind, each) for _, kind, each in judge.heard[1:]} == {
        ("result", "ping"),
        ("result", "tools/list"),
        ("error", -32601),
    }


async def test_server_refuses_without_a_session() -> None:
    judge = Judge(STATELESS)
    terms = {META + "protocolVersion": STATELESS, META + "clientCapabilities": {}}
    async with served(judge) as line:
        for sent, code in [
            *BAD_INPUT[:-1],
            (request(20, "tools/list"), -32602),
            (request(21, "no/such/method", {"_meta": terms}), -32601),
            (request(22, "ping", {"_meta": terms}), -32601),
            (request(23, "tools/list", {"_meta": terms, "cursor": "no-such-cursor"}), -32602),
            (request(24, "tools/call", {"_meta": terms, "name": "ask"}), -32021),
            (request(25, "tools/list", {"_meta": terms | {META + "protocolVersion": "1"}}), -32022),
            (
                request(26, "tools/call", {"_meta": terms, "name": "add", "requestState": "x"}),
                -32602,
            ),
        ]:
            await line.send(sent)
            assert (await line.receive())["error"]["code"] == code, sent
