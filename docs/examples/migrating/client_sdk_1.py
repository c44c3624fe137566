"""A client, made with the official SDK 1.x, of the tutorial's server, whose command it is given."""

import sys
from datetime import timedelta
from typing import Any

import anyio
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
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
    patience = timedelta(seconds=30)
    async with (
        stdio_client(server) as (read, write),
        ClientSession(read, write, patience, elicitation_callback=answer) as client,
    ):
        await client.initialize()
        print("tools:", *[tool.name for tool in (await client.list_tools()).tools])
        added = await client.call_tool("add_notes", {"drafts": DRAFTS}, progress_callback=note)
        print("notes:", added.content[0].text)
        failed = await client.call_tool("add_note", DRAFTS[0])
        if failed.isError:
            print("failed:", failed.content[0].text)
        [contents] = (await client.read_resource("note://show")).contents
        print("note:", contents.text)
        prompt = await client.get_prompt("summarize", {"title": "show"})
        print("prompt:", repr(prompt.messages[0].content.text))
        deleted = await client.call_tool("delete_note", {"title": "show"})
        print("deleted:", deleted.content[0].text)
        try:
            await client.read_resource("note://show")
        except McpError as error:
            print("error:", error.error.code, error.error.data)
    print("progress:", reports[-1])


anyio.run(main, sys.argv[1:])
