"""Lifecycle (to 2025-11-25): initialization, negotiation, operation."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
import trio.testing

from trimcp import (
    Context,
    NoCommonRevision,
    NotOffered,
    RequestError,
    RequestTimeout,
    Server,
    open_client,
)

from .harness import (
    HANDSHAKE,
    Line,
    Message,
    Sure,
    code_of,
    error,
    every_handshake,
    facing,
    failing_to_open,
    initialized,
    notification,
    request,
    result,
    talking,
    text_of,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trimcp import CallNext

LATEST = HANDSHAKE[-1]


def example() -> Server[Any]:
    server = Server[Any]("example", version="3", instructions="Be nice.")

    @server.tool
    async def ask(ctx: Context) -> str:
        return str((await ctx.elicit("Sure?", Sure)).sure)

    @server.tool
    async def chat(ctx: Context) -> str:
        await ctx.error("before the session")
        return ctx.revision

    return server


def opening(revision: str, **more: Any) -> Message:
    params = {
        "protocolVersion": revision,
        "capabilities": {},
        "clientInfo": {"name": "script", "version": "1"},
    } | more
    return request(1, "initialize", params)


# -- initialization ---------------------------------------------------------------------------


@every_handshake
async def test_the_client_opens_the_session(revision: str, autojump_clock: MockClock) -> None:
    """LIFE-01, LIFE-02, LIFE-03, LIFE-05: `initialize` first, `initialized` last."""
    options: dict[str, Any] = {"revision": revision, "name": "mine", "version": "9"}
    async with facing(revision, **options) as to:
        assert [each["method"] for each in to.greeting] == [
            "initialize",
            "notifications/initialized",
        ]
        assert to.greeting[0]["params"] == {
            "protocolVersion": revision,
            "capabilities": {},
            "clientInfo": {"name": "mine", "version": "9"},
        }


@every_handshake
async def test_the_server_answers_with_what_it_is(revision: str, autojump_clock: MockClock) -> None:
    """LIFE-06, LIFE-09: its revision, its capabilities, its name."""
    async with talking(example(), revision, opened=False) as script:
        answer = (await script.shake_hands())["result"]
    assert answer["protocolVersion"] == revision
    assert "tools" in answer["capabilities"]
    assert (answer["serverInfo"]["name"], answer["serverInfo"]["version"]) == ("example", "3")
    assert answer["instructions"] == "Be nice."


async def test_the_client_waits_for_the_answer(autojump_clock: MockClock) -> None:
    """LIFE-07: while `initialize` is unanswered it says nothing else."""

    async def welcome(line: Line) -> None:
        asked = await line.receive()
        assert asked["method"] == "initialize"
        # A ping in between is answered, and all that is said.
        pong = await line.ask(request("early", "ping"))
        assert pong["result"] == {}
        await trio.testing.wait_all_tasks_blocked()
        await line.send(result(asked, initialized(LATEST)))
        assert (await line.receive())["method"] == "notifications/initialized"

    async with facing(LATEST, welcome=welcome, revision=LATEST) as to:
        to.start(to.client.list_tools)
        assert (await to.line.receive())["method"] == "tools/list"


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
async def test_the_server_waits_for_initialized(revision: str, autojump_clock: MockClock) -> None:
    """LIFE-08: before it, the server asks nothing; logs and answers may pass."""
    async with talking(example(), revision, opened=False) as script:
        await script.ask(opening(revision, capabilities={"elicitation": {}}))
        assert (await script.do("ping"))["result"] == {}
        await script.send(script.calling("chat"))
        assert (await script.receive())["method"] == "notifications/message"
        assert text_of(await script.receive()) == revision
        refused = await script.call("ask")
        assert "handshake" in refused["error"]["message"]
        await script.send(notification("notifications/initialized"))
        await script.send(script.calling("ask"))
        assert (await script.receive())["method"] == "elicitation/create"


async def test_no_requests_before_the_session(autojump_clock: MockClock) -> None:
    """LIFE-01: without `initialize`, only a ping is answered."""
    async with talking(example(), LATEST, opened=False) as script:
        assert (await script.do("ping"))["result"] == {}
        assert code_of(await script.do("tools/list")) == -32602
        await script.shake_hands()
        assert "result" in await script.do("tools/list")


@every_handshake
async def test_another_initialize_begins_another_session(
    revision: str, autojump_clock: MockClock
) -> None:
    """LIFE-13: the terms of a session do not change; those of the next are agreed on afresh."""
    async with talking(example(), revision) as script:
        for date in HANDSHAKE:
            answer = await script.ask(opening(date))
            assert answer["result"]["protocolVersion"] == date
            assert text_of_last(await chat(script)) == date


async def chat(script: Any) -> list[Message]:
    await script.send(script.calling("chat"))
    return [await script.receive(), await script.receive()]


def text_of_last(said: list[Message]) -> str:
    return text_of(said[-1])


# -- versions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ["2099-01-01", "2024-10-07", "2026-07-28", "x"])
async def test_a_revision_that_is_unknown(revision: str, autojump_clock: MockClock) -> None:
    """LIFE-10, LIFE-11: the server answers with its latest one."""
    async with talking(example(), revision, opened=False) as script:
        answer = await script.ask(opening(revision))
        assert answer["result"]["protocolVersion"] == LATEST


async def test_the_client_asks_for_the_latest(autojump_clock: MockClock) -> None:
    """LIFE-04: of those that need a handshake, where none is pinned."""
    async with facing(HANDSHAKE[0]) as to:
        [asked] = [each for each in to.greeting if each["method"] == "initialize"]
        assert asked["params"]["protocolVersion"] == LATEST
        assert to.client.revision == HANDSHAKE[0]


@pytest.mark.parametrize("chosen", ["2099-01-01", "2024-10-07", "2026-07-28", ""])
@pytest.mark.parametrize("pinned", [None, "2025-06-18"])
async def test_the_client_disconnects(
    chosen: str, pinned: str | None, autojump_clock: MockClock
) -> None:
    """LIFE-12: it says nothing more, and names what the server chose."""

    async def welcome(line: Line) -> None:
        asked = await line.receive()
        if asked["method"] == "server/discover":
            await line.send(error(asked, -32601))
            asked = await line.receive()
        await line.send(result(asked, initialized(chosen)))
        with pytest.raises(EOFError):
            await line.receive()

    failure = await failing_to_open(welcome, revision=pinned)
    assert isinstance(failure, NoCommonRevision)
    assert failure.supported == (chosen,)


async def test_a_pinned_revision_is_not_traded(autojump_clock: MockClock) -> None:
    """LIFE-12: also not for one that the client knows."""

    async def welcome(line: Line) -> None:
        await line.send(result(await line.receive(), initialized("2025-03-26")))

    failure = await failing_to_open(welcome, revision="2025-06-18")
    assert isinstance(failure, NoCommonRevision)


# -- operation --------------------------------------------------------------------------------


@every_handshake
async def test_the_agreed_revision_is_spoken(revision: str, autojump_clock: MockClock) -> None:
    """LIFE-13: what a revision does not know is not said in it."""
    server = Server[Any]("example")

    @server.tool(title="Shout")
    async def shout() -> int:
        return 5

    async with talking(server, revision) as script:
        [tool] = (await script.do("tools/list"))["result"]["tools"]
        answer = (await script.call("shout"))["result"]
        has_structure = revision >= "2025-06-18"
        assert ("title" in tool) is has_structure
        assert ("outputSchema" in tool) is has_structure
        assert ("structuredContent" in answer) is has_structure
        # Methods of the other era are unknown.
        assert code_of(await script.do("server/discover")) == -32601


@every_handshake
async def test_the_server_uses_what_was_declared(revision: str, autojump_clock: MockClock) -> None:
    """LIFE-14: it asks nothing of a client that declared nothing."""
    server = example()

    @server.tool
    async def roots(ctx: Context) -> None:
        await ctx.list_roots()

    @server.tool
    async def sample(ctx: Context) -> None:
        await ctx.sample("Hello")

    async with talking(server, revision) as script:
        for tool in ("ask", "roots", "sample"):
            assert "this needs a client" in (await script.call(tool))["error"]["message"]


async def test_the_client_offers_what_it_declared(autojump_clock: MockClock) -> None:
    """LIFE-14: what it has no callback for it refuses."""
    async with facing(LATEST) as to:
        for method in ("sampling/createMessage", "roots/list", "elicitation/create"):
            params: dict[str, Any] = {"message": "?", "requestedSchema": {"type": "object"}}
            if method == "sampling/createMessage":
                params = {"messages": [], "maxTokens": 5}
            answer = await to.line.ask(request(method, method, params))
            assert code_of(answer) == -32601


async def test_logs_are_asked_for_where_there_are_some(autojump_clock: MockClock) -> None:
    """LIFE-15: the client sets a level only at a server that declared logging."""

    async def hear(_: Any) -> None:
        """Nothing is heard."""

    cases: list[tuple[Message, list[str]]] = [({"logging": {}}, ["logging/setLevel"]), ({}, [])]
    for capabilities, expected in cases:
        methods: list[str] = []

        async def welcome(
            line: Line, offered: Message = capabilities, heard: list[str] = methods
        ) -> None:
            asked = await line.receive()
            await line.send(result(asked, initialized(LATEST, capabilities=offered)))
            await line.receive()
            if offered:
                heard.append((asked := await line.receive())["method"])
                await line.send(result(asked, {}))

        options: dict[str, Any] = {"revision": LATEST, "logging": hear, "log_level": "error"}
        async with facing(LATEST, welcome=welcome, **options):
            assert methods == expected


@pytest.mark.parametrize("revision", HANDSHAKE)
async def test_what_was_not_declared_is_not_asked(revision: str) -> None:
    """LIFE-15: the call fails with what is missing, and nothing was sent."""
    server = Server("bare")
    asked: list[str] = []

    @server.middleware
    async def listen(ctx: Context, call_next: CallNext) -> Any:
        asked.append(ctx.method)
        return await call_next()

    server.tool(name="one")(lambda: 1)
    async with open_client(server, revision=revision) as client:
        calls: list[Any] = [
            client.list_prompts,
            client.list_resources,
            client.list_resource_templates,
            functools.partial(client.get_prompt, "one"),
            functools.partial(client.read_resource, "one://two"),
            functools.partial(client.request, "resources/subscribe", {"uri": "one://two"}),
        ]
        for call in calls:
            with pytest.raises(NotOffered, match="did not declare"):
                await call()
        assert [tool.name for tool in await client.list_tools()] == ["one"]
        with pytest.raises(RequestError):
            await client.request("com.example/unknown")
    assert asked == ["initialize", "tools/list", "com.example/unknown"]


# -- errors -----------------------------------------------------------------------------------


async def test_the_handshake_has_a_deadline(autojump_clock: MockClock) -> None:
    """LIFE-16: a server that does not answer `initialize`."""

    async def welcome(line: Line) -> None:
        assert (await line.receive())["method"] == "initialize"
        with pytest.raises(EOFError):
            await line.receive()

    failure = await failing_to_open(welcome, revision=LATEST, timeout=5)
    assert isinstance(failure, RequestTimeout)


async def test_the_handshake_is_refused(autojump_clock: MockClock) -> None:
    """LIFE-16: the error reaches whoever opened the client."""

    async def welcome(line: Line) -> None:
        await line.send(error(await line.receive(), -32602, "not you"))

    failure = await failing_to_open(welcome, revision=LATEST)
    assert isinstance(failure, RequestError)
    assert failure.message == "not you"


@pytest.mark.parametrize("missing", ["protocolVersion", "capabilities", "clientInfo"])
async def test_a_handshake_without_its_parts(missing: str, autojump_clock: MockClock) -> None:
    """LIFE-02: the server refuses it, and can be asked again."""
    async with talking(example(), LATEST, opened=False) as script:
        message = opening(LATEST)
        del message["params"][missing]
        assert code_of(await script.ask(message)) == -32602
        assert "result" in await script.shake_hands()
