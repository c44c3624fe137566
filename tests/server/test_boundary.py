"""From a handler to bytes: whatever it raises or returns, one answer leaves and harms nobody."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import weakref
from collections.abc import AsyncIterator, Iterator  # noqa: TC003  the server reads them
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.spec.harness import (
    ERAS,
    HANDSHAKE,
    REVISIONS,
    SERVER_INFO,
    STATELESS,
    Script,
    cancelled,
    code_of,
    request,
    talking,
    text_of,
)
from tests.strategies import examples
from trimcp import (
    Context,
    InputRequired,
    Limits,
    RequestError,
    ResourceNotFound,
    Server,
    ToolError,
    open_client,
)
from trimcp.errors import ConnectionLost, MissingCapability, RegistrationError, received_error
from trimcp.protocol import LATEST_HANDSHAKE, Connection, RequestReceived, Role, Terms
from trimcp.runtime._boundary import Failed, ProtocolError, answer_to, contained
from trimcp.types import (
    CallToolResult,
    Completion,
    GetPromptResult,
    Icon,
    ImageContent,
    Implementation,
    PromptMessage,
    ReadResourceResult,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimcp.protocol import Change

both_eras = pytest.mark.parametrize("revision", ERAS)
GENERAL = "The tool failed unexpectedly."


class Odd(BaseException):
    """No `Exception` at all."""


class Unspeakable(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise self


class UnspeakableToolError(ToolError):
    """Meant for the model, and its text cannot be had."""

    def __init__(self) -> None:
        self.text = Unspeakable()  # type: ignore[assignment]


class BareToolError(ToolError):
    """Calls no other `__init__`."""

    def __init__(self, what: object) -> None:
        self.what = what


class BareRequestError(RequestError):
    """Calls no other `__init__`."""

    def __init__(self, what: object) -> None:
        self.what = what


class BareNotFound(ResourceNotFound):
    """Calls no other `__init__`."""

    def __init__(self, what: object) -> None:
        self.what = what


class Word(str):
    """A string of one's own."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another word"


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


class Proxy:
    """Says whatever is asked of it with an error."""

    def __getattr__(self, name: str) -> Any:
        raise Odd(name)


# -- strategies -------------------------------------------------------------------------------

BARE_ERRORS: list[Callable[[], BaseException]] = [
    lambda: ValueError("a secret"),
    lambda: KeyError(),
    lambda: SystemExit(3),
    lambda: GeneratorExit(),
    lambda: StopIteration(1),
    lambda: StopAsyncIteration(),
    lambda: Odd("odd"),
    lambda: Unspeakable(),
    lambda: asyncio.CancelledError(),
    lambda: trio.BrokenResourceError(),
    lambda: trio.ClosedResourceError(),
    lambda: trio.EndOfChannel(),
    lambda: trio.TooSlowError(),
    lambda: MemoryError(),
    lambda: RecursionError(),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
    lambda: ConnectionLost("gone"),
    lambda: RegistrationError("no"),
    lambda: ToolError(ValueError("no such row")),  # type: ignore[arg-type]
    lambda: ToolError(5),  # type: ignore[arg-type]
    lambda: ToolError("\ud800"),
    lambda: ToolError(Word("word")),
    lambda: UnspeakableToolError(),
    lambda: BareToolError("bare"),
    lambda: BareToolError(Unspeakable()),
    lambda: BareRequestError("bare"),
    lambda: BareNotFound("bare"),
    lambda: ResourceNotFound(5),  # type: ignore[arg-type]
    lambda: RequestError("code", "message"),  # type: ignore[arg-type]
    lambda: RequestError(7, Unspeakable()),  # type: ignore[arg-type]
    lambda: RequestError(7, "\udfff", object()),
    lambda: RequestError(7, "message", endless()),
    lambda: RequestError(10**30, "huge"),
    lambda: RequestError(True, "not quite a number"),
    lambda: MissingCapability("what", {"sampling": {}}),
    lambda: received_error(-32020, "from elsewhere", None),
]
errors = st.recursive(
    st.sampled_from(BARE_ERRORS).map(lambda make: make()),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(
        lambda found: BaseExceptionGroup("several", found)
    ),
    max_leaves=4,
)

RESULTS: list[Callable[[], Any]] = [
    object,
    lambda: object,
    endless,
    lambda: "\ud800",
    lambda: {"a": "\udfff"},
    lambda: {"\ud800": 1},
    lambda: 10**5000,
    lambda: {1, 2},
    lambda: b"\xff",
    lambda: None,
    lambda: "",
    lambda: [],
    lambda: (),
    lambda: Word("word"),
    lambda: Proxy(),
    lambda: lambda: None,
    lambda: {"a": {"b": object()}},
    lambda: ValueError("returned, not raised"),
    lambda: CallToolResult(content="text"),  # type: ignore[arg-type]
    lambda: CallToolResult([5]),  # type: ignore[list-item]
    lambda: CallToolResult([None]),  # type: ignore[list-item]
    lambda: CallToolResult((), structured_content=object()),
    lambda: CallToolResult((), is_error="yes"),  # type: ignore[arg-type]
    lambda: CallToolResult((), meta=[1]),  # type: ignore[arg-type]
    lambda: CallToolResult((), meta={"a": Proxy()}),
    lambda: CallToolResult([{"type": "text", "text": "x"}]),  # type: ignore[list-item]
    lambda: CallToolResult([{"type": "sound"}]),  # type: ignore[list-item]
    lambda: TextContent("x", annotations={"audience": ["user"]}),  # type: ignore[arg-type]
    lambda: TextContent("x", annotations={"audience": [5]}),  # type: ignore[arg-type]
    lambda: TextContent(5),  # type: ignore[arg-type]
    lambda: ImageContent(b"raw", "image/png"),  # type: ignore[arg-type]
    lambda: GetPromptResult([{"role": "user", "content": {"type": "text", "text": "x"}}]),  # type: ignore[list-item]
    lambda: GetPromptResult([{"role": "nobody", "content": "x"}]),  # type: ignore[list-item]
    lambda: PromptMessage("system", TextContent("x")),  # type: ignore[arg-type]
    lambda: [{"role": "user", "content": "x"}],
    lambda: ReadResourceResult([{"uri": "a:b", "text": "x"}]),  # type: ignore[list-item]
    lambda: ReadResourceResult([{"uri": "a:b"}]),  # type: ignore[list-item]
    lambda: TextResourceContents("a:b", 5),  # type: ignore[arg-type]
    lambda: ReadResourceResult((), ttl_ms="soon"),  # type: ignore[arg-type]
    lambda: Completion([1, None]),  # type: ignore[list-item]
    lambda: Completion((), total="many"),  # type: ignore[arg-type]
    lambda: Tool("t", {}),
    lambda: RequestError(1, "returned, not raised"),
]

KINDS = [
    "tool",
    "sync tool",
    "generator",
    "sync generator",
    "asking tool",
    "resource",
    "prompt",
    "completion",
    "method",
    "middleware",
]


def odd_server(kind: str, error: BaseException | None, result: Any, way: str) -> Server[Any]:
    """A server of which one thing is odd: it raises, or returns what it should not."""
    server: Server[Any] = Server("odd")

    def act() -> Any:
        if error is not None:
            raise error
        return result

    async def act_async() -> Any:
        await trio.lowlevel.checkpoint()
        if way == "nursery":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                acted = act()
                nursery.cancel_scope.cancel()
                return acted
        if way == "cancelled":
            with trio.CancelScope() as scope:
                scope.cancel()
                try:
                    await trio.sleep_forever()
                finally:
                    act()
            return result
        return act()

    async def generator() -> AsyncIterator[Any]:
        yield 1
        yield await act_async()

    def sync_generator() -> Iterator[Any]:
        yield 1
        yield act()

    async def asking(ctx: Context) -> Any:
        return await act_async()

    async def middleware(ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        return await (act_async() if ctx.method == "tools/call" else call_next())

    tools = {"sync tool": act, "generator": generator, "sync generator": sync_generator}
    server.tool(name="odd")(tools.get(kind, asking if kind == "asking tool" else act_async))
    server.resource("odd://one")(act_async)
    server.prompt(name="odd")(act_async)
    server.method("com.example/odd")(act_async)

    @server.prompt(name="completed")
    async def completed(word: str) -> str:
        return word

    @server.completion("word", prompt="completed")
    async def complete(value: str) -> Any:
        return await act_async()

    @server.tool(name="sibling")
    async def sibling() -> str:
        await trio.testing.wait_all_tasks_blocked()
        return "well"

    if kind == "middleware":
        server.middleware(middleware)
    return server


def asked_for(kind: str) -> tuple[str, dict[str, Any]]:
    if kind == "resource":
        return "resources/read", {"uri": "odd://one"}
    if kind == "prompt":
        return "prompts/get", {"name": "odd"}
    if kind == "completion":
        ref = {"type": "ref/prompt", "name": "completed"}
        return "completion/complete", {"ref": ref, "argument": {"name": "word", "value": ""}}
    if kind == "method":
        return "com.example/odd", {}
    return "tools/call", {"name": "odd"}


async def converse(server: Server[Any], revision: str, kind: str) -> dict[str, Any]:
    """Ask for what is odd beside a sibling; exactly one answer to each comes, and to a ping."""
    async with talking(server, revision, {"elicitation": {}}) as script:
        sibling = script.calling("sibling")
        odd = script.message(*asked_for(kind))
        await script.send(sibling, odd)
        answers = [await script.receive(), await script.receive()]
        by_id = {answer["id"]: answer for answer in answers}
        assert by_id.keys() == {sibling["id"], odd["id"]}
        if kind != "middleware":
            assert text_of(by_id[sibling["id"]]) == "well"
        await script.expect_silence()
    answer: dict[str, Any] = by_id[odd["id"]]
    assert ("result" in answer) != ("error" in answer)
    assert "secret" not in json.dumps(answer)
    return answer


def logged(records: list[logging.LogRecord], error: BaseException) -> bool:
    """Whether an exception is in the log, whole: itself, in a group, or as a cause."""
    found: list[BaseException | None] = [r.exc_info[1] for r in records if r.exc_info]
    seen: set[int] = set()
    while found:
        each = found.pop()
        if each is None or id(each) in seen:
            continue
        if each is error:
            return True
        seen.add(id(each))
        found += [each.__cause__, each.__context__]
        found += each.exceptions if isinstance(each, BaseExceptionGroup) else []
    return False


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record)


def run_odd(kind: str, error: BaseException | None, result: Any, way: str, revision: str) -> Any:
    records = Records()
    logger = logging.getLogger("trimcp.server")
    logger.addHandler(records)
    try:
        server = odd_server(kind, error, result, way)
        # No clock that jumps, since it would not wait for worker threads.
        answer = trio.run(converse, server, revision, kind)
    finally:
        logger.removeHandler(records)
    return answer, records.kept


def unexpected(error: BaseException) -> list[BaseException]:
    """The exceptions in a group that are not meant for the peer."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in unexpected(each)]
    meant = isinstance(error, ToolError | RequestError | ResourceNotFound)
    return [] if meant else [error]


@given(
    kind=st.sampled_from(KINDS),
    error=errors,
    way=st.sampled_from(["bare", "nursery", "cancelled"]),
    revision=st.sampled_from(ERAS),
)
@examples(150)
def test_whatever_is_raised(kind: str, error: BaseException, way: str, revision: str) -> None:
    answer, records = run_odd(kind, error, None, way, revision)
    if "result" in answer:
        assert answer["result"]["isError"] is True
    for leaf in unexpected(error):
        assert logged(records, leaf), records


@given(
    kind=st.sampled_from(KINDS),
    make=st.sampled_from(RESULTS),
    way=st.sampled_from(["bare", "nursery"]),
    revision=st.sampled_from(REVISIONS),
)
@examples(200)
def test_whatever_is_returned(kind: str, make: Callable[[], Any], way: str, revision: str) -> None:
    try:
        result = make()
    except TypeError:
        return  # refused where it is made
    answer, records = run_odd(kind, None, result, way, revision)
    failed = "error" in answer or answer["result"].get("isError") is True
    assert failed == bool(records), (answer, records)


# -- what is meant for the peer ---------------------------------------------------------------


@both_eras
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ToolError(ValueError("no such row")), "no such row"),  # type: ignore[arg-type]
        (lambda: ToolError(5), "5"),  # type: ignore[arg-type]
        (lambda: ToolError("a\ud800"), "a\\ud800"),
        (lambda: BareToolError("bare"), "bare"),
        (lambda: BareRequestError("bare"), "bare"),
        (lambda: BareNotFound("bare"), "bare"),
        (GeneratorExit, GENERAL),
        (UnspeakableToolError, GENERAL),
    ],
)
async def test_a_text_for_the_model(
    revision: str, make: Callable[[], BaseException], text: str, autojump_clock: object
) -> None:
    server: Server[Any] = Server("texts")

    @server.tool
    async def fail() -> None:
        raise make()

    async with talking(server, revision) as script:
        answer = await script.call("fail")
    assert answer["result"]["isError"] is True
    assert text_of(answer) == text


@pytest.mark.parametrize(
    ("code", "stateless"),
    [
        (-32002, -32602),
        (-32042, -32603),
        (-32020, -32603),
        (-32021, -32603),
        (-32022, -32603),
        (-32099, -32603),
        (-32601, -32601),
        (-32000, -32000),
        (4711, 4711),
    ],
)
async def test_codes_of_another_revision_do_not_pass(
    code: int, stateless: int, autojump_clock: object
) -> None:
    """ERR-04, ERR-06, ERR-07: a handler lets through what another server said."""
    server: Server[Any] = Server("proxy")

    @server.tool
    async def forward() -> None:
        raise received_error(code, "from elsewhere", {"requiredCapabilities": {}})

    async with talking(server, STATELESS) as script:
        assert code_of(await script.call("forward")) == stateless
    for revision in HANDSHAKE:
        async with talking(server, revision) as script:
            expected = -32603 if (code, revision != "2025-11-25") == (-32042, True) else code
            assert code_of(await script.call("forward")) == expected, revision


async def test_a_capability_that_a_handler_misses_is_said(autojump_clock: object) -> None:
    server: Server[Any] = Server("missing")

    @server.tool
    async def need() -> None:
        raise MissingCapability("this needs sampling", {"sampling": {}})

    async with talking(server, STATELESS) as script:
        assert code_of(await script.call("need")) == -32021


@both_eras
async def test_the_connection_s_own_meta_is_never_a_handler_s(
    revision: str, autojump_clock: object
) -> None:
    server: Server[Any] = Server("ours", version="1")
    foreign = {
        SERVER_INFO: {"name": "theirs", "version": "2"},
        "io.modelcontextprotocol/subscriptionId": 5,
        "com.example/kept": 1,
    }

    @server.tool
    async def forward() -> CallToolResult:
        return CallToolResult((TextContent("x"),), meta=foreign)

    async with talking(server, revision) as script:
        meta = (await script.call("forward"))["result"]["_meta"]
    ours = {SERVER_INFO: {"name": "ours", "version": "1"}} if revision == STATELESS else {}
    assert meta == {"com.example/kept": 1} | ours


# -- conversion and registration --------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
async def test_mappings_are_converted(revision: str, autojump_clock: object) -> None:
    """As users of other SDKs write them, and with our own names."""
    icon = {"src": "https://example.com/i.png", "mimeType": "image/png", "sizes": ["48x48"]}
    server: Server[Any] = Server("mappings", icons=[icon])  # type: ignore[list-item]

    @server.tool(annotations={"readOnlyHint": True}, icons=[icon])  # type: ignore[arg-type, list-item]
    async def text() -> TextContent:
        return TextContent("x", annotations={"audience": ["user"]})  # type: ignore[arg-type]

    @server.tool(annotations={"read_only_hint": True})  # type: ignore[arg-type]
    async def several() -> CallToolResult:
        return CallToolResult([{"type": "text", "text": "x", "annotations": None}])  # type: ignore[list-item]

    @server.resource("a:b", icons=[icon], annotations={"priority": 1})  # type: ignore[arg-type, list-item]
    async def thing() -> str:
        return "thing"

    @server.prompt(icons=[icon])  # type: ignore[list-item]
    async def greet() -> GetPromptResult:
        return GetPromptResult([{"role": "user", "content": {"type": "text", "text": "x"}}])  # type: ignore[list-item]

    @server.prompt
    async def listed() -> Any:
        return [{"role": "assistant", "content": "y"}, {"type": "text", "text": "z"}]

    [registered, *_] = server.tools
    assert registered.description.annotations == ToolAnnotations(read_only_hint=True)
    assert registered.description.icons == (Icon(icon["src"], "image/png", ("48x48",)),)
    async with talking(server, revision) as script:
        tools = (await script.do("tools/list"))["result"]["tools"]
        if revision > "2024-11-05":
            assert [each["annotations"] for each in tools] == [{"readOnlyHint": True}] * 2
        if revision >= "2025-11-25":
            assert tools[0]["icons"] == [icon]
        content = {"type": "text", "text": "x"}
        audience = {"annotations": {"audience": ["user"]}}
        assert (await script.call("text"))["result"]["content"] == [content | audience]
        assert (await script.call("several"))["result"]["content"] == [content]
        resources = (await script.do("resources/list"))["result"]["resources"]
        assert resources[0]["annotations"] == {"priority": 1}
        greeted = (await script.do("prompts/get", {"name": "greet"}))["result"]["messages"]
        assert greeted == [{"role": "user", "content": content}]
        said = (await script.do("prompts/get", {"name": "listed"}))["result"]["messages"]
        assert [each["role"] for each in said] == ["assistant", "user"]
        assert [each["content"]["text"] for each in said] == ["y", "z"]


def nothing() -> None:
    """Do nothing."""


def of_anything(word: str) -> None:
    """Do nothing."""


REFUSED: list[tuple[str, Any]] = [
    ("title", 5),
    ("title", "\ud800"),
    ("description", 5),
    ("name", 5),
    ("icons", 5),
    ("icons", "abc"),
    ("icons", [5]),
    ("icons", [{"source": "x"}]),
    ("icons", [{"src": "x", "sizes": "48x48"}]),
    ("icons", [Icon(5)]),  # type: ignore[arg-type]
    ("meta", "abc"),
    ("meta", {"a": object()}),
    ("meta", {"a": endless()}),
    ("meta", {"a": [float("nan")]}),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_what_cannot_be_said_is_refused_by_name(field: str, value: Any) -> None:
    server: Server[Any] = Server("refusing")
    register: Any
    for register in (
        server.tool(**{field: value}),
        server.prompt(**{field: value}),
        server.resource("a:b", **{field: value}),
    ):
        with pytest.raises(RegistrationError, match=rf": {field}"):
            register(nothing)
    with pytest.raises(RegistrationError, match=rf": {field}"):
        server.resource("a:{word}", **{field: value})(of_anything)
    assert not (len(server.tools) + len(server.prompts) + len(server.resources.fixed))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("annotations", 5),
        ("annotations", {"readOnly": True}),
        ("annotations", ToolAnnotations(read_only_hint="yes")),  # type: ignore[arg-type]
        ("timeout", "5"),
        ("timeout", -1),
        ("timeout", float("nan")),
        ("input_schema", "abc"),
        ("output_schema", 5),
        ("replay", "yes"),
        ("single_use", 1),
    ],
)
def test_options_of_a_tool_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RegistrationError, match=rf": {field}"):
        Server[Any]("refusing").tool(**{field: value})(nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 1.0),
        ("title", 5),
        ("website_url", 5),
        ("icons", [5]),
        ("instructions", 5),
        ("instructions", "\ud800"),
        ("experimental", {"a": 1}),
        ("extensions", {"com.example/a": {"b": object()}}),
        ("list_ttl_ms", "1"),
        ("list_scope", "everybody"),
    ],
)
def test_what_a_server_cannot_say_is_refused_by_name(field: str, value: Any) -> None:
    options: dict[str, Any] = {field: value}
    with pytest.raises(RegistrationError, match=f"server: {field}"):
        Server[Any]("refusing", **options)


async def test_what_was_registered_cannot_be_changed(autojump_clock: object) -> None:
    meta: dict[str, Any] = {"a": [1]}
    server: Server[Any] = Server("kept")
    server.tool(meta=meta)(nothing)
    meta["a"].append(object())
    async with talking(server, STATELESS) as script:
        [tool] = (await script.do("tools/list"))["result"]["tools"]
    assert tool["_meta"] == {"a": [1]}


# -- who is not harmed ------------------------------------------------------------------------


@both_eras
async def test_a_crash_of_the_server_is_not_raised_in_the_client_s_block(
    revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    server: Server[Any] = Server("crashing")
    server.tool(nothing)
    async with open_client(server, revision=revision) as client:
        [peer] = server.running.peers if server.running is not None else []
        peer._read = None  # type: ignore[method-assign, assignment]
        peer.connection.receive = None  # type: ignore[method-assign, assignment]
        with pytest.raises(ConnectionLost):
            await client.call_tool("nothing")
    assert "a connection in memory failed" in caplog.text


async def test_an_error_beside_a_cancellation_is_logged_and_answered(
    caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    """While the server is shutting down."""
    server: Server[Any] = Server("ending")
    running = trio.Event()

    @server.tool
    async def work() -> None:
        async def fail() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("in the clean-up")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(trio.sleep_forever)
            running.set()

    async with talking(server, STATELESS) as script:
        await script.send(script.calling("work"))
        await running.wait()
        server.shutdown(grace=1)
        answer = await script.receive()
    assert text_of(answer) == GENERAL
    assert "in the clean-up" in caplog.text


@both_eras
async def test_a_clean_up_that_fails_is_logged_though_nobody_is_told(
    revision: str, caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    """Also of a handler that may ask, which has a task of its own."""
    server: Server[Any] = Server("cleaning")

    @server.tool
    async def work(ctx: Context) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the clean-up")

    async with talking(server, revision, {"elicitation": {}}) as script:
        calling = script.calling("work")
        await script.send(calling)
        await trio.testing.wait_all_tasks_blocked()
        await script.send(cancelled(calling["id"]))
        await script.expect_silence()
    assert caplog.text.count("ValueError: in the clean-up") == 1


async def test_a_bus_that_refuses_to_publish_ends_nothing(
    caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    class Broken:
        async def publish(self, change: Change) -> None:
            raise OSError("the bus is down")

        async def run(self, deliver: Any, *, task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            await trio.sleep_forever()

    server: Server[Any] = Server("bus", bus=Broken())
    async with talking(server, STATELESS) as script:
        await script.do("tools/list")
        server.tool(nothing)
        await trio.testing.wait_all_tasks_blocked()
        assert len((await script.do("tools/list"))["result"]["tools"]) == 1
    assert "the bus is down" in caplog.text


@both_eras
async def test_a_notification_s_handler_harms_nobody(
    revision: str, caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    server: Server[Any] = Server("hearing")

    @server.notification("notifications/com.example/odd")
    async def odd() -> None:
        raise Odd("odd")

    async with talking(server, revision) as script:
        await script.send({"jsonrpc": "2.0", "method": "notifications/com.example/odd"})
        await script.expect_silence()
    assert "Odd: odd" in caplog.text


@both_eras
async def test_a_generator_that_breaks_is_not_finished(
    revision: str, autojump_clock: object
) -> None:
    server: Server[Any] = Server("streaming")

    @server.tool
    async def stream() -> AsyncIterator[int]:
        yield 1
        raise trio.BrokenResourceError

    async with talking(server, revision) as script:
        answer = await script.call("stream")
    assert answer["result"]["isError"] is True


@pytest.mark.parametrize("revision", HANDSHAKE)
async def test_a_state_without_a_question_does_not_spin(
    revision: str, autojump_clock: object
) -> None:
    server: Server[Any] = Server("spinning")
    runs = 0

    @server.tool
    async def spin() -> InputRequired:
        nonlocal runs
        runs += 1
        return InputRequired(state=runs)

    @server.tool
    async def later(ctx: Context) -> str | InputRequired:
        count = ctx.request_state or 0
        return "done" if count == 3 else InputRequired(state=count + 1)

    async with talking(server, revision) as script:
        assert text_of(await script.call("spin")) == GENERAL
        assert runs == 20
        assert text_of(await script.call("later")) == "done"


@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {}}])
async def test_a_slot_is_free_when_the_task_has_ended(
    capabilities: dict[str, Any], autojump_clock: object
) -> None:
    """Not when the call was cancelled: a clean-up takes as much room."""
    server: Server[Any] = Server("slow", limits=Limits(in_flight=10))
    cleaning = most = 0

    @server.tool
    async def slow(ctx: Context) -> None:
        nonlocal cleaning, most
        cleaning += 1
        most = max(most, cleaning)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1000)
            cleaning -= 1

    async with talking(server, STATELESS, capabilities) as script:
        refused = 0
        for _ in range(300):
            calling = script.calling("slow")
            await script.send(calling)
            await trio.testing.wait_all_tasks_blocked()
            await script.send(cancelled(calling["id"]))
            await trio.testing.wait_all_tasks_blocked()
        for _ in range(290):
            refused += code_of(await script.receive()) == -31001
        assert (most, refused) == (10, 290)
        await trio.sleep(2000)
        assert cleaning == 0
        await script.do("tools/list")


# -- batches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["serving", "draining", "full"])
async def test_a_batch_that_gives_up_its_own_request(state: str, autojump_clock: object) -> None:
    server: Server[Any] = Server("batches", limits=Limits(in_flight=2 if state == "full" else 9))

    @server.tool
    async def slow() -> str:
        await trio.sleep(3)
        return "slow"

    async with talking(server, "2025-03-26") as script:
        await script.send(script.calling("slow"))
        await trio.testing.wait_all_tasks_blocked()
        if state == "draining":
            server.shutdown(grace=10)
        await script.send([request(2, "ping"), cancelled(2)])
        assert text_of(await script.receive()) == "slow"
        if state != "draining":
            await script.expect_silence()


# -- nothing is left behind -------------------------------------------------------------------


class Kept:
    """Something that a handler holds."""


HOW = ["raise", "raise a group", "tool error", "return", "stream", "cancel", "unwritable"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {}}], ids=["round", "own task"])
@both_eras
async def test_no_cycle_keeps_what_a_handler_held(
    revision: str, capabilities: dict[str, Any], how: str, autojump_clock: object
) -> None:
    server: Server[Any] = Server("kept")
    alive: weakref.WeakSet[Kept] = weakref.WeakSet()

    async def act(kept: Kept) -> Any:
        if how == "raise":
            raise ValueError("no")
        if how == "raise a group":
            async with trio.open_nursery():
                raise ValueError("no")
        if how == "tool error":
            raise ToolError("no")
        if how == "cancel":
            await trio.sleep_forever()
        return object() if how == "unwritable" else "done"

    @server.tool
    async def work(ctx: Context) -> Any:
        kept = Kept()
        alive.add(kept)
        return await act(kept)

    @server.tool
    async def stream() -> AsyncIterator[Any]:
        kept = Kept()
        alive.add(kept)
        yield 1
        raise ValueError("no")

    logging.getLogger("trimcp.server").disabled = True  # pytest keeps what is logged
    try:
        async with talking(server, revision, capabilities) as script:
            await script.call("work" if how not in ("cancel", "stream") else "stream")
            gc.collect()
            gc.disable()
            alive.clear()
            for _ in range(10):
                calling = script.calling("stream" if how == "stream" else "work")
                await script.send(calling)
                if how == "cancel":
                    await trio.testing.wait_all_tasks_blocked()
                    await script.send(cancelled(calling["id"]))
                    await trio.testing.wait_all_tasks_blocked()
                else:
                    await script.receive()
            await trio.testing.wait_all_tasks_blocked()
            assert len(alive) == 0
    finally:
        gc.enable()
        logging.getLogger("trimcp.server").disabled = False


@pytest.mark.parametrize("how", ["raise", "raise a group", "tool error", "return", "unwritable"])
@both_eras
async def test_no_cycle_keeps_what_a_function_in_a_thread_held(revision: str, how: str) -> None:
    server: Server[Any] = Server("kept")
    alive: weakref.WeakSet[Kept] = weakref.WeakSet()

    @server.tool
    def work() -> Any:
        kept = Kept()
        alive.add(kept)
        if how == "raise":
            raise ValueError("no")
        if how == "raise a group":
            raise ExceptionGroup("no", [ValueError("no")])
        if how == "tool error":
            raise ToolError("no")
        return object() if how == "unwritable" else "done"

    logging.getLogger("trimcp.server").disabled = True  # pytest keeps what is logged
    try:
        async with talking(server, revision, {}) as script:
            await script.call("work")
            gc.collect()
            gc.disable()
            for _ in range(10):
                await script.call("work")
            await trio.testing.wait_all_tasks_blocked()
            assert len(alive) == 0
    finally:
        gc.enable()
        logging.getLogger("trimcp.server").disabled = False


@pytest.mark.parametrize("how", ["raise", "cancel"])
async def test_no_cycle_keeps_what_nobody_waits_for(how: str) -> None:
    alive: weakref.WeakSet[Kept] = weakref.WeakSet()

    async def work() -> None:
        kept = Kept()
        alive.add(kept)
        if how == "raise":
            raise ValueError("no")
        await trio.sleep_forever()

    logging.getLogger("trimcp.server").disabled = True  # pytest keeps what is logged
    gc.collect()
    gc.disable()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(contained, "it", work)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert len(alive) == 0
    finally:
        gc.enable()
        logging.getLogger("trimcp.server").disabled = False


async def test_no_cycle_keeps_a_parked_handler(autojump_clock: object) -> None:
    server: Server[Any] = Server("parked", limits=Limits(parked_seconds=50))
    alive: weakref.WeakSet[Kept] = weakref.WeakSet()

    @server.tool
    async def work(ctx: Context) -> Any:
        kept = Kept()
        alive.add(kept)
        await ctx.list_roots()
        raise ToolError("no")

    async with talking(server, STATELESS, {"roots": {}}) as script:
        gc.collect()
        gc.disable()
        try:
            await ask_and_answer(script)
            await script.call("work")  # never answered
            assert len(alive) == 1
            await trio.sleep(100)
            await trio.testing.wait_all_tasks_blocked()
            assert len(alive) == 0
        finally:
            gc.enable()


async def ask_and_answer(script: Script) -> None:
    asked = (await script.call("work"))["result"]
    [key] = asked["inputRequests"]
    params = {
        "name": "work",
        "arguments": {},
        "requestState": asked["requestState"],
        "inputResponses": {key: {"roots": []}},
    }
    assert text_of(await script.do("tools/call", params)) == "no"


@pytest.mark.parametrize(
    ("error", "by_handler"),
    [
        (RequestError(-32002, "no"), True),
        (ProtocolError(-32002, "no"), False),
        (ValueError("no"), False),
    ],
)
def test_whose_error_code_it_is(error: Exception, by_handler: bool) -> None:
    """Over HTTP only the codes of the protocol have a status of their own."""
    connection = Connection(Role.SERVER, Implementation("server", "1"), Limits())
    connection.assume(Terms(LATEST_HANDSHAKE))
    wire = {"jsonrpc": "2.0", "id": 1, "method": "resources/read"}
    [event] = connection.receive(json.dumps(wire).encode())
    assert isinstance(event, RequestReceived)
    assert answer_to(event.exchange, Failed(error)) is not None
    assert event.exchange.by_handler is by_handler
