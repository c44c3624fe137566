"""Prompts, made with FastMCP."""

from fastmcp import FastMCP
from fastmcp.prompts import Message

mcp = FastMCP("reviews", version="1.0")


@mcp.prompt
def explain(topic: str, level: str = "child") -> str:
    """Ask for an explanation."""
    return f"Explain {topic} to a {level}."


@mcp.prompt(title="Code review")
async def review(code: str) -> list[Message]:
    """Begin a code review."""
    return [
        Message(f"Review this code:\n\n{code}"),
        Message("What should I look for above all?", role="assistant"),
    ]


if __name__ == "__main__":
    mcp.run()
