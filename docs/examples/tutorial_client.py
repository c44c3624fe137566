"""Step 6: a client for the whole server."""

from pathlib import Path
from typing import Any

import trio

from trimcp import RequestError, open_client
from trimcp.types import CallToolResult, ElicitRequestFormParams, TextContent

SERVER = Path(__file__).with_name("tutorial_5.py")
DRAFTS = [
    {"title": "shopping", "text": "bread, milk"},
    {"title": "show", "text": "Friday at eight"},
]


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def answer(question: ElicitRequestFormParams) -> dict[str, Any]:
    """A real client would show the form to its user."""
    print("Asked:", question.message)
    return {"sure": True}


async def show(progress: float, total: float | None, message: str | None) -> None:
    if progress == total:
        print(f"All {total:g} kept, {message!r} was the last.")


async def main() -> None:
    async with open_client(SERVER, elicitation=answer) as client:
        print("Tools:", ", ".join(tool.name for tool in await client.list_tools()))

        added = await client.call_tool("add_notes", {"drafts": DRAFTS}, progress=show)
        print("Notes:", added.structured_content)

        again = await client.call_tool("add_note", DRAFTS[0])
        print("Failed:", again.is_error, text_of(again))

        completion = await client.complete("title", "sho", resource="note://{title}")
        print("Begin with 'sho':", completion.values)

        found = await client.read_resource("note://show")
        print("Contents:", found.contents[0])

        prompt = await client.get_prompt("summarize", {"title": "show", "length": "long"})
        print("Prompt:", prompt.messages[0])

        deleted = await client.call_tool("delete_note", {"title": "show"})
        print("Result:", text_of(deleted))

        try:
            await client.read_resource("note://show")
        except RequestError as error:
            print("Error:", error)


if __name__ == "__main__":
    trio.run(main)
