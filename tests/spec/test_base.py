"""Overview: messages and `_meta`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import Context, ProtocolViolation, RequestError, Server

from .harness import (
    CAPABILITIES,
    CLIENT_INFO,
    SERVER_INFO,
    STATELESS,
    VERSION,
    Message,
    Sure,
    both_eras,
    code_of,
    error,
    every_handshake,
    every_revision,
    facing,
    notification,
    request,
    result,
    talking,
    text_of,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


def example() -> Server[Any]:
    server = Server[Any]("example", version="3")

    @server.tool
    async def echo(text: str) -> str:
        return text

    @server.tool
    async def ask(ctx: Context) -> str:
        answer = await ctx.elicit("Sure?", Sure)
        return str(answer.sure)

    @server.prompt
    async def review(code: str, lines: int) -> str:
        return code * lines

    return server


# -- ids --------------------------------------------------------------------------------------


@every_revision
async def test_ids_of_the_client(revision: str, autojump_clock: MockClock) -> None:
    """BASE-02, BASE-03, BASE-04, BASE-05: strings or integers, each used once."""
    async with facing(revision) as to:
        used = [message["id"] for message in to.greeting if "id" in message]
        for turn in range(10):
            call = to.start(to.client.call_tool, "echo", {"turn": turn})
            asked = await to.line.receive()
            used.append(asked["id"])
            # Whatever the answer was, the id is not taken again.
            await to.line.send(error(asked, -32603) if turn % 2 else result(asked, {"content": []}))
            await (call.fails(RequestError) if turn % 2 else call.get())
    assert all(type(each) in (int, str) for each in used)
    assert len(set(used)) == len(used) >= 11


@every_revision
async def test_ids_of_the_client_at_once(revision: str, autojump_clock: MockClock) -> None:
    """BASE-05: requests that have no answer yet have ids of their own."""
    async with facing(revision) as to:
        calls = [to.start(to.client.call_tool, "echo") for _ in range(5)]
        asked = [await to.line.receive() for _ in calls]
        assert len({each["id"] for each in asked}) == 5
        for each in reversed(asked):
            text = {"type": "text", "text": str(each["id"])}
            await to.line.send(result(each, {"content": [text]}))
        got = [(await call.get()).content[0].text for call in calls]
        assert sorted(got) == sorted(str(each["id"]) for each in asked)


async def test_ids_of_the_server(autojump_clock: MockClock) -> None:
    """BASE-02, BASE-03, BASE-04: of its questions."""
    async with talking(example(), "2025-11-25", {"elicitation": {}}) as script:
        used = []
        for _ in range(5):
            await script.send(script.calling("ask"))
            question = await script.receive()
            used.append(question["id"])
            await script.send(result(question, {"action": "accept", "content": {"sure": True}}))
            await script.receive()
    assert all(type(each) in (int, str) for each in used)
    assert len(set(used)) == 5


@pytest.mark.parametrize("identity", [None, True, 1.5, [1], {"id": 1}], ids=repr)
@both_eras
async def test_other_ids_are_refused(
    revision: str, identity: Any, autojump_clock: MockClock
) -> None:
    """BASE-02, BASE-03: neither null nor anything but a string or an integer."""
    async with talking(example(), revision) as script:
        bad = script.calling("echo", {"text": "no"}) | {"id": identity}
        await script.send(bad)
        answer = await script.receive()
        assert code_of(answer) == -32600
        assert answer.get("id") is None
        assert text_of(await script.call("echo", {"text": "yes"})) == "yes"


@pytest.mark.parametrize("identity", [0, -7, 2**53 - 1, "", "a", "\n☃"], ids=repr)
@both_eras
async def test_answers_have_the_id_of_the_request(
    revision: str, identity: Any, autojump_clock: MockClock
) -> None:
    """BASE-06: of a result and of an error alike."""
    async with talking(example(), revision) as script:
        for tool in ("echo", "nothing"):
            await script.send(script.calling(tool, {"text": ""}) | {"id": identity})
            answer = await script.receive()
            assert answer["id"] == identity
            assert type(answer["id"]) is type(identity)


@every_revision
async def test_a_request_that_cannot_be_read(revision: str, autojump_clock: MockClock) -> None:
    """BASE-06: the id is missing, or null, only where it could not be read."""
    async with talking(example(), revision) as script:
        await script.send_bytes(b"{]\n")
        answer = await script.receive()
        assert code_of(answer) == -32700
        assert answer.get("id") is None
        await script.send({"jsonrpc": "1.0", "id": 5, "method": "ping"})
        answer = await script.receive()
        assert (code_of(answer), answer["id"]) == (-32600, 5)


# -- the shape of messages --------------------------------------------------------------------


def is_json_rpc(message: Message) -> bool:
    """Whether it is a request, a notification, a result or an error, and nothing besides."""
    keys = set(message) - {"params"}
    kinds = [
        {"jsonrpc", "id", "method"},
        {"jsonrpc", "method"},
        {"jsonrpc", "id", "result"},
        {"jsonrpc", "id", "error"},
        {"jsonrpc", "error"},
    ]
    return message["jsonrpc"] == "2.0" and keys in kinds


@every_revision
async def test_what_the_server_says(revision: str, autojump_clock: MockClock) -> None:
    """BASE-01, BASE-07, BASE-08, BASE-09, BASE-10, BASE-11: of all kinds."""
    server = example()

    @server.tool
    async def tell(ctx: Context) -> None:
        await ctx.report_progress(1)
        await ctx.info("said")

    async with talking(server, revision) as script:
        meta: dict[str, Any] = {"progressToken": "t"}
        if script.is_stateless:
            meta["io.modelcontextprotocol/logLevel"] = "debug"
        await script.send(script.calling("tell", **meta))
        said = [await script.receive() for _ in range(3)]
        said.append(await script.call("nothing"))
        said.append(await script.do("no/such/method"))
        await script.send_bytes(b"nonsense\n")
        said.append(await script.receive())
    assert [message.get("method") for message in said[:2]] == [
        "notifications/progress",
        "notifications/message",
    ]
    assert "id" not in said[0] | said[1]
    assert "result" in said[2]
    for message in said:
        assert is_json_rpc(message), message
    for message in said[3:]:
        assert type(message["error"]["code"]) is int
        assert type(message["error"]["message"]) is str


@every_revision
async def test_what_the_client_says(revision: str, autojump_clock: MockClock) -> None:
    """BASE-01, BASE-11: requests and notifications."""
    async with facing(revision) as to:
        call = to.start(to.client.call_tool, "echo", {"text": "x"}, timeout=5)
        said = [*to.greeting, await to.line.receive()]
        await call.fails(TimeoutError)
        said.append(await to.line.receive())
    assert said[-1]["method"] == "notifications/cancelled"
    assert "id" not in said[-1]
    for message in said:
        assert is_json_rpc(message), message


@every_handshake
async def test_what_the_client_answers(revision: str, autojump_clock: MockClock) -> None:
    """BASE-01, BASE-06, BASE-07, BASE-08, BASE-09, BASE-10: results and errors."""
    async with facing(revision) as to:
        pong = await to.line.ask(request("a", "ping"))
        flaw = await to.line.ask(request(0, "no/such/method"))
    assert is_json_rpc(pong)
    assert pong["result"] == {}
    assert is_json_rpc(flaw)
    assert type(code_of(flaw)) is int
    assert type(flaw["error"]["message"]) is str


@pytest.mark.parametrize(
    "message",
    [
        notification("notifications/initialized"),
        notification("notifications/unheard-of", {"a": 1}),
        notification("notifications/cancelled", {"requestId": 5}),
        notification("notifications/cancelled", {"requestId": {}}),
        notification("notifications/progress", {"progressToken": 1}),
        notification("tools/call", {"name": "echo", "arguments": {"text": ""}}),
    ],
    ids=lambda message: message["method"],
)
@both_eras
async def test_notifications_are_not_answered(
    revision: str, message: Message, autojump_clock: MockClock
) -> None:
    """BASE-12: known, unknown or malformed."""
    async with talking(example(), revision) as script:
        await script.send(message)
        await script.expect_silence()
    async with facing(revision) as to:
        await to.line.send(message)
        call = to.start(to.client.call_tool, "echo")
        assert (await to.line.receive())["method"] == "tools/call"
        assert not call.done.is_set()


@both_eras
async def test_error_messages_are_one_sentence(revision: str, autojump_clock: MockClock) -> None:
    """BASE-26: one line without a full stop in the middle, for each kind of our own errors."""
    async with talking(example(), revision) as script:
        answers = [
            await script.do("no/such/method"),
            await script.call("nothing"),
            await script.do("tools/call", {"name": 5}),
            await script.do("prompts/get", {"name": "review", "arguments": {"x": "", "lines": ""}}),
            await script.do("resources/read", {"uri": "none://"}),
            await script.do("tools/list", {"cursor": "?"}),
            await script.call("ask"),
        ]
    for answer in answers:
        message = answer["error"]["message"]
        assert "\n" not in message
        assert not re.search(r"\.\s", message), message
        assert len(message) < 250


# -- result types -----------------------------------------------------------------------------


async def test_results_say_their_type(autojump_clock: MockClock) -> None:
    """BASE-13: every method's result."""
    server = example()

    @server.completion("code", prompt="review")
    async def suggest(value: str) -> list[str]:
        return [value]

    @server.resource("note://one")
    async def note() -> str:
        return "one"

    reference = {"ref": {"type": "ref/prompt", "name": "review"}}
    async with talking(server, STATELESS) as script:
        answers = [
            await script.do("server/discover"),
            await script.do("tools/list"),
            await script.do("prompts/list"),
            await script.do("resources/list"),
            await script.do("resources/templates/list"),
            await script.do("resources/read", {"uri": "note://one"}),
            await script.do(
                "prompts/get", {"name": "review", "arguments": {"code": "x", "lines": "1"}}
            ),
            await script.do(
                "completion/complete", reference | {"argument": {"name": "code", "value": ""}}
            ),
            await script.call("echo", {"text": ""}),
            await script.call("echo", {"text": 5}),
        ]
        script.capabilities = {"elicitation": {}}
        question = await script.call("ask")
    assert [answer["result"]["resultType"] for answer in answers] == ["complete"] * 10
    assert question["result"]["resultType"] == "input_required"


VERBS: dict[str, tuple[tuple[Any, ...], Message]] = {
    "call_tool": (("echo",), {"content": []}),
    "get_prompt": (("review",), {"messages": []}),
    "read_resource": (("note://one",), {"contents": []}),
    "list_tools": ((), {"tools": []}),
    "list_prompts": ((), {"prompts": []}),
    "list_resources": ((), {"resources": []}),
    "list_resource_templates": ((), {"resourceTemplates": []}),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_unknown_result_types_are_invalid(verb: str, autojump_clock: MockClock) -> None:
    """BASE-14, BASE-16: there are the two of the core protocol, and no extension brings more."""
    arguments, answer = VERBS[verb]
    async with facing(STATELESS) as to:
        call = to.start(getattr(to.client, verb), *arguments)
        await to.line.send(result(await to.line.receive(), answer | {"resultType": "partial"}))
        assert "partial" in str(await call.fails(ProtocolViolation))


async def test_an_unknown_type_of_a_completion(autojump_clock: MockClock) -> None:
    """BASE-14."""
    async with facing(STATELESS) as to:
        call = to.start(to.client.complete, "code", prompt="review")
        answer = {"completion": {"values": []}, "resultType": "partial"}
        await to.line.send(result(await to.line.receive(), answer))
        await call.fails(ProtocolViolation)


@pytest.mark.parametrize("verb", VERBS)
async def test_an_absent_type_is_complete(verb: str, autojump_clock: MockClock) -> None:
    """BASE-15."""
    arguments, answer = VERBS[verb]
    async with facing(STATELESS) as to:
        call = to.start(getattr(to.client, verb), *arguments)
        await to.line.send(result(await to.line.receive(), answer))
        await call.get()


# -- `_meta` ----------------------------------------------------------------------------------


async def test_every_request_of_the_client_brings_its_terms(autojump_clock: MockClock) -> None:
    """BASE-17, BASE-18: revision, capabilities, and who is asking."""
    async with facing(STATELESS, name="mine", version="7") as to:
        said = list(to.greeting)
        for verb, (arguments, answer) in VERBS.items():
            call = to.start(getattr(to.client, verb), *arguments)
            said.append(await to.line.receive())
            await to.line.send(result(said[-1], answer))
            await call.get()
        call = to.start(to.client.request, "x/y", {"a": 1})
        said.append(await to.line.receive())
    assert len(said) == 2 + len(VERBS)
    for message in said:
        meta = message["params"]["_meta"]
        assert meta[VERSION] == STATELESS
        assert meta[CAPABILITIES] == {}
        assert meta[CLIENT_INFO]["name"] == "mine"
        assert meta[CLIENT_INFO]["version"] == "7"


@pytest.mark.parametrize("missing", [VERSION, CAPABILITIES])
@pytest.mark.parametrize("method", ["server/discover", "tools/list", "tools/call", "x/y"])
async def test_a_request_without_its_terms_is_refused(
    method: str, missing: str, autojump_clock: MockClock
) -> None:
    """BASE-19."""
    async with talking(example(), STATELESS) as script:
        params = {"name": "echo", "arguments": {"text": ""}} if method == "tools/call" else {}
        assert code_of(await script.do(method, params, **{missing: None})) == -32602


@pytest.mark.parametrize("params", [None, {}, {"_meta": {}}, {"_meta": None}, {"_meta": 5}])
async def test_a_request_without_any_terms_is_refused(
    params: Message | None, autojump_clock: MockClock
) -> None:
    """BASE-19: where no session was opened either."""
    async with talking(example(), STATELESS) as script:
        assert code_of(await script.ask(request(1, "tools/list", params))) == -32602


async def test_a_capability_that_was_not_declared(autojump_clock: MockClock) -> None:
    """BASE-20, BASE-21: the error says what is missing."""
    async with talking(example(), STATELESS) as script:
        answer = await script.call("ask")
    assert code_of(answer) == -32021
    assert answer["error"]["data"] == {"requiredCapabilities": {"elicitation": {"form": {}}}}


async def test_results_say_who_answers(autojump_clock: MockClock) -> None:
    """BASE-22: also those that ask something back."""
    async with talking(example(), STATELESS, {"elicitation": {}}) as script:
        answers = [
            await script.do("server/discover"),
            await script.do("tools/list"),
            await script.call("echo", {"text": ""}),
            await script.call("ask"),
        ]
    for answer in answers:
        info = answer["result"]["_meta"][SERVER_INFO]
        assert (info["name"], info["version"]) == ("example", "3")


async def test_names_change_nothing(autojump_clock: MockClock) -> None:
    """BASE-23: whatever the client calls itself, the answers are the same."""
    async with talking(example(), STATELESS) as script:
        answers = []
        for info in (None, {"name": "a", "version": "1"}, {"name": "trimcp", "version": ""}):
            answer = await script.do("tools/list", None, **{CLIENT_INFO: info})
            answers.append(answer["result"])
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("info", [None, {"name": "x", "version": "1"}, {"name": 5}, "x"])
async def test_the_name_of_the_server_changes_nothing(info: Any, autojump_clock: MockClock) -> None:
    """BASE-23: even a malformed one is no reason to fail."""

    async def welcome(line: Any) -> None:
        answer = {
            "supportedVersions": [STATELESS],
            "capabilities": {},
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "public",
            "_meta": {} if info is None else {SERVER_INFO: info},
        }
        await line.send(result(await line.receive(), answer))

    async with facing(STATELESS, welcome=welcome) as to:
        call = to.start(to.client.list_tools)
        await to.line.send(result(await to.line.receive(), {"tools": []}))
        assert await call.get() == []


@both_eras
async def test_unknown_keys_mean_nothing(revision: str, autojump_clock: MockClock) -> None:
    """BASE-24: also under the reserved prefix, and whatever their values are."""
    odd = {"io.modelcontextprotocol/future": [None], "dev.mcp/x": 5, "traceparent": "00-0-0-00"}
    async with talking(example(), revision) as script:
        assert text_of(await script.call("echo", {"text": "x"}, **odd)) == "x"
    async with facing(revision) as to:
        call = to.start(to.client.call_tool, "echo")
        await to.line.send(result(await to.line.receive(), {"content": [], "_meta": odd}))
        assert dict((await call.get()).meta) == odd


_LABEL = r"[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)?"
KEY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*/)?{_NAME}")


@both_eras
async def test_our_own_keys_are_well_formed(revision: str, autojump_clock: MockClock) -> None:
    """BASE-25, BASE-27: a prefix of labels in reverse, and a name."""
    keys: set[str] = set()

    async def show(*_: Any) -> None:
        """Progress is asked for, so that its token is among the keys."""

    async with facing(revision) as to:
        to.start(to.client.call_tool, "echo", progress=show)
        keys |= (await to.line.receive())["params"]["_meta"].keys()
    async with talking(example(), revision) as script:
        keys |= (await script.do("tools/list"))["result"].get("_meta", {}).keys()
    expected = {"progressToken"}
    if revision == STATELESS:
        expected |= {VERSION, CAPABILITIES, CLIENT_INFO, SERVER_INFO}
    assert keys == expected
    assert all(KEY.fullmatch(key) for key in keys)
    assert all(key.startswith("io.modelcontextprotocol/") for key in keys if "/" in key)
