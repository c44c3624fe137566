"""A client, made with trimcp, of the tutorial's server, whose command it is given."""

import sys
from typing import Any

import trio

from trimcp import RequestError, open_client
from trimcp.types import ElicitRequestFormParams, TextContent

DRAFTS = [{"title": "show", "text": "Friday"}, {"title": "shop", "text": "milk"}]


async def main(command: list[str]) -> None:
    reports: list[Any] = []

    def note(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    def answer(question: ElicitRequestFormParams) -> dict[str, Any]:
        print("asked:", question.message)
        return {"sure": True}

    async with open_client(command, elicitation=answer, timeout=30) as client:
        print("tools:", *[tool.name for tool in await client.list_tools()])
        added = await client.call_tool("add_notes", {"drafts": DRAFTS}, progress=note)
        print("notes:", added.text)
        failed = await client.call_tool("add_note", DRAFTS[0])
        if failed.is_error:
            print("failed:", failed.text)
        found = await client.read_resource("note://show")
        print("note:", found.text)
        prompt = await client.get_prompt("summarize", {"title": "show"})
        match prompt.messages[0].content:
            case TextContent(text=text):
                print("prompt:", repr(text))
        deleted = await client.call_tool("delete_note", {"title": "show"})
        print("deleted:", deleted.text)
        try:
            await client.read_resource("note://show")
        except RequestError as error:
            print("error:", error.code, error.data)
    print("progress:", reports[-1])


trio.run(main, sys.argv[1:])
