"""A client, made with the official SDK, of the tutorial's server, whose command it is given."""

import sys
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import ElicitResult

DRAFTS = [{"title": "show", "text": "Friday"}, {"title": "shop", "text": "milk"}]


async def main(command: list[str]) -> None:
    reports: list[Any] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    async def answer(context: Any, question: Any) -> ElicitResult:
        print("asked:", question.message)
        return ElicitResult(action="accept", content={"sure": True})

    server = StdioServerParameters(command=command[0], args=command[1:])
    async with Client(server, elicitation_callback=answer, read_timeout_seconds=30) as client:
        print("tools:", *[tool.name for tool in (await client.list_tools()).tools])
        added = await client.call_tool("add_notes", {"drafts": DRAFTS}, progress_callback=note)
        print("notes:", added.content[0].text)
        failed = await client.call_tool("add_note", DRAFTS[0])
        if failed.is_error:
            print("failed:", failed.content[0].text)
        [contents] = (await client.read_resource("note://show")).contents
        print("note:", contents.text)
        prompt = await client.get_prompt("summarize", {"title": "show"})
        print("prompt:", repr(prompt.messages[0].content.text))
        deleted = await client.call_tool("delete_note", {"title": "show"})
        print("deleted:", deleted.content[0].text)
        try:
            await client.read_resource("note://show")
        except MCPError as error:
            print("error:", error.code, error.data)
    print("progress:", reports[-1])


anyio.run(main, sys.argv[1:])
