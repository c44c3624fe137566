"""Sampling and Roots, in both eras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import Context, Limits, RequestError, Server
from trimcp.types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    Root,
    SamplingMessage,
    TextContent,
    Tool,
    ToolChoice,
    ToolResultContent,
    ToolUseContent,
)

from .harness import (
    CAPABILITIES,
    HANDSHAKE,
    STATELESS,
    Facing,
    Line,
    Message,
    both_eras,
    code_of,
    every_handshake,
    every_revision,
    facing,
    failing_to_open,
    request,
    result,
    talking,
    text_of,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

USE = ToolUseContent("call 1", "weather", {"city": "Paris"})
USE_TOO = ToolUseContent("call 2", "weather", {"city": "London"})
DONE = ToolResultContent("call 1", (TextContent("18°C"),))
DONE_TOO = ToolResultContent("call 2", (TextContent("15°C"),))
TEXT = TextContent("Hello")

Conversation = list[tuple[Any, tuple[Any, ...]]]

GOOD: dict[str, Conversation] = {
    "plain": [("user", (TEXT,))],
    "used": [("user", (TEXT,)), ("assistant", (USE,)), ("user", (DONE,))],
    "at once": [("assistant", (USE, USE_TOO)), ("user", (DONE_TOO, DONE)), ("user", (TEXT,))],
    "in turn": [
        ("assistant", (USE,)),
        ("user", (DONE,)),
        ("assistant", (TEXT, USE_TOO)),
        ("user", (DONE_TOO,)),
    ],
}
MIXED: dict[str, Conversation] = {
    "after": [("assistant", (USE,)), ("user", (DONE, TEXT))],
    "before": [("assistant", (USE,)), ("user", (TEXT, DONE))],
}
UNBALANCED: dict[str, Conversation] = {
    "one missing": [("assistant", (USE, USE_TOO)), ("user", (DONE,))],
    "all missing": [("assistant", (USE,)), ("user", (TEXT,))],
    "nothing follows": [("assistant", (USE,))],
    "too late": [("assistant", (USE,)), ("assistant", (TEXT,)), ("user", (DONE,))],
    "of nothing": [("user", (DONE,))],
    "of another": [("assistant", (USE,)), ("user", (DONE_TOO,))],
}
BAD = MIXED | UNBALANCED
with_tools = pytest.mark.parametrize("revision", ["2025-11-25", STATELESS])


def wire_of(conversation: Conversation) -> list[Message]:
    return [
        {"role": role, "content": [wire_of_block(block) for block in blocks]}
        for role, blocks in conversation
    ]


def wire_of_block(block: TextContent | ToolUseContent | ToolResultContent) -> Message:
    if isinstance(block, TextContent):
        return {"type": "text", "text": block.text}
    if isinstance(block, ToolUseContent):
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
    return {"type": "tool_result", "toolUseId": block.tool_use_id, "content": []}


# -- the client -------------------------------------------------------------------------------


async def think(_: CreateMessageRequestParams) -> str:
    return "thought"


def declared_by(to: Facing) -> Message:
    """The client's capabilities."""
    for each in to.greeting:
        if each["method"] == "initialize":
            capabilities: Message = each["params"]["capabilities"]
            return capabilities
    declared: Message = to.greeting[0]["params"]["_meta"][CAPABILITIES]
    return declared


async def asked(to: Facing, revision: str, method: str, params: Message | None) -> Message:
    """What the client answers to a question, in the way of the revision."""
    if revision != STATELESS:
        return await to.line.ask(request("q", method, params))
    call = to.start(to.client.call_tool, "x")
    question = {"method": method} | ({} if params is None else {"params": params})
    body = {"resultType": "input_required", "inputRequests": {"k": question}}
    await to.line.send(result(await to.line.receive(), body))
    with trio.move_on_after(0.001):
        again = await to.line.receive()
        await to.line.send(result(again, {"content": []}))
        await call.get()
        return {"result": again["params"]["inputResponses"]["k"]}
    return {"error": {"code": None, "message": str(call.failure)}}


@every_revision
async def test_what_the_client_declares(revision: str, autojump_clock: MockClock) -> None:
    """SAMP-01, SAMP-02, ROOT-01: what it has callbacks for."""
    pinned: dict[str, Any] = {} if revision == STATELESS else {"revision": revision}
    async with facing(revision, **pinned) as to:
        assert declared_by(to) == {}
    async with facing(revision, sampling=think, roots=["/projects/one"], **pinned) as to:
        assert declared_by(to).keys() == {"sampling", "roots"}
        assert declared_by(to)["sampling"] == {}
    if revision in ("2025-11-25", STATELESS):
        async with facing(revision, sampling=think, sampling_tools=True, **pinned) as to:
            assert declared_by(to) == {"sampling": {"tools": {}}}


@every_handshake
async def test_what_the_client_cannot_do(revision: str, autojump_clock: MockClock) -> None:
    """SAMP-04, ROOT-03: is a method that it does not have."""
    async with facing(revision) as to:
        params = {"messages": [], "maxTokens": 5}
        assert code_of(await asked(to, revision, "sampling/createMessage", params)) == -32601
        assert code_of(await asked(to, revision, "roots/list", None)) == -32601


@every_handshake
async def test_callbacks_that_fail(revision: str, autojump_clock: MockClock) -> None:
    """SAMP-04, ROOT-03: the user's refusal is said as such, a crash without its words."""

    async def refuse(_: Any) -> str:
        raise RequestError(-1, "User rejected sampling request")

    async def crash() -> list[str]:
        raise ZeroDivisionError("secret")

    async with facing(revision, sampling=refuse, roots=crash) as to:
        params = {"messages": [], "maxTokens": 5}
        refused = await asked(to, revision, "sampling/createMessage", params)
        assert refused["error"] == {"code": -1, "message": "User rejected sampling request"}
        crashed = await asked(to, revision, "roots/list", None)
        assert code_of(crashed) == -32603
        assert "secret" not in str(crashed)


@pytest.mark.parametrize("extra", [{"tools": []}, {"toolChoice": {"mode": "auto"}}], ids=repr)
@with_tools
async def test_tools_that_were_not_declared(
    revision: str, extra: Message, autojump_clock: MockClock
) -> None:
    """SAMP-05: a client without tools refuses them, a client with them does not."""
    params = {"messages": [], "maxTokens": 5, **extra}
    async with facing(revision, sampling=think) as to:
        refused = await asked(to, revision, "sampling/createMessage", params)
        assert code_of(refused) == (None if revision == STATELESS else -32602)
        assert "tools" in refused["error"]["message"]
    async with facing(revision, sampling=think, sampling_tools=True) as to:
        assert "result" in await asked(to, revision, "sampling/createMessage", params)


@pytest.mark.parametrize("name", [*GOOD, *BAD])
@with_tools
async def test_the_client_checks_conversations(
    revision: str, name: str, autojump_clock: MockClock
) -> None:
    """SAMP-06, SAMP-07, SAMP-08: results stand alone, and answer the uses before them."""
    params = {"messages": wire_of((GOOD | BAD)[name]), "maxTokens": 5}
    async with facing(revision, sampling=think, sampling_tools=True) as to:
        answered = await asked(to, revision, "sampling/createMessage", params)
        assert ("result" in answered) is (name in GOOD)
        if name in BAD and revision != STATELESS:
            assert code_of(answered) == -32602


MALFORMED: list[Message] = [
    {"maxTokens": 5},
    {"messages": [], "maxTokens": "5"},
    {"messages": []},
    {"messages": [{"role": "system", "content": wire_of_block(TEXT)}], "maxTokens": 5},
    {"messages": [{"content": wire_of_block(TEXT)}], "maxTokens": 5},
    {"messages": [{"role": "user"}], "maxTokens": 5},
    {"messages": [{"role": "user", "content": {"type": "text"}}], "maxTokens": 5},
    {"messages": [{"role": "user", "content": {"type": "odd"}}], "maxTokens": 5},
]


@every_handshake
async def test_the_client_checks_messages(revision: str, autojump_clock: MockClock) -> None:
    """SAMP-10, SAMP-11: the roles, the kinds of content, and what must be there."""
    async with facing(revision, sampling=think) as to:
        for params in MALFORMED:
            answered = await asked(to, revision, "sampling/createMessage", params)
            assert code_of(answered) == -32602, params


@both_eras
async def test_what_the_callback_gets(revision: str, autojump_clock: MockClock) -> None:
    """SAMP-12, SAMP-13: everything that the server said, the bound of the answer among it."""
    seen: list[CreateMessageRequestParams] = []

    async def sample(params: CreateMessageRequestParams) -> CreateMessageResult:
        seen.append(params)
        return CreateMessageResult("assistant", [TEXT], "m", "maxTokens")

    params = {
        "messages": wire_of(GOOD["plain"]),
        "maxTokens": 17,
        "modelPreferences": {"hints": [{"name": "a"}, {"name": "b"}], "costPriority": 0.5},
        "systemPrompt": "Be brief.",
        "stopSequences": ["."],
    }
    async with facing(revision, sampling=sample) as to:
        answered = (await asked(to, revision, "sampling/createMessage", params))["result"]
    assert answered["role"] == "assistant"
    assert answered["model"] == "m"
    assert answered["stopReason"] == "maxTokens"
    [got] = seen
    assert got.max_tokens == 17
    assert got.model_preferences is not None
    assert [hint.name for hint in got.model_preferences.hints or ()] == ["a", "b"]
    assert (got.system_prompt, got.stop_sequences) == ("Be brief.", (".",))


async def test_the_client_is_bounded(autojump_clock: MockClock) -> None:
    """SAMP-09, ELIC-18: more questions than its limit at once are refused."""

    async def hang(_: Any) -> str:
        await trio.sleep_forever()
        return ""

    async with facing("2025-11-25", sampling=hang, limits=Limits(in_flight=3)) as to:
        for number in range(3):
            params = {"messages": [], "maxTokens": 5}
            await to.line.send(request(number, "sampling/createMessage", params))
        refused = await to.line.ask(request(3, "sampling/createMessage", params))
        assert code_of(refused) == -31001


# -- the server -------------------------------------------------------------------------------

CAN: Message = {"sampling": {"tools": {}}, "roots": {}, "elicitation": {}}
WEATHER = Tool("weather", {"type": "object"})


def sampling() -> Server[Any]:
    server = Server[Any]("sampling")

    @server.tool
    async def sample(ctx: Context) -> str:
        answer = await ctx.sample("Hello", max_tokens=17)
        [block] = answer.content
        assert isinstance(block, TextContent)
        return block.text

    @server.tool
    async def converse(name: str, ctx: Context) -> str:
        messages = [SamplingMessage(role, blocks) for role, blocks in (GOOD | BAD)[name]]
        await ctx.sample(messages, tools=[WEATHER])
        return "sampled"

    @server.tool
    async def choose(ctx: Context) -> None:
        await ctx.sample("Hello", tool_choice=ToolChoice("auto"))

    @server.tool
    async def roots(ctx: Context) -> str:
        return " ".join(root.uri for root in await ctx.list_roots())

    return server


async def question(script: Any, tool: str, **arguments: Any) -> tuple[Message, Message]:
    """Call a tool that asks; what to answer to, and the question."""
    message = script.calling(tool, arguments)
    await script.send(message)
    said = await script.receive()
    if script.is_stateless:
        [(key, each)] = said["result"]["inputRequests"].items()
        params = message["params"] | {"requestState": said["result"]["requestState"]}
        params.pop("_meta")
        return {"params": params, "key": key}, each
    return said, said


async def answer(script: Any, to: Message, given: Message) -> Message:
    if script.is_stateless:
        params = to["params"] | {"inputResponses": {to["key"]: given}}
        done: Message = await script.do("tools/call", params)
        return done
    await script.send(result(to, given))
    done = await script.receive()
    return done


REPLY: Message = {"role": "assistant", "content": {"type": "text", "text": "Hi"}, "model": "m"}


@every_revision
async def test_what_the_server_samples(revision: str, autojump_clock: MockClock) -> None:
    """SAMP-10, SAMP-14, SAMP-16: roles and content; no context unless the handler wants it."""
    async with talking(sampling(), revision, CAN) as script:
        to, said = await question(script, "sample")
        assert said["method"] == "sampling/createMessage"
        params = said["params"]
        assert params["maxTokens"] == 17
        [message] = params["messages"]
        assert message["role"] == "user"
        assert "includeContext" not in params
        assert text_of(await answer(script, to, REPLY)) == "Hi"
        # The next question does not remember this one.
        _, again = await question(script, "sample")
        assert again["params"]["messages"] == params["messages"]


@pytest.mark.parametrize("wrong", [{}, {"role": "assistant"}, REPLY | {"role": "x"}], ids=repr)
@both_eras
async def test_the_server_checks_answers(
    revision: str, wrong: Message, autojump_clock: MockClock
) -> None:
    """SAMP-11."""
    async with talking(sampling(), revision, CAN) as script:
        to, _ = await question(script, "sample")
        assert code_of(await answer(script, to, wrong)) == -32602


@pytest.mark.parametrize("name", [*GOOD, *BAD])
@with_tools
async def test_the_server_checks_conversations(
    revision: str, name: str, autojump_clock: MockClock
) -> None:
    """SAMP-06, SAMP-07: what does not balance is not sent; the handler gets an exception."""
    async with talking(sampling(), revision, CAN) as script:
        if name in BAD:
            assert (await script.call("converse", {"name": name}))["result"]["isError"] is True
        else:
            _, said = await question(script, "converse", name=name)
            assert said["method"] == "sampling/createMessage"


@with_tools
async def test_the_server_asks_for_tools_where_there_are_some(
    revision: str, autojump_clock: MockClock
) -> None:
    """SAMP-03: not of a client that has not declared them."""
    async with talking(sampling(), revision, {"sampling": {}}) as script:
        for tool, arguments in (("converse", {"name": "plain"}), ("choose", {})):
            refused = await script.call(tool, arguments)
            assert "with tools" in refused["error"]["message"]


@with_tools
async def test_context_needs_the_capability(revision: str, autojump_clock: MockClock) -> None:
    """SAMP-15: where there is one; `none` asks for nothing."""
    server = Server[Any]("sampling")

    @server.tool
    async def sample(context: Any, ctx: Context) -> None:
        await ctx.sample("Hello", include_context=context)

    async with talking(server, revision, {"sampling": {}}) as script:
        for context in ("thisServer", "allServers"):
            refused = await script.call("sample", {"context": context})
            assert "context" in refused["error"]["message"]
        await question(script, "sample", context="none")
    async with talking(server, revision, {"sampling": {"context": {}}}) as script:
        _, said = await question(script, "sample", context="thisServer")
        assert said["params"]["includeContext"] == "thisServer"
    async with talking(server, "2025-06-18", {"sampling": {}}) as script:
        _, said = await question(script, "sample", context="thisServer")
        assert said["params"]["includeContext"] == "thisServer"


# -- roots ------------------------------------------------------------------------------------


@every_revision
async def test_the_server_asks_for_roots(revision: str, autojump_clock: MockClock) -> None:
    """ROOT-04, ROOT-06: of a client that has some, each time anew."""
    async with talking(sampling(), revision, CAN) as script:
        for found in ([], ["file:///a"], ["file:///a", "file:///b"], []):
            to, said = await question(script, "roots")
            assert said["method"] == "roots/list"
            done = await answer(script, to, {"roots": [{"uri": uri} for uri in found]})
            texts = done["result"]["content"]
            assert [each["text"] for each in texts] == [" ".join(found)]
        to, _ = await question(script, "roots")
        assert code_of(await answer(script, to, {"roots": [{}]})) == -32602
    async with talking(sampling(), revision) as script:
        refused = await script.call("roots")
        assert code_of(refused) == (-32021 if script.is_stateless else -32600)


@every_revision
async def test_roots_are_files(revision: str, autojump_clock: MockClock) -> None:
    """ROOT-02: paths and URIs of files, whatever the user calls them."""
    path = Path("/projects/a b")
    given = [path, "/projects/two", "file:///projects/three", Root("file:///projects/four", "4")]
    async with facing(revision, roots=given) as to:
        answered = (await asked(to, revision, "roots/list", None))["result"]["roots"]
    assert [each["uri"] for each in answered] == [
        "file:///projects/a%20b",
        "file:///projects/two",
        "file:///projects/three",
        "file:///projects/four",
    ]


@pytest.mark.parametrize("root", ["https://example.com/a", Root("note://one"), "x://y"], ids=str)
async def test_other_roots_are_not_sent(root: Any, autojump_clock: MockClock) -> None:
    """ROOT-02. A list is refused before anything is sent, what a function returns when asked."""
    assert "file://" in str(await failing_to_open(Line.receive, roots=[root]))
    async with facing("2025-11-25", roots=lambda: [root]) as to:
        assert code_of(await asked(to, "2025-11-25", "roots/list", None)) == -32603
    async with facing(STATELESS, roots=lambda: [root]) as to:
        refused = await asked(to, STATELESS, "roots/list", None)
        assert "file://" in refused["error"]["message"]


@pytest.mark.parametrize("revision", HANDSHAKE)
async def test_roots_that_change(revision: str, autojump_clock: MockClock) -> None:
    """ROOT-05: the client says so when its user does, and gives the new ones."""
    roots = ["file:///a"]

    async def current() -> list[str]:
        return roots

    async with facing(revision, roots=current) as to:
        assert declared_by(to)["roots"] == {"listChanged": True}
        roots[:] = ["file:///b"]
        await to.client.notify_roots_changed()
        assert (await to.line.receive())["method"] == "notifications/roots/list_changed"
        answered = await asked(to, revision, "roots/list", None)
        assert answered["result"]["roots"] == [{"uri": "file:///b"}]
