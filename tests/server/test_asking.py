"""`ctx.sample`, `ctx.list_roots` and `ctx.elicit_url`, the same in every era."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import Context, RequestError, Server, open_client
from trimcp.types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestURLParams,
    SamplingMessage,
    TextContent,
    Tool,
    ToolResultContent,
    ToolUseContent,
)

if TYPE_CHECKING:
    from pathlib import Path

    import trio

ALL = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
WITH_URLS = ["2026-07-28", "2025-11-25"]

server = Server("asking")


@server.tool
async def complete(text: str, ctx: Context) -> str:
    answer = await ctx.sample(text, max_tokens=7, system_prompt="Be brief.")
    block = answer.content[0]
    assert isinstance(block, TextContent)
    return f"{answer.model}: {block.text}"


@server.tool
async def complete_with_tools(ctx: Context) -> str:
    tools = [Tool("clock", {"type": "object"})]
    conversation = [SamplingMessage("user", (TextContent("What time is it?"),))]
    first = await ctx.sample(conversation, tools=tools)
    call = first.content[0]
    assert isinstance(call, ToolUseContent)
    told = ToolResultContent(call.id, (TextContent("noon"),))
    conversation += [
        SamplingMessage("assistant", first.content),
        SamplingMessage("user", (told,)),
    ]
    second = await ctx.sample(conversation, tools=tools)
    block = second.content[0]
    assert isinstance(block, TextContent)
    return block.text


@server.tool
async def roots(ctx: Context) -> list[str]:
    return [root.uri for root in await ctx.list_roots()]


@server.tool
async def visit(ctx: Context) -> str:
    await ctx.elicit_url("Please sign in", "https://example.com/sign-in")
    return "welcome"


@server.prompt
async def suggestion(ctx: Context) -> str:
    answer = await ctx.sample("suggest")
    block = answer.content[0]
    assert isinstance(block, TextContent)
    return block.text


@server.resource("roots:all")
async def all_roots(ctx: Context) -> list[str]:
    return [root.uri for root in await ctx.list_roots()]


async def sampling(params: CreateMessageRequestParams) -> str:
    block = params.messages[0].content[0]
    assert isinstance(block, TextContent)
    return f"{block.text} ({params.max_tokens}, {params.system_prompt})"


@pytest.mark.parametrize("revision", ALL)
async def test_sampling(revision: str, autojump_clock: trio.abc.Clock) -> None:
    async with open_client(server, revision=revision, sampling=sampling) as client:
        result = await client.call_tool("complete", {"text": "hello"})
        assert result.content == (TextContent("unknown: hello (7, Be brief.)"),)
        prompt = await client.get_prompt("suggestion")
        assert prompt.messages[0].content == TextContent("suggest (1000, None)")


@pytest.mark.parametrize("revision", WITH_URLS)
async def test_sampling_with_tools(revision: str, autojump_clock: trio.abc.Clock) -> None:
    async def model(params: CreateMessageRequestParams) -> CreateMessageResult:
        assert params.tools is not None
        assert [tool.name for tool in params.tools] == ["clock"]
        last = params.messages[-1].content[0]
        if isinstance(last, TextContent):
            return CreateMessageResult(
                "assistant", (ToolUseContent("1", "clock", {}),), "m", "toolUse"
            )
        assert isinstance(last, ToolResultContent)
        assert last.tool_use_id == "1"
        return CreateMessageResult("assistant", (*last.content,), "m")  # type: ignore[arg-type]

    async with open_client(
        server, revision=revision, sampling=model, sampling_tools=True
    ) as client:
        result = await client.call_tool("complete_with_tools")
        assert result.content == (TextContent("noon"),)
    async with open_client(server, revision=revision, sampling=model) as client:
        with pytest.raises(RequestError, match="with tools"):
            await client.call_tool("complete_with_tools")


@pytest.mark.parametrize("revision", ALL)
async def test_roots(revision: str, tmp_path: Path, autojump_clock: trio.abc.Clock) -> None:
    given: Any = [tmp_path, "file:///elsewhere"]
    expected = [tmp_path.as_uri(), "file:///elsewhere"]
    async with open_client(server, revision=revision, roots=given) as client:
        result = await client.call_tool("roots")
        assert isinstance(result.content[0], TextContent)
        assert json.loads(result.content[0].text) == expected
        contents = (await client.read_resource("roots:all")).contents[0]
        assert expected[0] in contents.text  # type: ignore[union-attr]


@pytest.mark.parametrize("revision", WITH_URLS)
@pytest.mark.parametrize("agreed", [True, False])
async def test_urls(revision: str, agreed: bool, autojump_clock: trio.abc.Clock) -> None:
    seen: list[ElicitRequestURLParams] = []

    async def agree(params: ElicitRequestURLParams) -> bool:
        seen.append(params)
        return agreed

    async with open_client(server, revision=revision, url_elicitation=agree) as client:
        result = await client.call_tool("visit")
    assert seen[0].url == "https://example.com/sign-in"
    assert bool(result.is_error) is not agreed
    text = result.content[0]
    assert isinstance(text, TextContent)
    assert text.text == ("welcome" if agreed else "The user answered the question with: decline.")


@pytest.mark.parametrize("revision", ALL)
@pytest.mark.parametrize(
    ("tool", "capability"), [("complete", "sampling"), ("roots", "roots"), ("visit", "elicitation")]
)
async def test_what_the_client_lacks(
    revision: str, tool: str, capability: str, autojump_clock: trio.abc.Clock
) -> None:
    async with open_client(server, revision=revision) as client:
        with pytest.raises(RequestError, match="needs a client") as caught:
            await client.call_tool(tool, {"text": "x"} if tool == "complete" else None)
        if revision == "2026-07-28":
            assert caught.value.code == -32021
            assert list(caught.value.data["requiredCapabilities"]) == [capability]
        else:
            assert caught.value.code == -32600


async def test_urls_are_unknown_before_2025_11_25(autojump_clock: trio.abc.Clock) -> None:
    async def agree(params: ElicitRequestURLParams) -> bool:
        return True

    async with open_client(server, revision="2025-06-18", url_elicitation=agree) as client:
        with pytest.raises(RequestError, match="URL"):
            await client.call_tool("visit")
