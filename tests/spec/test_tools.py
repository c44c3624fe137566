"""Tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import (
    Context,
    Limits,
    ProtocolViolation,
    RegistrationError,
    Server,
    ToolError,
)
from trimcp.types import CallToolResult, TextContent

from .harness import (
    STATELESS,
    Message,
    both_eras,
    code_of,
    error,
    every_revision,
    facing,
    result,
    talking,
    text_of,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

STRUCTURED = ("2025-06-18", "2025-11-25", "2026-07-28")
structured = pytest.mark.parametrize("revision", STRUCTURED)

SCHEMA: Message = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}


def example(**options: Any) -> Server[Any]:
    server = Server[Any]("example", **options)

    @server.tool
    async def add(a: int, b: int = 1) -> int:
        return a + b

    @server.tool
    async def grow(name: str) -> str:
        async def added() -> str:
            return name

        server.tool(name=name)(added)
        return "grown"

    return server


async def names(script: Any) -> list[str]:
    tools = (await script.do("tools/list"))["result"]["tools"]
    return [tool["name"] for tool in tools]


# -- lists ------------------------------------------------------------------------------------


async def declared(server: Server[Any], revision: str) -> Message:
    """The capabilities that a server declares."""
    async with talking(server, revision, opened=False) as script:
        if script.is_stateless:
            answer = await script.do("server/discover")
        else:
            answer = await script.shake_hands()
        capabilities: Message = answer["result"]["capabilities"]
        return capabilities


@every_revision
async def test_the_capability(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-01, RES-01, PROM-01, PROM-09, COMP-01, LOG-01: where there is something."""
    server = example()
    before = await declared(server, revision)
    assert before.keys() == {"tools", "logging"}

    @server.prompt
    async def review(code: str) -> str:
        return code

    @server.resource("note://one")
    async def note() -> str:
        return "one"

    @server.completion("code", prompt="review")
    async def suggest(value: str) -> list[str]:
        return []

    after = await declared(server, revision)
    completions = set() if revision == "2024-11-05" else {"completions"}
    assert after.keys() == {"tools", "logging", "prompts", "resources"} | completions


async def test_a_template_is_a_resource_too(autojump_clock: MockClock) -> None:
    """RES-01."""
    server = example()

    @server.resource("note://{name}")
    async def note(name: str) -> str:
        return name

    assert "resources" in await declared(server, STATELESS)


@both_eras
async def test_an_empty_list(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-02, RES-02, PROM-02: is an answer."""
    async with talking(Server[Any]("empty"), revision) as script:
        for method, key in (
            ("tools/list", "tools"),
            ("prompts/list", "prompts"),
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
        ):
            assert (await script.do(method))["result"][key] == []


@both_eras
async def test_the_list_is_the_same_for_all(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-02, TOOL-03, TOOL-04: for every connection, and in the same order."""
    server = example()
    async with (
        server.application(signals=False),
        talking(server, revision) as first,
        talking(server, revision, {"roots": {}}) as second,
    ):
        assert await names(first) == await names(second) == ["add", "grow"]
        await first.call("add", {"a": 1})
        await first.call("grow", {"name": "b"})
        await second.call("grow", {"name": "a"})
        # What is registered is there for everybody; calls and connections play no part in it.
        for script in (first, second, first):
            assert await names(script) == ["add", "grow", "b", "a"]


# -- definitions ------------------------------------------------------------------------------


@both_eras
async def test_input_schemas(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-05: an object, also where there are no parameters."""
    server = example()

    @server.tool
    async def nothing() -> None:
        """Takes nothing."""

    async with talking(server, revision) as script:
        for tool in (await script.do("tools/list"))["result"]["tools"]:
            assert tool["inputSchema"]["type"] == "object"
        assert tool["inputSchema"]["additionalProperties"] is False


@pytest.mark.parametrize("schema", [{}, {"type": "string"}, {"type": "object", "properties": 5}])
def test_input_schemas_that_will_not_do(schema: Message) -> None:
    """TOOL-05, JSON-04."""
    server = Server[Any]("example")

    async def tool(arguments: dict[str, Any]) -> None:
        """Takes anything."""

    with pytest.raises(RegistrationError):
        server.tool(input_schema=schema)(tool)


@pytest.mark.parametrize("name", ["getUser", "DATA_EXPORT_v2", "admin.tools.list", "a", "x" * 128])
async def test_names(name: str, autojump_clock: MockClock) -> None:
    """TOOL-06, TOOL-07, TOOL-08, TOOL-09: of the allowed characters and length."""
    server = Server[Any]("example")

    @server.tool(name=name)
    async def tool() -> str:
        return "called"

    async with talking(server, STATELESS) as script:
        assert await names(script) == [name]
        assert text_of(await script.call(name)) == "called"
        if name.swapcase() != name:
            # Upper and lower case differ.
            assert code_of(await script.call(name.swapcase())) == -32602


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", "a,b", "a/b", "é", "a\n", "a:b"])
def test_names_that_will_not_do(name: str) -> None:
    """TOOL-06, TOOL-08, TOOL-09."""
    server = Server[Any]("example")

    async def tool() -> None:
        """Does nothing."""

    if name:
        with pytest.raises(RegistrationError):
            server.tool(name=name)(tool)
    else:
        # No name of its own: the function's.
        server.tool(name=name)(tool)
        assert server.tools.find("tool") is not None


def test_names_are_unique() -> None:
    """TOOL-07, TOOL-10: a second tool of the same name is refused; another case is another name."""
    server = example()

    async def add() -> None:
        """Does nothing."""

    with pytest.raises(RegistrationError):
        server.tool(add)
    server.tool(name="Add")(add)


# -- calls ------------------------------------------------------------------------------------


@every_revision
async def test_arguments_are_checked(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-11: against the schema, before the tool runs."""
    server = example()
    ran: list[Any] = []

    @server.tool(input_schema=SCHEMA)
    async def given(arguments: dict[str, Any]) -> str:
        ran.append(arguments)
        return "ran"

    async with talking(server, revision) as script:
        for tool, arguments in (
            ("add", {}),
            ("add", {"a": "x"}),
            ("add", {"a": None}),
            ("add", {"a": 1.5}),
            ("add", {"a": 1, "c": 2}),
            ("given", {}),
            ("given", {"n": "x"}),
        ):
            answer = await script.call(tool, arguments)
            assert answer["result"]["isError"] is True
            assert "$" in text_of(answer)
        assert ran == []
        assert "isError" not in (await script.call("given", {"n": 1}))["result"]
        wrong: list[Any] = [{}, {"name": 5}, {"name": "add", "arguments": []}, [], 5]
        for params in wrong:
            message = script.message("tools/call")
            wire = params | message.get("params", {}) if isinstance(params, dict) else params
            answer = await script.ask(message | {"params": wire})
            flawed = answer.get("result", {}).get("isError") or answer["error"]["code"] == -32602
            assert flawed, answer


@every_revision
async def test_errors_of_a_tool_are_results(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-12: for the model to read; only what concerns the request itself is an error."""
    server = example()

    @server.tool
    async def fail(how: str) -> None:
        raise ToolError("try again") if how == "meant" else ZeroDivisionError("secret")

    @server.tool(timeout=1)
    async def hang() -> None:
        await trio.sleep_forever()

    async with talking(server, revision) as script:
        meant = await script.call("fail", {"how": "meant"})
        assert meant["result"]["isError"] is True
        assert text_of(meant) == "try again"
        unmeant = await script.call("fail", {"how": "x"})
        assert unmeant["result"]["isError"] is True
        assert "secret" not in text_of(unmeant)
        assert (await script.call("hang"))["result"]["isError"] is True
        assert code_of(await script.call("nothing")) == -32602


@both_eras
async def test_calls_are_bounded(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-13, COMP-05: more than the limit at once are refused."""
    server = example(limits=Limits(in_flight=3))

    @server.tool
    async def hang(ctx: Context) -> None:
        await trio.sleep_forever()

    async with talking(server, revision) as script:
        for _ in range(3):
            await script.send(script.calling("hang"))
        refused = await script.call("add", {"a": 1})
        assert code_of(refused) == -31001
        assert "3" in refused["error"]["message"]


# -- structured results -----------------------------------------------------------------------


@structured
async def test_structured_results_fit(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-14, TOOL-15: and are said as text too; what does not fit is not sent."""
    server = Server[Any]("example")

    @server.tool(output_schema=SCHEMA)
    async def given(value: Any) -> Any:
        return value

    @server.tool
    async def typed(value: Any) -> dict[str, int]:
        return value  # type: ignore[no-any-return]

    @server.tool(output_schema=SCHEMA)
    async def whole(value: Any, text: str = "") -> Any:
        more = {} if value == "none" else {"structured_content": value}
        return CallToolResult([TextContent(text)], **more)

    async with talking(server, revision) as script:
        for tool in ("given", "typed"):
            answer = (await script.call(tool, {"value": {"n": 5}}))["result"]
            assert answer["structuredContent"] == {"n": 5}
            assert json.loads(answer["content"][0]["text"]) == {"n": 5}
        answer = (await script.call("whole", {"value": {"n": 5}}))["result"]
        assert answer["structuredContent"] == {"n": 5}
        for tool, value in (
            ("given", {"n": "x"}),
            ("given", 5),
            ("typed", {"n": "x"}),
            ("typed", [1]),
            ("whole", {"n": "x"}),
            ("whole", "none"),
        ):
            answer = (await script.call(tool, {"value": value}))["result"]
            assert answer["isError"] is True, (tool, value)
            assert "structuredContent" not in answer


@structured
async def test_results_that_are_no_objects(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-14: fit the schema that the revision shows."""
    async with talking(example(), revision) as script:
        tool = (await script.do("tools/list"))["result"]["tools"][0]
        answer = (await script.call("add", {"a": 1}))["result"]
        if revision == STATELESS:
            assert (tool["outputSchema"]["type"], answer["structuredContent"]) == ("integer", 2)
        else:
            assert tool["outputSchema"]["properties"]["result"]["type"] == "integer"
            assert answer["structuredContent"] == {"result": 2}


LISTED = [
    {"name": "good", "inputSchema": {"type": "object"}, "outputSchema": SCHEMA},
    {"name": "plain", "inputSchema": {"type": "object"}},
]


@structured
async def test_the_client_checks_results(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-16, TOOL-18: of tools that it has listed."""
    async with facing(revision) as to:
        listing = to.start(to.client.list_tools)
        await to.line.send(result(await to.line.receive(), {"tools": LISTED}))
        await listing.get()

        async def given(tool: str, **parts: Any) -> Any:
            call = to.start(to.client.call_tool, tool)
            await to.line.send(result(await to.line.receive(), {"content": [], **parts}))
            return call

        assert (await (await given("good", structuredContent={"n": 1})).get()).is_error is None
        assert (await (await given("good", isError=True)).get()).is_error is True
        await (await given("plain")).get()
        bad: list[Message] = [{"structuredContent": {"n": "x"}}, {"structuredContent": {}}, {}]
        for parts in bad:
            await (await given("good", **parts)).fails(ProtocolViolation)


@both_eras
async def test_the_client_checks_the_shape(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-18: a malformed result is no result."""
    async with facing(revision) as to:
        answers: list[Message] = [
            {},
            {"content": 5},
            {"content": [{"type": "text"}]},
            {"content": [{}]},
        ]
        for wrong in answers:
            call = to.start(to.client.call_tool, "x")
            await to.line.send(result(await to.line.receive(), wrong))
            await call.fails(ProtocolViolation)


@both_eras
async def test_the_client_tells_errors_apart(revision: str, autojump_clock: MockClock) -> None:
    """TOOL-19: errors for the model are results, those of the protocol are exceptions."""
    async with facing(revision) as to:
        call = to.start(to.client.call_tool, "x")
        content = [{"type": "text", "text": "the date is wrong"}]
        answer = {"content": content, "isError": True}
        await to.line.send(result(await to.line.receive(), answer))
        got = await call.get()
        assert got.is_error
        assert got.content == (TextContent("the date is wrong"),)
        call = to.start(to.client.call_tool, "x")
        await to.line.send(error(await to.line.receive(), -32602, "Unknown tool"))
        assert "Unknown tool" in str(await call.fails(Exception))


@pytest.mark.parametrize("task", [{"ttl": 60_000}, {}, None, 5], ids=repr)
async def test_task_metadata_means_nothing(task: Any, autojump_clock: MockClock) -> None:
    """TOOL-21: who declares no tasks runs the tool as if nothing had been said of them."""
    async with talking(example(), "2025-11-25") as script:
        params = {"name": "add", "arguments": {"a": 1}, "task": task}
        answer = (await script.do("tools/call", params))["result"]
        assert answer["content"] == [{"type": "text", "text": "2"}]
        assert "task" not in answer
