"""A client, made with FastMCP, of the tutorial's server, whose command it is given."""

import asyncio
import sys
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError
from mcp import MCPError

DRAFTS = [{"title": "show", "text": "Friday"}, {"title": "shop", "text": "milk"}]


async def main(command: list[str]) -> None:
    reports: list[Any] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    async def answer(message: str, form: Any, params: Any, context: Any) -> Any:
        print("asked:", message)
        return form(sure=True)

    server = StdioTransport(command[0], command[1:])
    async with Client(server, elicitation_handler=answer, timeout=30) as client:
        print("tools:", *[tool.name for tool in await client.list_tools()])
        added = await client.call_tool("add_notes", {"drafts": DRAFTS}, progress_handler=note)
        print("notes:", added.data)
        try:
            await client.call_tool("add_note", DRAFTS[0])
        except ToolError as error:
            print("failed:", error)
        [contents] = await client.read_resource("note://show")
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


asyncio.run(main(sys.argv[1:]))
