"""Versioning, Discovery, Statelessness (2026-07-28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Context, NoCommonRevision, RequestError, Server

from .harness import (
    CAPABILITIES,
    ERAS,
    LOG_LEVEL,
    SERVER_INFO,
    STATELESS,
    VERSION,
    Line,
    Message,
    Sure,
    code_of,
    discovered,
    error,
    facing,
    failing_to_open,
    initialized,
    notification,
    result,
    talking,
    text_of,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

KEY = b"a key that two processes share"


def asking(**options: Any) -> Server[Any]:
    server = Server[Any]("asking", instructions="Ask.", **options)

    @server.tool(replay=True)
    async def ask(ctx: Context) -> str:
        answer = await ctx.elicit("Sure?", Sure)
        return f"{ctx.revision} {answer.sure}"

    @server.tool
    async def revision(ctx: Context) -> str:
        return ctx.revision

    return server


# -- the revision of a request ----------------------------------------------------------------


@pytest.mark.parametrize("date", ["2025-11-25", "2024-11-05", "2099-01-01", "1", ""])
async def test_a_revision_that_is_not_spoken(date: str, autojump_clock: MockClock) -> None:
    """VER-01: whether nobody knows it, or it needs a handshake."""
    async with talking(asking(), STATELESS) as script:
        for method in ("server/discover", "tools/list"):
            answer = await script.do(method, None, **{VERSION: date})
            assert code_of(answer) == -32022
            assert answer["error"]["data"] == {"supported": [STATELESS], "requested": date}
        assert text_of(await script.call("revision")) == STATELESS


@pytest.mark.parametrize("method", ["server/discover", "initialize"])
async def test_no_common_revision(method: str, autojump_clock: MockClock) -> None:
    """VER-02: the error names what the server speaks, and nothing more is asked."""

    async def welcome(line: Line) -> None:
        asked = await line.receive()
        if method == "initialize":
            await line.send(error(asked, -32601))
            asked = await line.receive()
        assert asked["method"] == method
        data = {"supported": ["2099-01-01"], "requested": "x"}
        await line.send(error(asked, -32022 if method == "server/discover" else -32602, data=data))
        with pytest.raises(EOFError):
            await line.receive()

    failure = await failing_to_open(welcome)
    assert isinstance(failure, NoCommonRevision)
    assert failure.supported == ("2099-01-01",)


async def test_discover(autojump_clock: MockClock) -> None:
    """VER-03, VER-04: without a handshake, and whatever was asked before."""
    async with talking(asking(), STATELESS) as script:
        answers = [await script.do("server/discover")]
        await script.call("revision")
        answers.append(await script.do("server/discover"))
    for answer in answers:
        found = answer["result"]
        assert found["supportedVersions"] == [STATELESS]
        assert "tools" in found["capabilities"]
        assert found["instructions"] == "Ask."
        assert found["_meta"][SERVER_INFO] == {"name": "asking", "version": "0.0.0"}


# -- extensions -------------------------------------------------------------------------------


async def test_extensions_of_the_client(autojump_clock: MockClock) -> None:
    """VER-05: a client that has some is served with the core protocol."""
    extensions = {"extensions": {"com.example/extra": {"deep": [1]}}}
    async with talking(asking(), STATELESS, extensions) as script:
        assert text_of(await script.call("revision")) == STATELESS
        assert code_of(await script.do("com.example/extra/do")) == -32601
        discover = await script.do("server/discover")
        assert "extensions" not in discover["result"]["capabilities"]


async def test_extensions_of_the_server(autojump_clock: MockClock) -> None:
    """VER-05: a server that has some is asked with the core protocol."""

    async def welcome(line: Line) -> None:
        capabilities: Message = {"tools": {}, "extensions": {"com.example/extra": {}}}
        await line.send(result(await line.receive(), discovered(capabilities=capabilities)))

    async with facing(STATELESS, welcome=welcome) as to:
        call = to.start(to.client.list_tools)
        asked = await to.line.receive()
        assert asked["params"]["_meta"][CAPABILITIES] == {}
        await to.line.send(result(asked, {"tools": []}))
        await call.get()


# -- finding the era --------------------------------------------------------------------------


async def found_era(answer: Message | None, **options: Any) -> list[str]:
    """The methods that a client uses when its probe is answered so; None for silence."""
    methods = []

    async def welcome(line: Line) -> None:
        asked = await line.receive()
        methods.append(asked["method"])
        if answer is not None:
            await line.send({"jsonrpc": "2.0", "id": asked["id"], **answer})
        while True:
            asked = await line.receive()
            methods.append(asked["method"])
            if asked["method"] == "initialize":
                await line.send(result(asked, initialized("2025-11-25")))
            if asked["method"] == "notifications/initialized":
                return

    async with facing("2025-11-25", welcome=welcome, **options) as to:
        assert to.client.revision == "2025-11-25"
    return [method for method in methods if method != "notifications/cancelled"]


CODES = [-32700, -32600, -32601, -32602, -32603, -32000, -32001, -32002, 0, 1, 404, -1]


@pytest.mark.parametrize("code", CODES)
async def test_falling_back_on_any_error(code: int, autojump_clock: MockClock) -> None:
    """VER-06, VER-07: the probe comes first, and no error code is special."""
    flaw = {"error": {"code": code, "message": "what is that?"}}
    expected = ["server/discover", "initialize", "notifications/initialized"]
    assert await found_era(flaw) == expected


async def test_falling_back_on_silence(autojump_clock: MockClock) -> None:
    """VER-06, VER-07: after a while."""
    began = trio.current_time()
    expected = ["server/discover", "initialize", "notifications/initialized"]
    assert await found_era(None, probe_timeout=3) == expected
    assert trio.current_time() - began == pytest.approx(3)


async def test_the_era_is_found_once(autojump_clock: MockClock) -> None:
    """VER-08: what the server is, it stays."""
    for revision in ERAS:
        async with facing(revision) as to:
            probes = [each["method"] for each in to.greeting].count("server/discover")
            assert probes == 1
            for _ in range(3):
                call = to.start(to.client.call_tool, "x")
                asked = await to.line.receive()
                assert asked["method"] == "tools/call"
                await to.line.send(error(asked, -32602))
                await call.fails(RequestError)


async def test_a_modern_client_of_an_older_server(autojump_clock: MockClock) -> None:
    """VER-09: it asks first, and fails with what the server said."""
    methods = []

    async def welcome(line: Line) -> None:
        asked = await line.receive()
        methods.append(asked["method"])
        await line.send(error(asked, -32601, "initialize first"))
        with pytest.raises(EOFError):
            await line.receive()

    failure = await failing_to_open(welcome, revision=STATELESS)
    assert methods == ["server/discover"]
    assert isinstance(failure, RequestError)
    assert "initialize first" in str(failure)


async def test_another_revision_of_a_modern_server(autojump_clock: MockClock) -> None:
    """VER-02: an unsupported revision is no reason to try the handshake."""
    methods = []

    async def welcome(line: Line) -> None:
        # It speaks what was asked for after all, or it would name something else; but not twice.
        for _ in range(2):
            asked = await line.receive()
            methods.append(asked["method"])
            data = {"supported": [STATELESS], "requested": STATELESS}
            await line.send(error(asked, -32022, data=data))

    failure = await failing_to_open(welcome)
    assert isinstance(failure, NoCommonRevision)
    assert methods == ["server/discover", "server/discover"]


async def test_a_server_that_names_older_revisions_too(autojump_clock: MockClock) -> None:
    """VER-02: one of the handshake era is a mutually supported one as well."""
    data = {"supported": ["2030-01-01", "2025-06-18"], "requested": STATELESS}
    flaw = {"error": {"code": -32022, "message": "no", "data": data}}
    expected = ["server/discover", "initialize", "notifications/initialized"]
    assert await found_era(flaw) == expected


async def test_both_eras_on_one_line(autojump_clock: MockClock) -> None:
    """STATE-01, LIFE-12: each request is served as it opens itself."""
    async with talking(asking(), "2025-06-18") as script:
        assert text_of(await script.call("revision")) == "2025-06-18"
        script.revision = STATELESS
        assert text_of(await script.call("revision")) == STATELESS
        script.revision = "2025-06-18"
        answer = await script.call("revision")
        assert text_of(answer) == "2025-06-18"
        assert "resultType" not in answer["result"]


# -- statelessness ----------------------------------------------------------------------------


async def test_nothing_is_remembered(autojump_clock: MockClock) -> None:
    """STATE-01: neither a session's capabilities nor those of an earlier request count."""
    can: Message = {"elicitation": {}}
    async with talking(asking(), "2025-11-25", can) as script:
        script.revision = STATELESS
        yes = await script.call("ask")
        assert yes["result"]["resultType"] == "input_required"
        no = await script.call("ask", None, **{CAPABILITIES: {}})
        assert code_of(no) == -32021


async def test_log_levels_are_not_remembered(autojump_clock: MockClock) -> None:
    """STATE-01: what one request wanted to hear, the next one does not."""
    server = asking()

    @server.tool
    async def chat(ctx: Context) -> str:
        await ctx.error("listen")
        return "said"

    async with talking(server, STATELESS) as script:
        await script.send(script.calling("chat", None, **{LOG_LEVEL: "debug"}))
        assert (await script.receive())["method"] == "notifications/message"
        await script.receive()
        assert text_of(await script.call("chat")) == "said"


async def test_conversations_interleave(autojump_clock: MockClock) -> None:
    """STATE-02: requests of several conversations are handled side by side."""
    server = asking()
    meeting: dict[str, trio.Event] = {"a": trio.Event(), "b": trio.Event()}

    @server.tool
    async def meet(mine: str, other: str) -> str:
        meeting[mine].set()
        await meeting[other].wait()
        return mine

    async with talking(server, STATELESS) as script:
        await script.send(script.calling("meet", {"mine": "a", "other": "b"}))
        await script.send(script.calling("meet", {"mine": "b", "other": "a"}))
        answers = [await script.receive(), await script.receive()]
    assert {answer["id"]: text_of(answer) for answer in answers} == {
        "script 1": "a",
        "script 2": "b",
    }


def retry(question: Message, answer: Message) -> Message:
    """The params of the second round."""
    asked = question["result"]
    return {
        "name": "ask",
        "arguments": {},
        "requestState": asked["requestState"],
        "inputResponses": {key: answer for key in asked["inputRequests"]},
    }


YES: Message = {"action": "accept", "content": {"sure": True}}


async def test_related_requests_over_other_connections(autojump_clock: MockClock) -> None:
    """STATE-03, STATE-04: a question may be answered over another connection."""
    server = asking()
    can: Message = {"elicitation": {}}
    async with (
        server.application(signals=False),
        talking(server, STATELESS, can) as first,
        talking(server, STATELESS, can) as second,
    ):
        question = await first.call("ask")
        assert text_of(await second.do("tools/call", retry(question, YES))) == f"{STATELESS} True"


async def test_related_requests_to_other_processes(autojump_clock: MockClock) -> None:
    """STATE-03, STATE-04: the state says all; whoever has the key goes on with it."""
    can: Message = {"elicitation": {}}
    async with talking(asking(state_keys=[KEY]), STATELESS, can) as first:
        question = await first.call("ask")
    async with talking(asking(state_keys=[KEY]), STATELESS, can) as second:
        assert text_of(await second.do("tools/call", retry(question, YES))) == f"{STATELESS} True"


async def test_requests_need_no_order(autojump_clock: MockClock) -> None:
    """STATE-01, STATE-03: any request may be the first on its connection."""
    for method in ("tools/list", "server/discover", "prompts/list"):
        async with talking(asking(), STATELESS) as script:
            assert "result" in await script.do(method)
    async with talking(asking(), STATELESS) as script:
        await script.send(notification("notifications/initialized"))
        assert text_of(await script.call("revision")) == STATELESS
