"""Prompts, made with trimcp."""

import trio

from trimcp import Server
from trimcp.types import PromptMessage, TextContent

server = Server("reviews", version="1.0")


@server.prompt
def explain(topic: str, level: str = "child") -> str:
    """Ask for an explanation."""
    return f"Explain {topic} to a {level}."


@server.prompt(title="Code review")
async def review(code: str) -> list[PromptMessage]:
    """Begin a code review."""
    return [
        PromptMessage("user", TextContent(f"Review this code:\n\n{code}")),
        PromptMessage("assistant", TextContent("What should I look for above all?")),
    ]


if __name__ == "__main__":
    trio.run(server.serve_stdio)
