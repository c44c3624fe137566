"""What a handler may not give: another method's result, no text to suggest, bytes not in base64."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from trimcp import RequestError, Server, open_client
from trimcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    Completion,
    ImageContent,
    PromptMessage,
    ReadResourceResult,
    TextContent,
    TextResourceContents,
)

FOREIGN = {
    "read": ReadResourceResult([TextResourceContents("x://a", "t")]),
    "message": PromptMessage("user", TextContent("t")),
    "completion": Completion(["a"]),
    "call": CallToolResult([]),
    "image": ImageContent("!!!", "image/png"),
    "audio": AudioContent("QQ", "audio/wav"),
    "blob": BlobResourceContents("x://a", "!!"),
    "none": [None],
    "block": [TextContent("b")],
    "numbers": [1, 2.5],
}


def serving() -> Server[Any]:
    server = Server("x")

    @server.tool
    async def tool(key: str) -> Any:
        return FOREIGN[key]

    @server.resource("r://{key}")
    async def read(key: str) -> Any:
        return FOREIGN[key]

    @server.prompt
    async def prompt(key: str) -> str:
        return key

    @server.completion("key", prompt="prompt")
    async def suggest(value: str) -> Any:
        return FOREIGN[value]

    return server


@pytest.mark.parametrize("key", ["read", "message", "completion", "image", "audio", "blob"])
async def test_a_tool_that_gives_what_is_no_tool_result_fails(key: str) -> None:
    async with open_client(serving()) as client:
        result = await client.call_tool("tool", {"key": key})
    assert result.is_error
    assert result.text == "The tool failed unexpectedly."


@pytest.mark.parametrize("key", ["message", "completion", "call", "image", "blob"])
async def test_a_resource_that_gives_what_is_no_contents_fails(key: str) -> None:
    async with open_client(serving()) as client:
        with pytest.raises(RequestError):
            await client.read_resource(f"r://{key}")


@pytest.mark.parametrize("key", ["none", "block", "image"])
async def test_a_completion_that_suggests_no_texts_fails(key: str) -> None:
    async with open_client(serving()) as client:
        with pytest.raises(RequestError):
            await client.complete("key", key, prompt="prompt")


async def test_a_completion_may_suggest_numbers() -> None:
    async with open_client(serving()) as client:
        found = await client.complete("key", "numbers", prompt="prompt")
    assert found.values == ("1", "2.5")


@pytest.mark.parametrize("data", [b"", b"a", b"ab", b"abc", bytes(range(256))])
async def test_base64_of_any_length_is_sent(data: bytes) -> None:
    server = Server("x")

    @server.tool
    async def image() -> ImageContent:
        return ImageContent(base64.b64encode(data).decode(), "image/png")

    async with open_client(server) as client:
        assert not (await client.call_tool("image")).is_error
