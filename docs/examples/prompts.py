"""Prompts, and completion of their arguments."""

from collections.abc import Mapping
from typing import Literal

import trio

from trimcp import Server
from trimcp.types import PromptMessage, TextContent

server = Server("prompts", version="1.0")

FRAMEWORKS = {"python": ["django", "flask", "trio"], "rust": ["axum", "tokio"]}


@server.prompt
async def explain(topic: str, level: Literal["child", "expert"] = "child") -> str:
    """Ask for an explanation.

    Args:
        topic: What to explain.
        level: For whom.
    """
    return f"Explain {topic} to a {level}."


@server.prompt(title="Code review")
async def review(code: str, language: str, framework: str = "") -> list[PromptMessage]:
    """Begin a code review."""
    using = f", which uses {framework}" if framework else ""
    return [
        PromptMessage("user", TextContent(f"Review this {language} code{using}:\n\n{code}")),
        PromptMessage("assistant", TextContent("What should I look for above all?")),
    ]


@server.completion("language", prompt="review")
async def complete_language(value: str) -> list[str]:
    return [name for name in FRAMEWORKS if name.startswith(value)]


@server.completion("framework", prompt="review")
async def complete_framework(value: str, arguments: Mapping[str, str]) -> list[str]:
    known = FRAMEWORKS.get(arguments.get("language", ""), [])
    return [name for name in known if name.startswith(value)]


if __name__ == "__main__":
    trio.run(server.serve_stdio)
