"""Prompts, made with the official SDK."""

from mcp.server import MCPServer
from mcp.server.mcpserver.prompts.base import AssistantMessage, Message, UserMessage

mcp = MCPServer("reviews", version="1.0")


@mcp.prompt()
def explain(topic: str, level: str = "child") -> str:
    """Ask for an explanation."""
    return f"Explain {topic} to a {level}."


@mcp.prompt(title="Code review")
async def review(code: str) -> list[Message]:
    """Begin a code review."""
    return [
        UserMessage(f"Review this code:\n\n{code}"),
        AssistantMessage("What should I look for above all?"),
    ]


if __name__ == "__main__":
    mcp.run()
