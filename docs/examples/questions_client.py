"""A client that answers questions."""

from pathlib import Path
from typing import Any

import trio

from trimcp import open_client
from trimcp.types import ElicitRequestFormParams, ElicitResult

SERVER = Path(__file__).with_name("questions.py")


async def answer(question: ElicitRequestFormParams) -> dict[str, Any] | ElicitResult | None:
    """A real client would show the form; this one knows its user well."""
    fields = question.requested_schema["properties"]
    print(f"{question.message} {', '.join(fields)}")
    if "guests" in fields:
        return {"guests": 4}  # defaults are filled in
    if "host" in question.message:
        return {"name": "Ada"}
    if "guest" in question.message:
        return {"name": "Grace"}
    return None  # declined


async def main() -> None:
    async with open_client(SERVER, elicitation=answer) as client:
        for tool, arguments in [("book", {"day": "Friday"}), ("greet", {})]:
            result = await client.call_tool(tool, arguments)
            print("->", result.content[0])


if __name__ == "__main__":
    trio.run(main)
